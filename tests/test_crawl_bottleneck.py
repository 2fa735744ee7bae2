"""Why was it not faster? Real runs, each made to be limited by one thing, name it."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from tests.proofs.limits import Leaky
from tests.scripted import Says, Scripted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.harness import ApiServer, Crawl, Running
    from tests.scripted import Heard

BUSY = """
import time

from crawler.spiders.apifetch import ApiFetchSpider


class Busy(ApiFetchSpider):
    name = "busy"

    def parse(self, response):
        until_s = time.process_time() + 0.01
        while time.process_time() < until_s:
            pass
        return ()
"""


def found(crawl: Crawl, urls: Sequence[str], **how: Any) -> dict[str, Any]:
    """What summary.json says was in the way."""
    result = crawl(urls, **how)
    assert result.returncode == 0
    bottleneck: dict[str, Any] = result.summary["bottleneck"]
    assert bottleneck["sentence"] in result.stderr
    assert bottleneck["sentence"] in (result.out / "report.html").read_text("utf-8").replace("&#x27;", "'")
    return bottleneck


def test_the_users_own_rate(api: ApiServer, crawl: Crawl) -> None:
    said = found(crawl, [api.url(f"/items/{n}?size=300") for n in range(8)], rate="4/s")
    assert said["limit"] == "rate"
    assert said["sentence"].startswith("Limited by rate=4/s, as asked")


def test_the_latency_of_the_api(api: ApiServer, crawl: Crawl) -> None:
    said = found(crawl, [api.url(f"/items/{n}?size=300&delay_ms=300") for n in range(16)], workers=2)
    assert said["limit"] == "latency"
    assert "all 2 workers wait for answers" in said["sentence"]
    assert "workers=4 would give about" in said["sentence"]


@pytest.mark.check
def test_the_count_in_the_apis_headers(crawl: Crawl) -> None:
    """Two calls in each two seconds, and the API says so."""

    def answer(heard: Heard) -> Says:
        left = "1" if heard.path.endswith(("0", "2", "4", "6")) else "0"
        return Says(headers={"X-RateLimit-Limit": "2", "X-RateLimit-Remaining": left, "X-RateLimit-Reset": "2"})

    with Scripted(answer) as server:
        said = found(crawl, [f"{server.origins[0]}/{n}" for n in range(6)], workers=1)
    assert said["limit"] == "headers"
    assert "x-ratelimit-remaining says that no calls are left" in said["sentence"]


@pytest.mark.check
def test_refusals(crawl: Crawl) -> None:
    """One call at a time is taken, the others are refused."""
    with Scripted(
        lambda heard: Says(status=429, headers={"Retry-After": "2"}) if heard.times == 1 else Says()
    ) as server:
        said = found(crawl, [f"{server.origins[0]}/{n}" for n in range(4)], workers=1)
    assert said["limit"] == "asked"
    assert "it asked to wait (retry-after)" in said["sentence"]


@pytest.mark.check
def test_the_pace_that_refusals_have_taught(crawl: Crawl) -> None:
    """An API that takes ten calls a second and does not say so: between two of them nothing is on its way."""
    with Scripted(Leaky(10.0, retry_after=False)) as server:
        seconds = {"APIFETCH_RETRY_BASE_S": 1, "APIFETCH_RETRY_CAP_S": 10}
        said = found(crawl, [f"{server.origins[0]}/{n}" for n in range(150)], settings=seconds)
    assert said["limit"] == "refused"
    assert "it takes about" in said["sentence"]


@pytest.mark.check
def test_a_list_that_comes_slowly(api: ApiServer, crawl: Crawl) -> None:
    """Each line is written when the one before has its row."""
    running = crawl("-", wait=False, stdin=subprocess.PIPE, out="out/stdin")
    assert running.process.stdin is not None
    for n in range(25):
        running.process.stdin.write(f"{api.url(f'/items/{n}?size=300')}\n".encode())
        running.process.stdin.flush()
        running.wait_for(partial(_has_rows, running, n + 1))
    result = running.wait()
    assert result.summary["bottleneck"]["limit"] == "list"


def _has_rows(running: Running, count: int) -> bool:
    return len(running.output.rows()) == count


@pytest.mark.check
def test_this_machines_cpu(api: ApiServer, crawl: Crawl) -> None:
    """A callback that computes."""
    (crawl.cwd / "busy.py").write_text(BUSY)
    (crawl.cwd / "busy_settings.py").write_text('from crawler.settings import *\nSPIDER_MODULES = ["busy"]\n')
    urls = [api.url(f"/items/{n}?size=300") for n in range(300)]
    said = found(crawl, urls, spider="busy", settings_module="busy_settings")
    assert said["limit"] == "cpu"


@pytest.mark.check
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_the_disk(api: ApiServer, crawl: Crawl) -> None:
    """A writer whose every sync takes a second."""
    urls = [api.url(f"/items/{n}?size=300") for n in range(4000)]
    running = crawl(urls, wait=False, workers=50)
    running.wait_for(lambda: running.output.summary)
    (writer,) = subprocess.run(
        ["pgrep", "-P", str(running.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    delay = ["-e", "trace=fsync,fdatasync,syncfs", "-e", "inject=fsync,fdatasync,syncfs:delay_enter=1000000"]
    tracer = subprocess.Popen(["strace", "-f", "-o", "/dev/null", "-p", writer, *delay])
    result = running.wait()
    tracer.wait(60)
    assert result.summary["bottleneck"]["limit"] == "disk"
