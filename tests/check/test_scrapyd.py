"""Deployed to a real scrapyd, from an egg: a job can be cancelled, and the next one finishes the list."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

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
PATIENCE_S = 90.0  # before a state that does not come is a failure

CONFIG = """\
[scrapyd]
bind_address = 127.0.0.1
http_port = {port}
poll_interval = 0.1
"""


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
        (home / "scrapyd.conf").write_text(CONFIG.format(port=port))
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scrapyd", "--pidfile="],
                cwd=home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, log=self.log)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        with suppress(URLError):
            return bool(self.ask("daemonstatus.json"))
        return False

    def ask(self, service: str, **fields: object) -> dict[str, Any]:
        """GET a service, or POST it the fields. Fails when scrapyd says that it failed."""
        data = urlencode(fields).encode() if fields else None
        with urlopen(f"{self.url}{service}", data, timeout=PATIENCE_S) as response:
            answer: dict[str, Any] = json.load(response)
        assert answer["status"] == "ok", answer
        return answer

    def schedule(self, job: str, **arguments: object) -> None:
        self.ask("schedule.json", project=PROJECT, spider="apifetch", jobid=job, **arguments)

    def cancel(self, job: str) -> None:
        self.ask("cancel.json", project=PROJECT, job=job)

    def wait_for_end(self, job: str) -> str:
        """Returns the job's log."""
        jobs = f"listjobs.json?project={PROJECT}"
        wait_until(lambda: job in [each["id"] for each in self.ask(jobs)["finished"]], log=self.log)
        return (self.home / "logs" / PROJECT / "apifetch" / f"{job}.log").read_text()

    def close(self) -> None:
        """Kill it with its jobs, which would go on without it."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


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
    (tree / "scrapy.cfg").write_text(target.replace("http://127.0.0.1:6800/", scrapyd.url))
    program = Path(sys.executable).with_name("scrapyd-deploy")
    done = subprocess.run([program], cwd=tree, capture_output=True, text=True, check=True)
    # The exit code is 0 whatever the server said; its answer is the only JSON on stdout.
    (answer,) = (line for line in done.stdout.splitlines() if line.startswith("{"))
    print(done.stderr)
    return json.loads(answer)  # type: ignore[no-any-return]


def test_a_job_cancelled_in_the_middle_is_finished_by_the_next_one(
    scrapyd: Scrapyd, api: ApiServer, tmp_path: Path
) -> None:
    """Every line has one record in the end, and no call that succeeded is made again."""
    urls = write_list(tmp_path / "list.txt", (api.url(f"/items/{n}?delay_ms={DELAY_MS}") for n in range(LINES)))
    out = Output(tmp_path / "out")
    arguments = {"urls": urls, "out": out.out, "workers": WORKERS}

    answer = deploy(scrapyd, tmp_path / "tree")
    assert answer.get("spiders") == 1, answer

    scrapyd.schedule("first", **arguments)
    wait_until(lambda: api.stats()["requests"] >= LINES // 4, log=scrapyd.log)
    scrapyd.cancel("first")
    log = scrapyd.wait_for_end("first")
    fetched = out.rows()
    assert 0 < len(fetched) < LINES, log
    assert out.summary["exit_code"] == 75, log

    scrapyd.schedule("second", **arguments)
    log = scrapyd.wait_for_end("second")
    rows = sorted((row["line"], row["outcome"]) for row in out.rows())
    assert rows == [(line, "ok") for line in range(1, LINES + 1)], log
    assert len(out.envelopes()) == LINES
    assert out.summary["exit_code"] == 0, log

    again = {path for path, times in api.seen("/items/").items() if times > 1}
    assert len(again) <= WORKERS  # what was in flight when the job was cancelled
    assert again.isdisjoint(row["url"].removeprefix(api.origin) for row in fetched)
