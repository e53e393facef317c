"""A Docker engine of this run's own, in namespaces, and the words that checks in it are written with.

Everything is in namespaces of this run (network, processes, mounts): no port is taken on the machine itself, and the
kernel removes it all when the run ends, however it ends. Knows no image and nothing of what is checked.

Where no engine can run a run fails, unless PORTWAY_NO_ENGINE=1 is given.
"""

import glob
import os
import shutil
import signal
import subprocess
import sys
import time
from http.client import HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
BINARY = Path(os.environ.get("PORTWAY_BIN", TARGET / "quick/portway"))
PATIENCE = float(os.environ.get("PORTWAY_TEST_PATIENCE", "30"))

# Memory of this run's own. Here, because engines keep sockets in it whatever they are told.
TEMPORARY = Path("/run")
ENGINE = TEMPORARY / "engine"


class Failed(Exception):
    """What did not hold, in words."""


def run(*argv, **more):
    """The output of a command that must succeed."""
    argv = [str(one) for one in argv]
    try:
        # What compose waits for has a patience of its own, of a minute.
        done = subprocess.run(argv, capture_output=True, text=True, timeout=4 * PATIENCE, **more)
    except subprocess.TimeoutExpired as late:
        raise Failed(f"{' '.join(argv)}\ndoes not end\n{late.output}\n{late.stderr}") from late
    if done.returncode:
        raise Failed(f"{' '.join(argv)}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def succeeds(*argv):
    return subprocess.run([str(one) for one in argv], capture_output=True).returncode == 0


def eventually(what, look):
    """What `look` gives once that is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Failed(f"waited {PATIENCE:.0f} s in vain for {what}")
        time.sleep(0.05)
    return found


def expect(what, found, wanted):
    if found != wanted:
        raise Failed(f"{what}: {found!r} instead of {wanted!r}")


# The plugin of today, or the program of before.
COMPOSE = next((words for words in (["docker", "compose"], ["docker-compose"])
                if shutil.which(words[0]) and succeeds(*words, "version")), None)


def docker(*argv, **more):
    return run("docker", *argv, **more)


def container(service):
    """By its label, as the two composes name containers differently."""
    return docker("ps", "-a", "-q", "--filter", f"label=com.docker.compose.service={service}")


def healthy(service):
    name = container(service)
    look = lambda: docker("inspect", "-f", "{{.State.Health.Status}}", name) == "healthy"
    eventually(f"{service} to be healthy", look)


def main(what, checks, needs=lambda: None, failed=lambda: None):
    """Runs the script that calls this once more, in namespaces; there an engine, then each named check.

    `what` is tried here, in words. `needs` ends the run where something is missing that the script alone needs,
    `failed` prints what helps to see why a check did not hold. A check may give a word on what it found.
    """
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    sys.exit(inside(what, checks, failed) if sys.argv[1:] == ["--inside"] else outside(what, needs))


def inside(what, checks, failed):
    """The first process of the namespaces: the kernel ends all others with it."""
    began = time.monotonic()
    # An engine reads and writes its settings there.
    for place in filter(Path.is_dir, (TEMPORARY, Path("/etc/docker"))):
        run("mount", "-t", "tmpfs", "tmpfs", place)
    run("ip", "link", "set", "lo", "up")
    try:
        start_engine()
    except Failed as why:
        return no_engine(what, why)
    version = run(*COMPOSE, "version", "--short")
    print(f"ok {time.monotonic() - began:5.1f} s  an engine runs, with compose {version}", flush=True)
    for name, check in checks:
        since = time.monotonic()
        try:
            word = check()
        # A connection that ends too soon does not hold either.
        except (Failed, OSError, HTTPException) as why:
            print(f"FAILED  {name}: {why}", flush=True)
            failed()
            return 1
        print(f"ok {time.monotonic() - since:5.1f} s  {name}{f': {word}' if word else ''}", flush=True)
    print(f"   {time.monotonic() - began:5.1f} s  in all")
    return 0


def start_engine():
    ENGINE.mkdir()
    socket = f"unix://{ENGINE}/docker.sock"
    os.environ.update(DOCKER_HOST=socket, TMPDIR=str(TEMPORARY))
    with open(ENGINE / "log", "w") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--host", socket, "--data-root", ENGINE / "data", "--exec-root", ENGINE / "exec",
             "--pidfile", ENGINE / "pid", "--exec-opt", "native.cgroupdriver=cgroupfs",
             "--cgroup-parent", os.environ["PORTWAY_TRY_CGROUP"]], stdout=log, stderr=log)

    def answers():
        if daemon.poll() is not None:
            raise Failed(f"dockerd ended:\n{(ENGINE / 'log').read_text()[-2000:]}")
        return succeeds("docker", "version")

    eventually("dockerd to answer", answers)


def no_engine(what, why):
    if os.environ.get("PORTWAY_NO_ENGINE") == "1":
        print(f"SKIPPED, {what} was not tried: no engine can run here: {why}")
        return 0
    print(f"no engine can run here: {why}\nWith PORTWAY_NO_ENGINE=1 this passes, and {what} is not tried.")
    return 1


def outside(what, needs):
    namespaces = ["unshare", "--net", "--pid", "--mount-proc", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        return no_engine(what, "it needs root")
    for name in ("dockerd", "docker", "ip"):
        if not shutil.which(name):
            return no_engine(what, f"{name} is not installed")
    if not COMPOSE:
        return no_engine(what, "docker has no compose")
    if not succeeds(*namespaces, "true"):
        return no_engine(what, "this machine makes no namespaces")
    if not BINARY.is_file():
        sys.exit(f"no binary at {BINARY}: `scripts/test build` makes it, or PORTWAY_BIN names one")
    needs()

    # The one thing that no namespace takes along; after SIGKILL they stay, empty.
    cgroup = f"portway-try-{os.getpid()}"

    def cgroups_removed():
        found = {os.path.realpath(one) for one in glob.glob(f"/sys/fs/cgroup/**/{cgroup}/**/", recursive=True)}
        try:
            for folder in sorted(found, reverse=True):
                os.rmdir(folder)
        except OSError:
            return False  # Its processes are still ending.
        return True

    # A signal ends the run, and so does the end of this process, even by SIGKILL.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    script = Path(sys.argv[0]).resolve()
    process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *namespaces, sys.executable, script, "--inside"],
                               env={**os.environ, "PORTWAY_TRY_CGROUP": cgroup}, stdin=subprocess.DEVNULL)
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()
        eventually("control groups to be empty", cgroups_removed)
