"""Deployed to a real scrapyd, from an egg, with the sample configuration: whatever ends a job, the next one goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from tests.harness import ROOT, ApiServer, Output, write_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.check

PROJECT = "apifetch"
LINES = 300
WORKERS = 4
DELAY_MS = 50  # with these workers the list takes 4 s at least: time enough to cancel in the middle
POLL_S = 0.02
IN_THE_WRITER = 8  # records of a tenth of a second, which a kill may find on their way to the ledger
PATIENCE_S = 90.0  # before a state that does not come is a failure

USER, PASSWORD = "deployer", "a-password-of-the-test"


LOGIN = f"\nusername = {USER}\npassword = {PASSWORD}\n"  # of the last section, [deploy]


def wait_until(predicate: Callable[[], object], *, log: Path) -> None:
    """Return as soon as *predicate* is true. log: shown when it does not come true."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not predicate():
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(POLL_S)


class Scrapyd:
    """A scrapyd of the test's own, on a free port, with all its files in *home*."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.home, self.log = home, home / "scrapyd.log"
        self.url = f"http://127.0.0.1:{port}/"
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
                env={**os.environ, "SCRAPYD_USERNAME": USER, "SCRAPYD_PASSWORD": PASSWORD},
                stdout=log,
                stderr=log,
                start_new_session=True,
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
        data = urlencode(fields).encode() if fields else None
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


@pytest.fixture
def scrapyd(tmp_path: Path) -> Iterator[Scrapyd]:
    server = Scrapyd(tmp_path / "scrapyd")
    yield server
    server.close()


def deploy(scrapyd: Scrapyd, tree: Path) -> dict[str, Any]:
    """`scrapyd-deploy` from a copy of the project (building litters the tree). Returns scrapyd's answer."""
    shutil.copytree(ROOT / "crawler", tree / "crawler", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "requirements.txt", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    target = (ROOT / "scrapy.cfg").read_text()
    (tree / "scrapy.cfg").write_text(target.replace("http://127.0.0.1:6800/", scrapyd.url) + LOGIN)
    program = Path(sys.executable).with_name("scrapyd-deploy")
    done = subprocess.run([program], cwd=tree, capture_output=True, text=True, check=True)
    # The exit code is 0 whatever the server said; its answer is the only JSON on stdout.
    (answer,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    print(done.stderr)
    return json.loads(answer)  # type: ignore[no-any-return]


@pytest.mark.parametrize("end", ["one cancel", "two cancels", "kill -9", "scrapyd killed"])
def test_whatever_ends_a_job_the_next_one_finishes_the_list(
    scrapyd: Scrapyd, api: ApiServer, tmp_path: Path, end: str
) -> None:
    """Every line has one record in the end, and no call whose record was kept is made again."""
    urls = write_list(tmp_path / "list.txt", (api.url(f"/items/{n}?delay_ms={DELAY_MS}") for n in range(LINES)))
    out = Output(tmp_path / "out")
    # What a job is told arrives: arguments, and a setting
    arguments = {"urls": urls, "out": out.out, "workers": WORKERS, "setting": "APIFETCH_DURABILITY=process"}
    answer = deploy(scrapyd, tmp_path / "tree")
    assert answer.get("spiders") == 1, answer

    scrapyd.schedule("first", **arguments)
    wait_until(lambda: api.stats()["requests"] >= LINES // 4, log=scrapyd.log)
    if end == "scrapyd killed":  # the next job, which waits for its turn, begins beside the orphan
        scrapyd.schedule("second", **arguments)
        orphan = scrapyd.pid("first")
        os.kill(orphan, signal.SIGSTOP)  # so that it is still there when the next one begins
        scrapyd.kill()
        scrapyd.start()
        assert "another run holds" in scrapyd.wait_for_end("second")
        os.kill(orphan, signal.SIGCONT)
        wait_until(lambda: out.summary["state"] == "finished", log=scrapyd.log)
        fetched = out.rows()
    else:
        if end == "kill -9":
            os.kill(scrapyd.pid("first"), signal.SIGKILL)
        for _ in range(2 if end == "two cancels" else 1 if end == "one cancel" else 0):
            scrapyd.cancel("first")
        scrapyd.wait_for_end("first")
        if end == "one cancel":
            assert out.summary["exit_code"] == 75
        fetched = out.rows()
        assert 0 < len(fetched) < LINES

    scrapyd.schedule("third", **arguments)
    log = scrapyd.wait_for_end("third")
    rows = sorted((row["line"], row["outcome"]) for row in out.rows())
    assert rows == [(line, "ok") for line in range(1, LINES + 1)], log
    assert len(out.envelopes()) == LINES
    assert out.summary["exit_code"] == 0, log
    assert out.summary["arguments"]["workers"] == WORKERS
    assert {row["durability"] for row in out.rows("select durability from runs")} == {"process"}

    again = {path for path, times in api.seen("/items/").items() if times > 1}
    assert len(again) <= (0 if end == "scrapyd killed" else WORKERS + IN_THE_WRITER)
    assert again.isdisjoint(row["url"].removeprefix(api.origin) for row in fetched)
    scrapyd.kill()
    scrapyd.start()
    assert "third" in scrapyd.finished()  # the list of jobs outlives scrapyd


def test_nobody_gets_in_without_the_password(scrapyd: Scrapyd) -> None:
    for service in ("daemonstatus.json", "logs/", "jobs"):
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{scrapyd.url}{service}", timeout=PATIENCE_S)
        caught.value.close()
        assert caught.value.code == 401
