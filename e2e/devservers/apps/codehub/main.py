"""A stand-in for code-hub's API server: its login, its sessions, its workspaces and their phases, over its own tables.

It behaves as the real one is documented to: one session a user, a login page without a return address, PATCH with a running
limit, a reconciler that moves phases. What it does not have is containers. Configured by environment: DATABASE_URL, PORT
and STARTS_MS, how long a workspace takes to start.
"""

import asyncio
import os
import secrets
import time
import uuid
from contextlib import asynccontextmanager

import psycopg
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse
from psycopg.rows import dict_row
from pydantic import BaseModel

DATABASE = os.environ["DATABASE_URL"]
STARTS = int(os.environ.get("STARTS_MS", "700")) / 1000
RUNNING_MAX = 3
FAILURES_MAX = 5
LOCKED = 30
DAY = 86400
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def ulid():
    """26 characters: 48 bits of time and 80 random ones."""
    number = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


async def sql(text, *values):
    """One statement; its rows."""
    async with await psycopg.AsyncConnection.connect(DATABASE, autocommit=True, row_factory=dict_row) as connection:
        cursor = await connection.execute(text, values)
        return await cursor.fetchall() if cursor.description else []


class Problem(Exception):
    def __init__(self, status, code, message):
        self.status, self.code, self.message = status, code, message


async def reconcile():
    """Moves each workspace one step towards its desired state, again and again."""
    steps = [
        ("phase IN ('STANDBY', 'ARCHIVED') AND operation = 'NONE' AND desired_state = 'RUNNING'",
         "operation = CASE phase WHEN 'ARCHIVED' THEN 'RESTORING' ELSE 'STARTING' END"),
        ("operation IN ('STARTING', 'RESTORING') AND updated_at < now() - make_interval(secs => %s)",
         "phase = 'RUNNING', operation = 'NONE', phase_changed_at = now()"),
        ("phase = 'RUNNING' AND operation = 'NONE' AND desired_state = 'STANDBY'", "operation = 'STOPPING'"),
        ("operation = 'STOPPING' AND updated_at < now() - make_interval(secs => %s)",
         "phase = 'STANDBY', operation = 'NONE', phase_changed_at = now()"),
    ]
    while True:
        for where, change in steps:
            values = [STARTS] if "%s" in where else []
            try:
                await sql(f"UPDATE workspaces SET {change}, updated_at = now() WHERE {where}", *values)
            except psycopg.Error:
                pass  # The database is away; it is asked again.
        await asyncio.sleep(0.05)


@asynccontextmanager
async def lifespan(_):
    task = asyncio.create_task(reconcile())
    yield
    task.cancel()


app = FastAPI(lifespan=lifespan)


@app.exception_handler(Problem)
async def problem(_, error):
    body = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(body, error.status, headers={"X-Trace-ID": uuid.uuid4().hex})


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


class Change(BaseModel):
    desired_state: str


@app.post("/api/v1/login")
async def login(credentials: Credentials):
    rows = await sql("SELECT id, password_hash, failed_login_attempts, locked_until > now() AS locked FROM users"
                     " WHERE username = %s", credentials.username)
    if rows and rows[0]["locked"]:
        raise Problem(429, "TOO_MANY_ATTEMPTS", "Locked")
    # The column is opaque to everybody else; here it holds the password itself.
    if not rows or not secrets.compare_digest(rows[0]["password_hash"], credentials.password):
        await sql("UPDATE users SET failed_login_attempts = failed_login_attempts + 1, locked_until = CASE WHEN"
                  " failed_login_attempts + 1 >= %s THEN now() + make_interval(secs => %s) END WHERE username = %s",
                  FAILURES_MAX, LOCKED, credentials.username)
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


@app.get("/api/v1/workspaces")
async def workspaces(request: Request):
    me = await somebody(request)
    return await sql("SELECT id, name, phase, operation, desired_state FROM workspaces"
                     " WHERE owner_user_id = %s AND deleted_at IS NULL ORDER BY name", me["id"])


@app.patch("/api/v1/workspaces/{workspace}")
async def change(workspace: str, wanted: Change, request: Request):
    me = await somebody(request)
    rows = await sql("SELECT owner_user_id FROM workspaces WHERE id = %s AND deleted_at IS NULL", workspace)
    if not rows or rows[0]["owner_user_id"] != me["id"]:
        raise Problem(404, "WORKSPACE_NOT_FOUND", "No such workspace")
    if wanted.desired_state == "RUNNING":
        others = await sql("SELECT count(*) AS n FROM workspaces WHERE owner_user_id = %s AND id <> %s"
                           " AND deleted_at IS NULL AND (phase = 'RUNNING' OR desired_state = 'RUNNING')",
                           me["id"], workspace)
        if others[0]["n"] >= RUNNING_MAX:
            raise Problem(429, "RUNNING_LIMIT_EXCEEDED", "Too many workspaces are running")
    await sql("UPDATE workspaces SET desired_state = %s, updated_at = now() WHERE id = %s",
              wanted.desired_state, workspace)
    return {"id": workspace, "desired_state": wanted.desired_state}


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
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
