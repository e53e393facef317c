# What a FastAPI beginner has: two routes in the interactive documentation, a stream and a WebSocket.
import asyncio

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

app = FastAPI()
GREETING = "Hello from FastAPI"


@app.get("/items/")
def items():
    return [GREETING]


@app.post("/items/{name}")
def add(name: str):
    return {"added": name}


@app.get("/events", include_in_schema=False)
async def events():
    async def one_and_then_silence():
        yield f"data: {GREETING}\n\n"
        await asyncio.Event().wait()

    return StreamingResponse(one_and_then_silence(), media_type="text/event-stream")


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
