"""What a person sees while a run goes on: the bar in a real terminal, lines elsewhere, metrics.prom in any case."""

from __future__ import annotations

import re
import signal
import sys

import pytest

from tests.harness import ApiServer, Crawl, write_list
from tests.terminal import Terminal

SPIDER = """
from crawler.spiders.apifetch import ApiFetchSpider


class Talking(ApiFetchSpider):
    name = "talking"

    def parse(self, response):
        self.logger.info("news of %s: %s", response.url.rpartition("/")[2], "x" * 70)
        return ()
"""

SETTINGS = """
from crawler.settings import *

SPIDER_MODULES = ["talking"]
LOG_FORMAT = "%(levelname)s %(message)s"
"""

LINE = re.compile(
    r" 22 done: 21 ok, 1 failed; 1 left of 23; 91 % ok; .+ calls/s; .+ p50 .+, p95 .+; 1 of \d+ workers; "
    r"1 retry; 0 resting.*\. Limited by .+"
)

HANGS = "/slow/{}?delay_ms=900000"


def start(crawl: Crawl, urls: list[str], *options: str, columns: int = 80, **env: str) -> Terminal:
    """A crawl in a terminal, of a spider that logs a line for each answer."""
    (crawl.cwd / "talking.py").write_text(SPIDER)
    (crawl.cwd / "settings_of_mine.py").write_text(SETTINGS)
    items = write_list(crawl.cwd / "items.txt", urls)
    command = [sys.executable, "-m", "scrapy", "crawl", "talking", "-a", f"urls={items}", "-a", "workers=5", *options]
    command += ["-s", "DOWNLOAD_TIMEOUT=900"]
    environment = crawl._environment(crawl.cwd, "settings_of_mine") | env
    return Terminal(command, env=environment, cwd=crawl.cwd, columns=columns)


def test_the_bar_in_a_terminal_with_log_lines_a_resize_and_ctrl_c(api: ApiServer, crawl: Crawl) -> None:
    """Log lines scroll above it whole, the window may change, and Ctrl-C leaves the terminal as it was."""
    good = [api.url(f"/items/{n}") for n in range(30)]
    bad = [api.url(f"/missing/{n}") for n in range(10)]
    urls = [*good, *bad, *(api.url(HANGS.format(n)) for n in range(60))]
    with start(crawl, urls, "-s", "APIFETCH_DRAIN_S=0") as terminal:
        terminal.wait_for(lambda: "30 ok · 10 failed · 60 left of" in terminal.text)
        terminal.wait_for(lambda: "5 of 5 workers" in terminal.text)
        bar = [line for line in terminal.lines if "% ok" in line]
        assert len(bar) == 1, terminal.text
        assert bar[0].startswith("items  ━")
        assert " 30 % ok" in bar[0]
        assert terminal.text.count(" calls/s ·") == 1
        assert not terminal.has_cursor()
        for n in range(30):
            assert f"INFO news of {n}: {'x' * 70}"[:80] in terminal.scrolled
            assert f"{'x' * 70}"[-(len(f"INFO news of {n}: ") - 10) :] in terminal.scrolled
        terminal.resize(60, 24)
        terminal.wait_for(lambda: any(line.endswith("0 resting") for line in terminal.lines if "·" not in line[:3]))
        terminal.wait_for(lambda: sum("% ok" in line for line in terminal.lines) == 1)
        assert max(len(line) for line in terminal.lines if "·" in line) < 60
        terminal.resize(120, 24)
        terminal.wait_for(lambda: any("0 resting" in line and "30 ok" in line for line in terminal.lines))
        terminal.press(b"\x03")
        assert terminal.wait() == 75
        assert terminal.has_cursor()
        assert "% ok" not in terminal.text, "the bar is gone"
        assert "30 ok + 10 failed" in terminal.text
        assert "Exit code 75" in terminal.lines[-1]
        assert "Traceback" not in terminal.scrolled


FETCHING = """
import crawler

calls = {urls!r}
try:
    crawler.fetch(calls, out="out/fetched", workers=5, settings={{"APIFETCH_DRAIN_S": 0, "DOWNLOAD_TIMEOUT": 900}})
except KeyboardInterrupt:
    print("back again")
done = crawler.fetch(calls[:-9], out="out/few", quiet=True)
print("quiet", done.ok)
"""


def test_the_bar_of_a_crawl_that_python_started(api: ApiServer, crawl: Crawl) -> None:
    """The crawl is another process; the terminal is this one's, and is given back after Ctrl-C."""
    urls = [*(api.url(f"/items/{n}") for n in range(20)), *(api.url(HANGS.format(n)) for n in range(9))]
    environment = crawl._environment(crawl.cwd, "crawler.settings")
    command = [sys.executable, "-c", FETCHING.format(urls=urls)]
    with Terminal(command, env=environment, cwd=crawl.cwd) as terminal:
        terminal.wait_for(lambda: "20 ok · 0 failed · 9 left of 29" in terminal.text)
        terminal.wait_for(lambda: "5 of 5 workers" in terminal.text)
        assert sum("% ok" in line for line in terminal.lines) == 1, terminal.text
        assert "Fetching " in terminal.scrolled
        assert not terminal.has_cursor()
        terminal.press(b"\x03")
        assert terminal.wait() == 0
        assert terminal.has_cursor()
        assert "% ok" not in terminal.text, "the bar is gone"
        assert "Exit code 75" in terminal.scrolled
        assert terminal.lines[-2:] == ["back again", "quiet 20"], terminal.text


