"""How a run stops: by one signal, by two, by kill -9, while nothing comes from stdin, and because another one runs."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.harness import ApiServer, Crawl, write_list
from tests.proofs.kills import Trial, run_trial

if TYPE_CHECKING:
    from pathlib import Path

HANGS_S = 400
"""How long the slow answers take: far longer than a stop may."""


def held(api: ApiServer) -> int:
    return int(api.stats()["held"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_the_run_though_answers_take_longer(
    api: ApiServer, crawl: Crawl, number: signal.Signals
) -> None:
    """Calls on the wire get APIFETCH_DRAIN_S, then they are left for the next run."""
    urls = [api.url(f"/items/{n}") for n in range(5)] + [
        api.url(f"/slow/{n}?delay_ms={HANGS_S * 1000}") for n in range(30)
    ]
    running = crawl(urls, wait=False, workers=10, settings={"APIFETCH_DRAIN_S": 1, "DOWNLOAD_TIMEOUT": HANGS_S})
    running.wait_for(lambda: held(api) == 10 and len(running.output.rows()) == 5)
    running.signal(number)
    result = running.wait(timeout_s=HANGS_S / 2)
    assert result.returncode == 75
    assert result.summary["state"] == "stopped"
    assert result.summary["stop_reason"] == "shutdown"
    assert result.summary["equation"]["ok"] == 5
    assert len(result.rows()) == 5
    assert "Traceback" not in result.stderr


def test_two_signals_lose_nothing_that_was_acknowledged(api: ApiServer, crawl: Crawl) -> None:
    urls = [api.url(f"/items/{n}") for n in range(300)]
    slow = [api.url(f"/slow/{n}?delay_ms={HANGS_S * 1000}") for n in range(3)]
    items = write_list(crawl.cwd / "items.txt", slow + urls)
    running = crawl(items, wait=False, workers=8)
    running.wait_for(lambda: len(running.output.rows()) > 50)
    running.signal(signal.SIGTERM)
    running.wait_for(lambda: "shutting down gracefully" in running.stderr)
    running.signal(signal.SIGTERM)
    result = running.wait()
    assert result.returncode == 75
    acknowledged = {row["uuid"]: row["file_digest"] for row in result.rows()}
    assert len(acknowledged) > 50
    write_list(items, urls)  # the slow ones go, so that the rest can end soon
    again = crawl(items)
    assert again.returncode == 0
    assert acknowledged.items() <= {row["uuid"]: row["file_digest"] for row in again.rows()}.items()
    assert len(again.rows()) == 300


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_silent_stdin_does_not_keep_a_stopped_run(api: ApiServer, crawl: Crawl, number: signal.Signals) -> None:
    running = crawl("-", wait=False, stdin=subprocess.PIPE)
    assert running.process.stdin is not None
    running.process.stdin.write(f"{api.url('/items/1')}\n".encode())
    running.process.stdin.flush()
    running.wait_for(lambda: "Fetching" in running.stderr)
    running.signal(number)
    assert running.process.wait(timeout=240) == 75
    running.wait()  # gives the pipe back
    assert "Fatal Python error" not in running.stderr


def test_a_second_run_on_the_directory_changes_nothing(api: ApiServer, crawl: Crawl) -> None:
    running = crawl([api.url(f"/slow/{n}?delay_ms=900000") for n in range(3)], wait=False)
    running.wait_for(lambda: held(api) == 3)
    before = snapshot(running.output.out)
    second = crawl("items.txt")
    assert second.returncode == 69
    assert "another run holds" in second.stderr
    assert "Traceback" not in second.stderr
    assert snapshot(running.output.out) == before
    running.kill()
    assert (
        crawl("items.txt", limit=0 + 1, timeout_s=60, settings={"DOWNLOAD_TIMEOUT": 1, "RETRY_TIMES": 0}).returncode
        == 4
    )


def test_a_signal_while_the_list_is_downloaded(api: ApiServer, crawl: Crawl) -> None:
    """The server says nothing, and no event loop runs; the same command again would begin."""
    running = crawl(api.url("/slow/list.txt?delay_ms=600000"), wait=False, out="out/web")
    running.wait_for(lambda: held(api) == 1)
    running.signal(signal.SIGINT)
    result = running.wait()
    assert result.returncode == 75
    assert "stopped by SIGINT" in result.stderr
    assert "Traceback" not in result.stderr
    assert list((result.out / "list").iterdir()) == []


BEFORE_ANY_RUN = """
import os, signal, sys

class Pressing:
    "Ctrl-C at the moment in which a module is looked for."

    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Pressing())
{start}
"""
CONSOLE = "from crawler.console import main; sys.argv[1:] = ['list']; main()"
SCRAPY = "from scrapy.cmdline import execute; execute(['scrapy', 'list'])"


@pytest.mark.parametrize(("start", "module"), [(CONSOLE, "scrapy.cmdline"), (SCRAPY, "crawler.commands.verify")])
def test_ctrl_c_while_a_command_is_starting_shows_no_traceback(crawl: Crawl, start: str, module: str) -> None:
    """`scrapy` itself is Scrapy's until it asks for our commands."""
    done = subprocess.run(
        [sys.executable, "-c", BEFORE_ANY_RUN.replace("sys.argv[1]", repr(module)).format(start=start)],
        env=crawl._environment(crawl.cwd, "crawler.settings"), capture_output=True, check=False, cwd=crawl.cwd,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if not path.name.endswith("-shm")  # SQLite's shared memory, in use by whoever reads
    }


@pytest.mark.parametrize(
    "trial",
    [
        Trial(kills=5, lines=400),
        Trial(kills=3, lines=20, kind="pages", seed=2),
        Trial(kills=3, lines=300, kind="redo", seed=4),
        pytest.param(Trial(kills=2, lines=100, kind="retries", seed=3), marks=pytest.mark.check),
        pytest.param(Trial(kills=1, lines=60, kind="one worker", seed=1), marks=pytest.mark.check),
        Trial(kills=3, lines=200, kind="packed", seed=2),
    ],
    ids=lambda trial: trial.kind,
)
def test_an_end_at_any_moment_loses_tears_and_doubles_nothing(api: ApiServer, tmp_path: Path, trial: Trial) -> None:
    """SIGKILL of the command, of its writer, of both; SIGTERM; SIGINT twice."""
    run_trial(trial, api, tmp_path)
