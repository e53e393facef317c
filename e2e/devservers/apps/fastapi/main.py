# What a FastAPI beginner has: two routes in the interactive documentation, and a WebSocket.
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()
GREETING = "Hello from FastAPI"


@app.get("/items/")
def items():
    return [GREETING]


@app.post("/items/{name}")
def add(name: str):
    return {"added": name}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
