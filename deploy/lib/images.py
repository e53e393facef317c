"""Images made of this machine's own files, as no registry is asked: bare ones, and the gateway's by its Dockerfile.

The Dockerfile's base, an image with Rust, has a stand-in. Its `cargo` compiles nothing: it gives the binary that was
built before. All else of the Dockerfile happens as ever.
"""

import os
import re
import shutil
import tarfile
from io import BytesIO
from pathlib import Path

from engine import BINARY, ROOT, TEMPORARY, docker, run

# What the Dockerfile calls besides cargo; `ldd` is a script of bash's.
TOOLS = ("sh", "bash", "ldd", "mkdir", "cp", "grep")
CARGO = """#!/bin/sh
[ "$*" = "build --release --locked -p portway" ] || exit 64
[ -e Cargo.lock ] && [ -e crates/portway/src/main.rs ] || exit 66
mkdir -p target/release && cp /usr/lib/portway-built target/release/portway
"""


def image(name, folders, files, *changes):
    """An image of folders, each with its owner and mode, of files or their text, and of users."""
    archive = TEMPORARY / "image.tar"
    with tarfile.open(archive, "w") as tar:
        for path, (owner, mode) in folders.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.uid, entry.gid, entry.mode = tarfile.DIRTYPE, owner, owner, mode
            tar.addfile(entry)
        for path in ("bin", "lib", "lib64"):
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, f"usr/{path}"
            tar.addfile(entry)
        users = "root:x:0:0::/:/bin/sh\npostgres:x:999:999::/:/bin/sh\n"
        for path, file in {"etc/passwd": users, **files}.items():
            if isinstance(file, Path):
                tar.add(file.resolve(), path)
                continue
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(file), 0o755
            tar.addfile(entry, BytesIO(file.encode()))
    docker("import", *(word for one in ("ENV PATH=/usr/bin", *changes) for word in ("-c", one)), archive, name)


def libraries(*programs):
    """The libraries that these programs name; a script has none."""
    compiled = [one for one in programs if one.read_bytes()[:4] == b"\x7fELF"]
    return {Path(path) for one in compiled for path in re.findall(r"/\S+", run("ldd", one))}


def gateway():
    """Makes `portway:local` as deploy/container/README.md says, but for the base image."""
    tools = [Path(shutil.which(one)) for one in TOOLS]
    # Where /bin and /lib lead to, as the image has these links too.
    files = {f"usr/{str(one).removeprefix('/usr').lstrip('/')}": one for one in (*tools, *libraries(BINARY, *tools))}
    image("rust:stand-in", {"usr": (0, 0o755)}, {**files, "usr/bin/cargo": CARGO, "usr/lib/portway-built": BINARY})
    # The builder that every engine has; the other one is a program of its own.
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    docker("build", "-t", "portway:local", "-f", "deploy/container/Dockerfile", "--build-arg",
           "RUST_IMAGE=rust:stand-in", "--network", "none", ".", cwd=ROOT, env=environment)
