# What a Flask beginner has: a session, a form and a bug.
from flask import Flask, redirect, request, session, url_for

app = Flask(__name__)
app.secret_key = "only for development"
GREETING = "Hello from Flask"


@app.get("/")
def index():
    session["visits"] = session.get("visits", 0) + 1
    return f"""<!doctype html><title>Flask</title><link rel="icon" href="data:,">
        <h1>{GREETING}</h1>
        <p id="visits">visit {session["visits"]} of {session.get("name", "nobody")}</p>
        <form method="post" action="/name"><label>Name <input name="name"></label><button>Save</button></form>"""


@app.post("/name")
def name():
    session["name"] = request.form["name"]
    return redirect(url_for("index", _external=True))


@app.get("/bug")
def bug():
    apples = 6
    return apples / 0
