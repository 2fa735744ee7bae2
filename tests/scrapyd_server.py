"""A real scrapyd on a free port, with the sample configuration, and the project deployed to it from an egg."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from tests.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT: Final = "apifetch"
POLL_S: Final = 0.02
PATIENCE_S: Final = 300.0  # on a machine with much else to do, before a state that does not come is a failure

USER, PASSWORD = "deployer", "a-password-of-the-test"


LOGIN = f"\nusername = {USER}\npassword = {PASSWORD}\n"  # of the last section, [deploy]


def wait_until(predicate: Callable[[], object], *, log: Path) -> None:
    """Return as soon as *predicate* is true. log: shown when it does not come true."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not predicate():
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(POLL_S)


class Scrapyd:
    """A scrapyd of the test's own, on a free port, with all its files in *home*. open_to_all: without a password."""

    def __init__(self, home: Path, *, open_to_all: bool = False) -> None:
        home.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.home, self.log = home, home / "scrapyd.log"
        self.port, self.url = port, f"http://127.0.0.1:{port}/"
        self._login = {} if open_to_all else {"SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": PASSWORD}
        config = (ROOT / "deploy" / "scrapyd.conf").read_text()
        for sample, own in (("6800", str(port)), ("max_proc = 2", "max_proc = 1\npoll_interval = 0.1")):
            assert sample in config
            config = config.replace(sample, own)
        (home / "scrapyd.conf").write_text(config)
        self._started: list[subprocess.Popen[bytes]] = []
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scrapyd", "--pidfile="],
                cwd=self.home,
                env={**os.environ, **self._login},
                stdout=log,
                stderr=log,
                start_new_session=True,  # whose jobs can be killed with it
            )
        self._started.append(self._process)
        wait_until(self._answers, log=self.log)

    def kill(self) -> None:
        """Kill it alone: its jobs go on."""
        self._process.kill()
        self._process.wait()

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with suppress(URLError):
            return bool(self.ask("daemonstatus.json"))
        return False

    def ask(self, service: str, **fields: object) -> dict[str, Any]:
        """GET a service, or POST it the fields. Fails when scrapyd says that it failed."""
        data = urlencode(fields, doseq=True).encode() if fields else None
        key = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = Request(f"{self.url}{service}", data, {"Authorization": f"Basic {key}"})
        with urlopen(request, timeout=PATIENCE_S) as response:
            answer: dict[str, Any] = json.load(response)
        assert answer["status"] == "ok", answer
        return answer

    def schedule(self, job: str, **arguments: object) -> None:
        self.ask("schedule.json", project=PROJECT, spider="apifetch", jobid=job, **arguments)

    def cancel(self, job: str) -> None:
        self.ask("cancel.json", project=PROJECT, job=job)

    def pid(self, job: str) -> int:
        """The process of a job that runs."""
        running = self.ask(f"listjobs.json?project={PROJECT}")["running"]
        return int(next(each["pid"] for each in running if each["id"] == job))

    def finished(self) -> list[str]:
        return [each["id"] for each in self.ask(f"listjobs.json?project={PROJECT}")["finished"]]

    def wait_for_end(self, job: str) -> str:
        """Returns the job's log."""
        wait_until(lambda: job in self.finished(), log=self.log)
        return (self.home / "logs" / PROJECT / "apifetch" / f"{job}.log").read_text()

    def close(self) -> None:
        """Kill it with its jobs, which would go on without it."""
        for process in self._started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Relay:
    """A port that leads to another one. Cut, nobody is there, although what it led to goes on.

    is_open: cleared, it takes connections, and holds what they say until it is set.
    """

    def __init__(self, port: int) -> None:
        self._leads_to = ("127.0.0.1", port)
        self._address = ("127.0.0.1", 0)
        self.is_open = Event()
        self.is_open.set()
        self.join()
        self._address = self._server.server_address[:2]  # type: ignore[assignment]
        self.url = "http://{}:{}/".format(*self._address)

    def join(self) -> None:
        leads_to, is_open = self._leads_to, self.is_open

        class Way(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                is_open.wait()
                with (
                    socket.create_connection(leads_to) as there,
                    selectors.DefaultSelector() as ends,
                    suppress(OSError),
                ):
                    ends.register(self.request, selectors.EVENT_READ, there)
                    ends.register(there, selectors.EVENT_READ, self.request)
                    while True:
                        for ready, _ in ends.select():
                            piece = ready.fileobj.recv(1 << 16)  # type: ignore[union-attr]
                            if not piece:
                                return
                            ready.data.sendall(piece)

        self._server = _Server(self._address, Way)
        Thread(target=self._server.serve_forever, daemon=True).start()

    def cut(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False


def deploy(scrapyd: Scrapyd, tree: Path, *, version: str = "1.0") -> dict[str, Any]:
    """`scrapyd-deploy` from a copy of the project (building litters the tree). Returns scrapyd's answer."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(ROOT / "crawler", tree / "crawler", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "requirements.txt", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    target = (ROOT / "scrapy.cfg").read_text()
    (tree / "scrapy.cfg").write_text(target.replace("http://127.0.0.1:6800/", scrapyd.url) + LOGIN)
    program = Path(sys.executable).with_name("scrapyd-deploy")
    done = subprocess.run([program, "--version", version], cwd=tree, capture_output=True, text=True, check=True)
    # The exit code is 0 whatever the server said; its answer is the only JSON on stdout.
    (answer,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    print(done.stderr)
    return json.loads(answer)  # type: ignore[no-any-return]
