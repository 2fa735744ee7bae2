"""A real redis-server on a free port, with an append-only file in a folder of its own; killed and started again."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROGRAM: Final = shutil.which("redis-server")

needs_redis = pytest.mark.skipif(PROGRAM is None, reason="redis-server is not installed (apt install redis-server)")

STREAM: Final = "apifetch:{items}:stream"
"""The key of the list that url() names: what of it is not done."""

TRIES: Final = 5  # somebody else may take the port that was free a moment ago


PATIENCE_S: Final = 240.0
POLL_S: Final = 0.01


def until(predicate: Callable[[], object]) -> None:
    """Return as soon as it is true; AssertionError when it does not become so."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not predicate():
        assert time.monotonic() < deadline_s, "it did not come true"
        time.sleep(POLL_S)


class RedisServer:
    """A context. password: what clients have to say. tls: the PEM file of its certificate and key."""

    def __init__(self, folder: Path, *, password: str | None = None, tls: Path | None = None) -> None:
        self._folder = folder
        self._password = password
        self._tls = tls
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        for _ in range(TRIES):
            with closing(socket.socket()) as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
            if self._starts():
                return self
        raise RuntimeError("redis-server does not start")

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def url(self, name: str = "items") -> str:
        return f"redis{'s' if self._tls else ''}://127.0.0.1:{self.port}/0/{name}"

    def kill(self) -> None:
        """End it with SIGKILL, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def start(self) -> None:
        """Have it back on its port, with what its files hold."""
        if not self._starts():
            raise RuntimeError("redis-server does not come back")

    def client(self) -> Any:
        import redis  # noqa: PLC0415  # optional

        tls: dict[str, Any] = {"ssl": True, "ssl_cert_reqs": "none"} if self._tls else {}
        return redis.Redis(port=self.port, password=self._password, protocol=2, **tls)

    def _starts(self) -> bool:
        assert PROGRAM is not None
        options = ["--requirepass", self._password] if self._password else []
        port = ["--port", str(self.port)]
        if self._tls is not None:
            port = ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            port += ["--tls-cert-file", str(self._tls), "--tls-key-file", str(self._tls)]
        self._process = subprocess.Popen(
            [PROGRAM, *port, "--bind", "127.0.0.1", "--dir", str(self._folder),
             "--appendonly", "yes", "--save", "", "--daemonize", "no", *options],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        for line in self._process.stdout:  # until it is ready, or ends
            if "Ready to accept connections" in line:
                return True
        self.kill()
        return False
