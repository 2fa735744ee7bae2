"""The servers, as processes on loopback: started, asked what they used and saw, ended. They know no client."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from benchmarks.certificates import write_certificates
from benchmarks.clients import ROOT
from benchmarks.measure import cpu_s_of
from benchmarks.nginx import configuration, handshakes_in, new_port, status
from benchmarks.samples import Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.cases import Case

ADDRESS: Final = "127.0.0.1"
DELAYERS: Final = 2  # one process would do (some 7,000 calls a second); two are never the limit
START_S: Final = 10.0  # nginx takes milliseconds
POLL_S: Final = 0.01
TRIES: Final = 3  # a free port may be taken before nginx has it


class ServerError(Exception):
    """A server did not start, or cannot do what the case asks for; the message says what."""


class Server(Protocol):
    """A server that runs. title: for the report. ca: whom to trust; None without TLS."""

    @property
    def origin(self) -> str: ...

    @property
    def title(self) -> str: ...

    @property
    def ca(self) -> Path | None: ...

    def watch(self) -> Callable[[], Served]:
        """Begin to watch. Returns what tells, at any time, what was used and seen since then."""


def find_nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")  # a user's PATH has neither


@contextmanager
def serving(case: Case, body: bytes, folder: Path) -> Iterator[Server]:
    """The server of a case, while inside. folder: for its files. Raises ServerError."""
    program = find_nginx()
    if case.latency_ms == 0 and program:
        with _nginx(program, case, body, folder) as server:
            yield server
    elif case.tls:
        raise ServerError("needs nginx, which is not installed")
    else:
        with _delayers(case.latency_ms) as server:
            yield server


@dataclass(frozen=True, slots=True, kw_only=True)
class _Nginx:
    """nginx in a process of its own. log: one line a call, of TLS only."""

    origin: str
    title: str
    ca: Path | None
    process: int
    status_port: int
    log: Path

    def watch(self) -> Callable[[], Served]:
        cpu_s, accepted = cpu_s_of(self.process), status(ADDRESS, self.status_port)
        # Asked after the status: one process does one thing at a time, so what was answered before it is in the log.
        seen = self._lines() if self.ca else []

        def served() -> Served:
            used_s = _difference(cpu_s_of(self.process), cpu_s)
            connections = status(ADDRESS, self.status_port) - accepted - 1  # the question itself
            if not self.ca:
                return Served(processes=1, cpu_s=used_s, connections=connections)
            full, resumed = handshakes_in(self._lines()[len(seen) :])
            return Served(processes=1, cpu_s=used_s, connections=connections, handshakes=full, resumed=resumed)

        return served

    def _lines(self) -> list[str]:
        return self.log.read_text("utf-8").splitlines()


@contextmanager
def _nginx(program: str, case: Case, body: bytes, folder: Path) -> Iterator[_Nginx]:
    (folder / "body.json").write_bytes(body)
    ca = write_certificates(folder, address=ADDRESS) if case.tls else None
    for _ in range(TRIES):
        port, status_port = new_port(ADDRESS), new_port(ADDRESS)
        path = folder / "nginx.conf"
        text = configuration(folder, ADDRESS, port=port, status_port=status_port, tls=case.tls, http2=case.http2)
        path.write_text(text, "utf-8")
        output = folder / "nginx.out"
        with output.open("wb") as out:
            process = subprocess.Popen(
                [program, "-p", folder, "-c", path], stdin=subprocess.DEVNULL, stderr=out,
                start_new_session=True,  # Ctrl-C is ours to obey
            )  # fmt: skip
        try:
            if _answers(process, port):
                yield _Nginx(
                    origin=f"{'https' if case.tls else 'http'}://{ADDRESS}:{port}", title=_nginx_title(program, case),
                    ca=ca, process=process.pid, status_port=status_port, log=folder / "access.log",
                )  # fmt: skip
                return
        finally:
            process.terminate()
            process.wait()
    raise ServerError(f"nginx did not start: {output.read_text('utf-8', 'replace').strip()}")


def _nginx_title(program: str, case: Case) -> str:
    said = subprocess.run([program, "-v"], stderr=subprocess.PIPE, text=True, check=True).stderr
    protocol = (", HTTP/2 and 1.1 over TLS" if case.http2 else ", HTTP/1.1 over TLS") if case.tls else ""
    return f"{said.strip().rpartition(' ')[2]}, one process{protocol}"


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until something listens; False when the process has ended instead."""
    deadline_s = time.monotonic() + START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        with suppress(ConnectionRefusedError), socket.create_connection((ADDRESS, port)):
            return True
        time.sleep(POLL_S)
    return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Delayers:
    origin: str
    title: str
    processes: list[int]
    ca: None = None

    def watch(self) -> Callable[[], Served]:
        before_s = self._cpu_s()

        def served() -> Served:
            return Served(processes=len(self.processes), cpu_s=_difference(self._cpu_s(), before_s))

        return served

    def _cpu_s(self) -> float | None:
        used = [cpu_s_of(process) for process in self.processes]
        return None if None in used else sum(filter(None, used))


@contextmanager
def _delayers(latency_ms: int) -> Iterator[_Delayers]:
    processes: list[subprocess.Popen[str]] = []
    port = "0"
    try:
        for _ in range(DELAYERS):
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.delay_server", "--port", port, "--latency-ms", str(latency_ms)],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
            )  # fmt: skip
            processes.append(process)
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            if not port:
                raise ServerError("the delay server did not start")
        yield _Delayers(
            origin=f"http://{ADDRESS}:{port}", title=f"benchmarks.delay_server, {DELAYERS} processes",
            processes=[process.pid for process in processes],
        )  # fmt: skip
    finally:
        for process in processes:
            process.communicate()  # closes its stdin, which ends it


def _difference(after: float | None, before: float | None) -> float | None:
    return None if after is None or before is None else after - before
