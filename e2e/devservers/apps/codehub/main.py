"""A stand-in for code-hub's API server: its login, its sessions, its workspaces and their phases, over its own tables.

It behaves as the real one is documented to: one session a user, a login page without a return address, names that lock,
a running limit, events, a trace id on every answer; with a reconciler that moves phases and a TTL manager that stops what
is idle (workers.py). What it does not have is containers. Configured by environment: DATABASE_URL, PORT, REDIS_URL (none:
no TTL manager), and in milliseconds STARTS_MS, how long each operation takes, TTL_EVERY_MS, STANDBY_AFTER_MS and
ARCHIVE_AFTER_MS.
"""

import asyncio
import json
import os
import re
import secrets
import time
import uuid
from contextlib import asynccontextmanager
from typing import Literal

import uvicorn
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, StreamingResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from database import connect, sql
from workers import manage_ttl, reconcile

RUNNING_MAX = 3
FAILURES_MAX = 5
# Seconds of the first lock. Each failure after it doubles them, ten times at most: that is half a day.
LOCKED = 30
DOUBLED_MAX = 10
DAY = 86400
# How often a quiet event stream is looked after, in seconds: the session is read again, and a comment is sent, without
# which nobody in between notices that the reader has left.
QUIET = 2
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
TRACE_ID = re.compile(rb"[A-Za-z0-9_-]{8,64}")
WORKSPACE = "id, name, phase, operation, desired_state, last_access_at"