def test_without_colours_and_twice_ctrl_c(api: ApiServer, crawl: Crawl) -> None:
    """NO_COLOR (no-color.org) leaves no colour; even a forced stop gives the cursor back."""
    urls = [api.url(HANGS.format(n)) for n in range(9)]
    with start(crawl, urls, NO_COLOR="1") as terminal:
        terminal.wait_for(lambda: "5 of 5 workers" in terminal.text)
        terminal.press(b"\x03")
        terminal.wait_for(lambda: "Send again" in terminal.scrolled.replace("\n", ""))
        terminal.wait_for(lambda: "stopping" in terminal.text)
        terminal.press(b"\x03")
        assert terminal.wait() == 75
        assert terminal.has_cursor()
        assert re.findall(rb"\x1b\[(?:[0-9;]*;)?[349][0-7](?:;[0-9;]*)?m", terminal.bytes) == []


def test_lines_in_a_pipe_and_numbers_for_prometheus(api: ApiServer, crawl: Crawl) -> None:
    """No terminal: now and then a line in the log. The last metrics.prom is that of the end."""
    urls = [*(api.url(f"/items/{n}") for n in range(20)), api.url("/missing/1"), api.url("/flaky/1")]
    settings = {"APIFETCH_PROGRESS_S": 0.3, "APIFETCH_DRAIN_S": 0}
    running = crawl([*urls, api.url(HANGS.format(1))], wait=False, settings=settings)
    running.wait_for(lambda: len(LINE.findall(running.stderr)) >= 6)  # of less than a second nothing is said
    running.signal(signal.SIGTERM)
    result = running.wait()
    assert "\x1b" not in result.stderr
    metrics = parsed((result.out / "metrics.prom").read_text())
    assert metrics['apifetch_records{list="items",outcome="ok"}'] == 21
    assert metrics['apifetch_records{list="items",outcome="http_error"}'] == 1
    assert metrics['apifetch_records_left{list="items"}'] == 1
    assert metrics['apifetch_calls_total{list="items"}'] == result.summary["run"]["calls"] == 23
    assert metrics['apifetch_retries_total{list="items"}'] == 1
    assert metrics['apifetch_refused_total{list="items"}'] == 1
    assert metrics['apifetch_running{list="items"}'] == 0
    assert metrics['apifetch_exit_code{list="items"}'] == result.returncode == 75
    assert metrics['apifetch_call_duration_seconds_count{list="items"}'] == 22
    assert metrics['apifetch_call_duration_seconds_bucket{list="items",le="+Inf"}'] == 22
    (row,) = result.rows("select sum(calls) calls, sum(refused) refused, sum(bytes) bytes from timeline")
    assert (row["calls"], row["refused"], row["bytes"]) == (23, 1, result.summary["run"]["bytes"])
    assert {path.name for path in result.out.iterdir() if path.name.startswith(".")} <= {".gitignore", ".lock"}
    assert result.summary["bottleneck"]["sentence"] in result.stderr
    assert sum(result.summary["bottleneck"]["shares"].values()) == pytest.approx(1, abs=0.01)


def test_off_means_silence(api: ApiServer, crawl: Crawl) -> None:
    settings = {"APIFETCH_PROGRESS": "off", "APIFETCH_PROGRESS_S": 0.1}
    result = crawl([api.url("/slow/1?delay_ms=300")], settings=settings)
    assert " done: " not in result.stderr


@pytest.mark.check
def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(api: ApiServer, crawl: Crawl) -> None:
    """In a real shell with job control; behind the shell the bar is silent."""
    items = write_list(crawl.cwd / "items.txt", [api.url(HANGS.format(n)) for n in range(9)])
    environment = crawl._environment(crawl.cwd, "crawler.settings") | {"PS1": "ready> "}
    with Terminal(["bash", "--norc", "-i"], env=environment, cwd=crawl.cwd) as terminal:
        terminal.wait_for(lambda: "ready>" in terminal.text)
        command = f"{sys.executable} -m scrapy crawl apifetch -a urls={items} -s APIFETCH_DRAIN_S=0"
        terminal.press(f"clear; {command}\r".encode())
        terminal.wait_for(lambda: "9 of 10 workers" in terminal.text)
        terminal.press(b"\x1a")
        terminal.wait_for(lambda: "Stopped" in terminal.text and terminal.lines[-1] == "ready>")
        assert terminal.has_cursor()
        assert "of 10 workers" not in terminal.text
        terminal.press(b"bg\r")
        terminal.press(b"sleep 1\r")
        terminal.wait_for(lambda: "sleep 1" in terminal.text and terminal.lines[-1] == "ready>")
        assert "of 10 workers" not in terminal.text
        assert terminal.has_cursor()
        terminal.press(b"fg\r")
        terminal.wait_for(lambda: "9 of 10 workers" in terminal.text)
        assert not terminal.has_cursor()
        terminal.press(b"\x03")
        terminal.wait_for(lambda: "Exit code 75" in terminal.text.replace("\n", "") and "ready>" in terminal.lines[-1])
        assert terminal.has_cursor()


def parsed(text: str) -> dict[str, float]:
    """The samples of an exposition (format 0.0.4), each family with its HELP and TYPE before it."""
    found: dict[str, float] = {}
    known: set[str] = set()
    for line in text.splitlines():
        if match := re.fullmatch(r"# (HELP|TYPE) (\w+) (.+)", line):
            known.add(match[2])
            continue
        match = re.fullmatch(r'((\w+?)(?:_bucket|_sum|_count)?(?:\{(?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*\})) (\S+)', line)
        assert match is not None, line
        assert {match[2], match[1].partition("{")[0]} & known, line
        assert match[1] not in found
        found[match[1]] = float(match[3])
    assert text.endswith("\n")
    return found
