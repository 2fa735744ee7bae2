"""Processes that begin with Scrapy imported: most of what a short crawl costs is reading the same modules again.

A process of its own imports them once and forks for each crawl; from there on the child is what `python -m scrapy`
is: its own folder, environment, arguments, session and end. It needs fork and pidfd (Linux); a crawl within another
program, as strace, is started as ever.
"""

from __future__ import annotations

import importlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parent.parent

MODULES: Final = (
    "scrapy.cmdline", "scrapy.crawler", "scrapy.utils.log", "crawler.commands.crawl", "crawler.extensions.keeper",
    "crawler.extensions.timeline", "crawler.extensions.echo", "crawler.extensions.quiet", "crawler.downloader",
    "crawler.middlewares", "crawler.pipelines", "crawler.retries", "crawler.scheduler", "crawler.shortway",
    "crawler.spiders.apifetch", "crawler.wire.handler", "crawler.wire.curl.handler", "crawler.wire.decompression",
    "scrapy.extensions.feedexport", "scrapy.extensions.memusage", "scrapy.extensions.throttle", "uvloop",
)  # fmt: skip
"""What every crawl imports. Not the reactor: to import it is to choose one."""

AVAILABLE: Final = hasattr(os, "fork") and hasattr(os, "pidfd_open") and hasattr(socket, "send_fds")

MESSAGE_BYTES: Final = 1 << 20


class Child:
    """A crawl, with as much of Popen's face as tests look at."""

    def __init__(self, nursery: Nursery, pid: int, stdin: IO[bytes] | None) -> None:
        self._nursery = nursery
        self.pid = pid
        self.stdin = stdin
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            self.returncode = self._nursery.ended(self.pid, 0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            self.returncode = self._nursery.ended(self.pid, timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended a moment ago
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """The process that forks, from the tests' side."""

    def __init__(self, env: Mapping[str, str]) -> None:
        """env: of the process; PYTHONPATH holds what every crawl's holds."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", "from tests.nursery import main; main()", str(theirs.fileno())],
                cwd=ROOT, env={**env, "PYTHONPATH": os.pathsep.join((env["PYTHONPATH"], str(ROOT)))},
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        self._ended: dict[int, int] = {}

    def start(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdin: IO[bytes] | int, out: IO[bytes],
        err: IO[bytes],
    ) -> Child:  # fmt: skip
        """`python -m scrapy` with these words. stdin: a file, or subprocess.PIPE or DEVNULL."""
        theirs, ours = None, None
        if stdin == subprocess.PIPE:
            read_end, write_end = os.pipe()
            theirs, ours = os.fdopen(read_end, "rb"), os.fdopen(write_end, "wb", buffering=0)
        elif stdin == subprocess.DEVNULL:
            theirs = Path(os.devnull).open("rb")  # noqa: SIM115  # closed below
        given = theirs or stdin
        assert not isinstance(given, int)
        told = json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env)}).encode()
        assert len(told) < MESSAGE_BYTES
        socket.send_fds(self._socket, [told], [given.fileno(), out.fileno(), err.fileno()])
        if theirs is not None:
            theirs.close()
        while (pid := self._hear(None)) is None:
            pass
        return Child(self, pid, ours)

    def ended(self, pid: int, timeout_s: float | None) -> int | None:
        """The exit code of a child; None when it has not ended after that time."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while pid not in self._ended:
            left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)
            self._hear(left_s)
            if left_s == 0.0:
                break
        return self._ended.pop(pid, None)

    def _hear(self, timeout_s: float | None) -> int | None:
        """Take one message in: a child's start, which is returned, or the end of one."""
        self._socket.settimeout(timeout_s)
        try:
            said = self._socket.recv(MESSAGE_BYTES)
        except (TimeoutError, BlockingIOError):
            return None
        assert said, "the process that forks has ended"
        what, pid, code = json.loads(said)
        if what == "began":
            return int(pid)
        self._ended[pid] = code
        return None

    def close(self) -> None:
        """End the process, which ends what it has forked."""
        self._socket.close()
        self._process.wait()


# The other side


def main() -> None:
    """Fork for each message; in the child, be the command that it asks for."""
    for name in MODULES:
        importlib.import_module(name)
    path = [*sys.path]
    told = _serve(socket.socket(fileno=int(sys.argv[1])))
    if told is None:
        return
    os.chdir(told["cwd"])
    os.environ.clear()
    os.environ.update(told["env"])
    own = told["env"]["PYTHONPATH"].split(os.pathsep)
    sys.path[:] = [told["cwd"], *own, *(entry for entry in path[1:] if entry not in own)]
    sys.argv = ["scrapy", *told["words"]]
    from scrapy.cmdline import execute  # noqa: PLC0415

    execute()


def _serve(tests: socket.socket) -> dict[str, Any] | None:
    """Returns in a child, with what it was told; None at the end of the tests."""
    running: dict[int, int] = {}  # pidfd -> pid
    with selectors.DefaultSelector() as selector:
        selector.register(tests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd in running:
                    pid = running.pop(key.fd)
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    tests.send(json.dumps(["ended", pid, code]).encode())
                    continue
                message, fds, _, _ = socket.recv_fds(tests, MESSAGE_BYTES, 3)
                if not message:
                    for pid in running.values():
                        with suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
                    return None
                pid = os.fork()
                if pid == 0:
                    tests.close()
                    for pidfd in running:
                        os.close(pidfd)
                    os.setsid()
                    for number, fd in enumerate(fds):
                        os.dup2(fd, number)
                        os.close(fd)
                    told: dict[str, Any] = json.loads(message)
                    return told
                for fd in fds:
                    os.close(fd)
                tests.send(json.dumps(["began", pid, None]).encode())
                pidfd = os.pidfd_open(pid)
                running[pidfd] = pid
                selector.register(pidfd, selectors.EVENT_READ)