def ulid():
    """26 characters: 48 bits of time and 80 random ones."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


class Problem(Exception):
    def __init__(self, status, code, message):
        self.status, self.code, self.message = status, code, message


@asynccontextmanager
async def lifespan(_):
    tasks = [asyncio.create_task(reconcile())]
    if redis_url := os.environ.get("REDIS_URL"):
        tasks.append(asyncio.create_task(manage_ttl(redis_url)))
    yield
    for task in tasks:
        task.cancel()


app = FastAPI(lifespan=lifespan)


async def traced(scope, receive, send):
    """The application, with X-Trace-ID on every answer: the request's own if it is well-formed.

    It is around the whole of it, because the answer to an unexpected error is made outside of every middleware.
    """
    if scope["type"] != "http":
        return await app(scope, receive, send)
    given = dict(scope["headers"]).get(b"x-trace-id", b"")
    trace = given if TRACE_ID.fullmatch(given) else uuid.uuid4().hex.encode()

    async def answer(message):
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"x-trace-id", trace)]
        await send(message)

    await app(scope, receive, answer)


def refusal(status, code, message):
    return JSONResponse({"error": {"code": code, "message": message}}, status)


@app.exception_handler(Problem)
async def problem(_, error):
    return refusal(error.status, error.code, error.message)


@app.exception_handler(HTTPException)
async def no_route(_, error):
    return refusal(error.status_code, "HTTP_ERROR", error.detail)


@app.exception_handler(RequestValidationError)
async def malformed(_, error):
    return refusal(422, "VALIDATION_ERROR", str(error.errors()[0]["msg"]))


@app.exception_handler(Exception)
async def unexpected(_, __):
    return refusal(500, "INTERNAL_ERROR", "Something went wrong")


async def somebody(request: Request):
    """The user of a session that holds; 401 otherwise."""
    rows = await sql(
        "SELECT users.id, users.username FROM sessions JOIN users ON users.id = sessions.user_id"
        " WHERE sessions.id = %s AND revoked_at IS NULL AND expires_at > now()", request.cookies.get("session", ""))
    if not rows:
        raise Problem(401, "UNAUTHORIZED", "Not logged in")
    return rows[0]


class Credentials(BaseModel):
    username: str
    password: str


class New(BaseModel):
    name: str = Field(min_length=1, max_length=255)


class Change(BaseModel):
    desired_state: Literal["RUNNING", "STANDBY", "ARCHIVED"]


def matches(phc, password):
    try:
        return PasswordHasher().verify(phc, password)
    except (VerificationError, InvalidHashError):
        return False


@app.post("/api/v1/login")
async def login(credentials: Credentials):
    rows = await sql("SELECT id, password_hash, locked_until > now() AS locked FROM users WHERE username = %s",
                     credentials.username)
    if rows and rows[0]["locked"]:
        raise Problem(429, "TOO_MANY_ATTEMPTS", "Locked")
    # In a thread: Argon2 is slow on purpose, and the others are not to wait for it.
    if not rows or not await asyncio.to_thread(matches, rows[0]["password_hash"], credentials.password):
        await sql("UPDATE users SET failed_login_attempts = failed_login_attempts + 1, locked_until = CASE WHEN"
                  " failed_login_attempts + 1 >= %s THEN now() + make_interval(secs => %s *"
                  " 2 ^ LEAST(failed_login_attempts + 1 - %s, %s)) END WHERE username = %s",
                  FAILURES_MAX, LOCKED, FAILURES_MAX, DOUBLED_MAX, credentials.username)
        raise Problem(401, "INVALID_CREDENTIALS", "Wrong user name or password")
    session, user = ulid(), rows[0]["id"]
    # One session a user: the others are deleted.
    await sql("DELETE FROM sessions WHERE user_id = %s", user)
    await sql("UPDATE users SET failed_login_attempts = 0, locked_until = NULL WHERE id = %s", user)
    await sql("INSERT INTO sessions (id, user_id, expires_at) VALUES (%s, %s, now() + interval '1 day')", session, user)
    response = JSONResponse({"user": credentials.username})
    response.set_cookie("session", session, max_age=DAY, httponly=True, samesite="lax", path="/")
    return response


@app.post("/api/v1/logout")
async def logout(request: Request):
    await sql("UPDATE sessions SET revoked_at = now() WHERE id = %s", request.cookies.get("session", ""))
    response = JSONResponse({})
    response.delete_cookie("session")
    return response


@app.get("/api/v1/session")
async def session(request: Request):
    return await somebody(request)


async def owned(workspace, request):
    """The caller and their workspace; 404 alike for one that is not there and one of somebody else."""
    me = await somebody(request)
    rows = await sql(f"SELECT {WORKSPACE} FROM workspaces WHERE id = %s AND owner_user_id = %s AND deleted_at IS NULL",
                     workspace, me["id"])
    if not rows:
        raise Problem(404, "WORKSPACE_NOT_FOUND", "No such workspace")
    return me, rows[0]


@app.get("/api/v1/workspaces")
async def workspaces(request: Request):
    me = await somebody(request)
    return await sql(f"SELECT {WORKSPACE} FROM workspaces WHERE owner_user_id = %s AND deleted_at IS NULL ORDER BY name",
                     me["id"])


@app.post("/api/v1/workspaces", status_code=201)
async def create(new: New, request: Request):
    me = await somebody(request)
    rows = await sql("INSERT INTO workspaces (id, owner_user_id, name, phase, desired_state)"
                     f" VALUES (%s, %s, %s, 'PENDING', 'STANDBY') RETURNING {WORKSPACE}",
                     str(uuid.uuid4()), me["id"], new.name)
    return rows[0]


@app.get("/api/v1/workspaces/{workspace}")
async def one(workspace: str, request: Request):
    _, row = await owned(workspace, request)
    return row


@app.patch("/api/v1/workspaces/{workspace}")
async def change(workspace: str, wanted: Change, request: Request):
    me, _ = await owned(workspace, request)
    if wanted.desired_state == "RUNNING":
        others = await sql("SELECT count(*) AS n FROM workspaces WHERE owner_user_id = %s AND id <> %s"
                           " AND deleted_at IS NULL AND (phase = 'RUNNING' OR desired_state = 'RUNNING')",
                           me["id"], workspace)
        if others[0]["n"] >= RUNNING_MAX:
            raise Problem(429, "RUNNING_LIMIT_EXCEEDED", "Too many workspaces are running")
    # Nothing brings back what is being deleted.
    rows = await sql("UPDATE workspaces SET desired_state = %s, updated_at = now()"
                     f" WHERE id = %s AND desired_state <> 'DELETED' RETURNING {WORKSPACE}",
                     wanted.desired_state, workspace)
    if not rows:
        raise Problem(404, "WORKSPACE_NOT_FOUND", "No such workspace")
    return rows[0]


@app.delete("/api/v1/workspaces/{workspace}", status_code=202)
async def delete(workspace: str, request: Request):
    await owned(workspace, request)
    rows = await sql("UPDATE workspaces SET desired_state = 'DELETED', updated_at = CASE desired_state WHEN 'DELETED'"
                     f" THEN updated_at ELSE now() END WHERE id = %s RETURNING {WORKSPACE}", workspace)
    return rows[0]


async def changes(connection, user, request):
    """The workspaces of a user as they change, one event each, for as long as the session holds."""
    async with connection:
        yield ": open\n\n"
        while True:
            told = [notice async for notice in connection.notifies(timeout=QUIET, stop_after=1)]
            try:
                await somebody(request)
            except Problem:
                return
            for notice in told:
                about = json.loads(notice.payload)
                if about["owner_user_id"] != user:
                    continue
                for row in await sql("SELECT id, name, phase, operation, desired_state FROM workspaces WHERE id = %s",
                                     about["id"]):
                    yield f"event: workspace\ndata: {json.dumps(row)}\n\n"
            if not told:
                yield ": quiet\n\n"


@app.get("/api/v1/events")
async def events(request: Request):
    me = await somebody(request)
    # Listening has begun before the answer does: whoever sees it open misses nothing.
    connection = await connect()
    await connection.execute("LISTEN ws_sse")
    return StreamingResponse(changes(connection, me["id"], request), media_type="text/event-stream",
                             headers={"Cache-Control": "no-cache"})


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>code-hub</title><link rel="icon" href="data:,">
<meta name="viewport" content="width=device-width"><body style="font-family: sans-serif; max-width: 30rem; margin: 4rem auto">"""


@app.get("/login")
async def login_page(request: Request):
    try:
        await somebody(request)
        return RedirectResponse("/", 303)
    except Problem:
        pass
    return HTMLResponse(PAGE + """<h1>code-hub</h1><form><p><label>User name <input name="username"></label></p>
<p><label>Password <input name="password" type="password"></label></p><button>Sign in</button></form><script>
document.forms[0].onsubmit = async (event) => {
  event.preventDefault();
  const body = JSON.stringify(Object.fromEntries(new FormData(event.target)));
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/api/v1/login", { method: "POST", headers, body });
  if (answer.ok) location = "/"; else document.title = "failed";
};</script>""")


@app.get("/")
async def dashboard(request: Request):
    try:
        me = await somebody(request)
    except Problem:
        return RedirectResponse("/login", 303)
    return HTMLResponse(PAGE + f"<h1>Dashboard of {me['username']}</h1>")


if __name__ == "__main__":
    # An event stream never ends by itself, so a stop does not wait for it.
    uvicorn.run(traced, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning", timeout_graceful_shutdown=1)
