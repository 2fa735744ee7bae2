"""A crawl held against the hostile server: the process, the list, and what a record must say."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import pytest

from crawler.items import Outcome
from tests.hostile.behaviour import MAX_BYTES, TIMEOUT_S, WORKERS, Behaviour
from tests.hostile.stock import STOCK

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.harness import Crawl, CrawlResult, Running

ROOT: Final = Path(__file__).parent.parent.parent
END_S: Final = 60.0

LATE_S: Final = 60.0
"""How much later than its timeout a call may end on a machine that is busy: what has no timeout takes for ever."""

PATIENCE_S: Final = 120.0
"""Timeout of the other calls, which end by what the server does, however busy the machine is. They take 3 s."""

SETTINGS: Final = {
    "DOWNLOAD_TIMEOUT": PATIENCE_S,
    "APIFETCH_STALL_S": PATIENCE_S,
    "DOWNLOAD_MAXSIZE": MAX_BYTES,
    "RETRY_TIMES": 0,
    "APIFETCH_RETRY_BASE_S": 0.001,  # so many failures in a row are an outage, in which a host rests
    "APIFETCH_RETRY_CAP_S": 0.001,
}

TIMEOUTS: Final = """\
from crawler.items import TICKET


class Timeouts:
    def process_request(self, request):
        request.meta["download_timeout"] = request.meta[TICKET].entry.meta["timeout_s"]
"""
"""Each line of the list says its call's."""


class HostileProcess:
    """`python -m tests.hostile.server`, which ends with this process. urls: name -> URL. ca_file: whom to trust."""

    def __init__(self, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile.server", *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline())
        self.ca_file: str = said["ca_file"]
        self.urls: dict[str, str] = said["urls"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()
            try:
                self._process.wait(END_S)
            except subprocess.TimeoutExpired:
                self._process.kill()


@dataclass(frozen=True, slots=True)
class Trial:
    """A crawl that has ended. rows: of the ledger, by behaviour. peak_bytes: of its memory; None: cannot be read."""

    result: CrawlResult
    rows: Mapping[str, list[dict[str, Any]]]
    peak_bytes: int | None

    def check(self, behaviour: Behaviour) -> None:
        """One record, of the right outcome and status, in time; what is ok is stored byte for byte."""
        (row,) = self.rows[behaviour.name]
        assert (row["outcome"], row["status"]) == (behaviour.outcome, behaviour.status), row["error"]
        if behaviour.outcome is Outcome.TIMEOUT:
            assert row["elapsed_ms"] <= (TIMEOUT_S + LATE_S) * 1000
        if behaviour.outcome is Outcome.OK:
            self.check_body(behaviour)
        else:
            assert row["error"]

    def check_body(self, behaviour: Behaviour) -> None:
        """What is stored is what the server sent."""
        (row,) = self.rows[behaviour.name]
        assert row["bytes"] == len(behaviour.body)
        assert row["sha256"] == hashlib.sha256(behaviour.body).hexdigest()
        assert (self.result.out / row["location"]).read_bytes() == behaviour.body

    def check_stock(self, behaviour: Behaviour) -> None:
        """The same with Scrapy's own handler, as far as it goes: the outcome, and the body unless it differs."""
        (row,) = self.rows[behaviour.name]
        assert row["outcome"] == STOCK.get(behaviour.name, behaviour.outcome), row["error"]
        if behaviour.outcome is Outcome.OK and behaviour.name not in STOCK:
            self.check_body(behaviour)


def marked(behaviours: Iterable[Behaviour]) -> list[Any]:
    """Parameters of a test, each by its name; what is still to be done is expected to fail, and only that."""
    return [
        pytest.param(
            behaviour,
            id=behaviour.name,
            marks=[pytest.mark.xfail(reason=behaviour.todo, raises=AssertionError)] if behaviour.todo else [],
        )
        for behaviour in behaviours
    ]


def try_out(
    crawl: Crawl,
    server: HostileProcess,
    behaviours: Iterable[Behaviour],
    settings: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Trial:
    """Crawl these behaviours, all at once; in a mixed order, for a host that only fails is called by one at a time.

    timeout_s: of those that are to end by it.
    """
    listed = list(behaviours)
    random.Random(7).shuffle(listed)
    path = crawl.cwd / "items.jsonl"
    lines = [
        {**line(each, server.urls), "meta": {"timeout_s": timeout_s if each.outcome is Outcome.TIMEOUT else PATIENCE_S}}
        for each in listed
    ]
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    (crawl.cwd / "timeouts.py").write_text(TIMEOUTS)
    settings = {
        **SETTINGS, "APIFETCH_CA_FILE": server.ca_file, "DOWNLOADER_MIDDLEWARES": {"timeouts.Timeouts": 100},
        **(settings or {}),
    }  # fmt: skip
    running = crawl.start(path, workers=WORKERS, save="raw", settings=settings, env=env)
    peak_bytes = watch_memory(running)
    result = running.wait()
    names = {url: name for name, url in server.urls.items()}
    rows: dict[str, list[dict[str, Any]]] = {behaviour.name: [] for behaviour in listed}
    for row in result.rows():
        rows[names[row["url"]]].append(row)
    return Trial(result, rows, peak_bytes)


def line(behaviour: Behaviour, urls: Mapping[str, str]) -> dict[str, Any]:
    """The list's line."""
    call: dict[str, Any] = {"url": urls[behaviour.name], "method": behaviour.method, "headers": dict(behaviour.headers)}
    if behaviour.payload:
        call["body_base64"] = b64encode(behaviour.payload).decode()
    return call


def watch_memory(running: Running) -> int | None:
    """Wait for a crawl's end. Its largest resident set in bytes, as Linux keeps it; None elsewhere.

    Not ru_maxrss, which begins with what the process was forked from.
    """
    status = Path(f"/proc/{running.process.pid}/status")
    peak_kib = None
    while True:
        try:
            running.process.wait(0.05)
        except subprocess.TimeoutExpired:
            if status.exists():
                found = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
                peak_kib = int(found[0].split()[1]) if found else peak_kib
        else:
            return peak_kib and peak_kib * 1024
