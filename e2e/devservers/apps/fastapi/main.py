# What a FastAPI beginner has: two routes in the interactive documentation, a stream and a WebSocket.
import asyncio

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

app = FastAPI()
GREETING = "Hello from FastAPI"
heard = asyncio.Event()


@app.get("/items/")
def items():
    return [GREETING]


@app.post("/items/{name}")
def add(name: str):
    return {"added": name}


@app.get("/events", include_in_schema=False)
async def events():
    async def one_until_it_is_heard():
        yield f"data: {GREETING}\n\n"
        await heard.wait()

    return StreamingResponse(one_until_it_is_heard(), media_type="text/event-stream")


@app.post("/heard", include_in_schema=False)
async def end_the_stream():
    heard.set()


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
