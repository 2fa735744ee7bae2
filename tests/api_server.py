"""The demo API as a process: what the tests tell it and ask it. Knows its controls, not its code."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).parent.parent
END_S: Final = 120.0  # for an answer, and for the process to end; either takes milliseconds on a quiet machine


class ApiServer:
    """The demo API as a process, on a free port. It ends when this process does, however that ends."""

    def __init__(self, *, latency_ms: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "crawler.demo.api", "--with-parent", f"--latency-ms={latency_ms}"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        line = _pipe(self.process.stdout).readline()
        if not line.startswith("listening on "):
            self.close()
            raise RuntimeError(f"the demo API did not start: {line!r}, exit code {self.process.returncode}")
        self.origin = line.removeprefix("listening on ").strip()
        self.netloc = self.origin.removeprefix("http://")

    def url(self, path: str) -> str:
        return self.origin + path

    def stats(self) -> dict[str, Any]:
        """`requests`, `routes` (name -> requests), `held`, `peak`, `connections`; see crawler.demo.tally."""
        stats: dict[str, Any] = json.loads(self._call("GET", "/_stats"))
        return stats

    def seen(self, prefix: str = "/") -> dict[str, int]:
        """Path and query -> requests received."""
        seen: dict[str, int] = json.loads(self._call("GET", f"/_seen?prefix={quote(prefix)}"))
        return seen

    def log(self, prefix: str = "/") -> list[tuple[str, str]]:
        """(path and query, SHA-256 in hex of the body sent) of the last 200,000 whole answers."""
        log: list[list[str]] = json.loads(self._call("GET", f"/_log?prefix={quote(prefix)}"))
        return [(path, sha256) for path, sha256 in log]

    def reset(self) -> None:
        """Forget all counts and every body that was put."""
        self._call("POST", "/_reset")

    def put_bytes(self, name: str, body: bytes, content_type: str = "application/json") -> str:
        """Have `/bytes/{name}` answer with *body*. Returns its URL."""
        self._call("PUT", f"/bytes/{name}", body, {"Content-Type": content_type})
        return self.url(f"/bytes/{name}")

    def put_token(self, token: str, calls: int = 1_000_000) -> None:
        """Have `/private/{id}` let *token* in, for so many calls."""
        self._call("PUT", f"/_tokens?token={quote(token, safe='')}&calls={calls}")

    def _call(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        with closing(http.client.HTTPConnection(self.netloc, timeout=END_S)) as connection:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            answer = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {answer!r}")
        return answer

    def close(self) -> None:
        """End the process: its stdin ends."""
        with self.process:  # closes both pipes, then waits
            _pipe(self.process.stdin).close()
            _end(self.process)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _end(process: subprocess.Popen[str]) -> None:
    """Wait for a process that was told to end, and see to it that it does."""
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None, "the process was started without this pipe"
    return stream
