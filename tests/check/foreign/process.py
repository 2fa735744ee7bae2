"""A foreign server as a process: started on a free port of loopback, ready when it accepts, ended with the test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn, Self

import pytest

from tests.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ADDRESS: Final = "127.0.0.1"
BUILT: Final = ROOT / "build"
"""Where .ci/servers puts what no package of the system's brings."""

POLL_S: Final = 0.05
PATIENCE_S: Final = 240.0  # a JVM beside other work; usually a second
END_S: Final = 10.0


class ForeignServer:
    """Runs *command* in *folder* while it is entered; ready once *port* accepts. Its own output is in output.log."""

    def __init__(
        self, command: Sequence[str | Path], *, port: int, folder: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = folder / "output.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a group of its own: its workers end with it
            )
        self._port = port

    def __enter__(self) -> Self:
        deadline_s = time.monotonic() + PATIENCE_S
        while not accepts(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self._end(signal.SIGKILL)
                raise RuntimeError(f"it does not accept connections:\n{self._log.read_text(errors='replace')}")
            time.sleep(POLL_S)
        return self

    def __exit__(self, *_error: object) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((ADDRESS, 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((ADDRESS, port)) == 0


def program(name: str) -> str:
    """Its path; /usr/sbin is not on everybody's PATH. Skips the test where there is none."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return path or skip(f"there is no {name}")


def skip(reason: str) -> NoReturn:
    pytest.skip(f"{reason}: .ci/run installs the servers of others, .ci/servers those without a package")
