"""`scrapy demo`: the real crawl command seen at work, against a small API on this machine. No network needed.

Owns: what the demo shows, what must come out of it, and that no process is left behind, Ctrl-C or not.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from scrapy.commands import ScrapyCommand
from scrapy.utils.conf import closest_scrapy_cfg

import crawler

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

FOLDER: Final = Path("out/demo")
LIST: Final = FOLDER / "demo.txt"
OUT: Final = FOLDER / "items"
WRITTEN_FOR: Final = "http://127.0.0.1:8765"
"""The address in the lists of urls/; the demo's API takes any free port."""

ROUTES: Final = ("/items/{}", "/slow/{}", "/missing/{}", "/flaky/{}")
"""What the list is made of where urls/ is not at hand, as in an egg."""

CRAWL: Final = ["scrapy", "crawl", "apifetch", "-a", f"urls={LIST}", "-a", f"out={OUT}"]

Came = tuple[str, int | None, int]
"""What became of a line: outcome, status, attempts."""


class UnexpectedError(Exception):
    """The demo did not come out as it should; the message says what."""


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def short_desc(self) -> str:
        return "Run the real crawl command against a small API on this machine"

    def run(self, args: list[str], opts: argparse.Namespace) -> None:  # noqa: ARG002  # Scrapy's signature
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped either way, it stops what it started
        try:
            _clear()
            with _api() as origin:
                _show(origin)
        except UnexpectedError as exc:
            self._fail(f"The demo did not come out as it should: {exc}")
        except KeyboardInterrupt:
            self._fail("The demo was stopped")

    def _fail(self, message: str) -> None:
        print(message, file=sys.stderr)
        self.exitcode = 1


def _clear() -> None:
    """Make FOLDER anew. Raises UnexpectedError rather than remove what no demo made."""
    if FOLDER.exists() and not LIST.exists():
        raise UnexpectedError(f"{FOLDER} is there, but not of an earlier demo: move it away")
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True)


def _environment() -> dict[str, str]:
    """What the processes get: the project from whatever folder, and no proxy between here and here."""
    path = [str(Path(crawler.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path), "no_proxy": "*"}


@contextmanager
def _api() -> Iterator[str]:
    """The API's address while it runs. It ends when its stdin is closed: on leaving, or with this process."""
    with subprocess.Popen(
        [sys.executable, "-m", "crawler.demo.api", "--with-parent"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=_environment(),
        start_new_session=True,  # Ctrl-C is the crawl's to obey; what it still waits for must be answered
    ) as api:  # fmt: skip
        assert api.stdout is not None
        origin = api.stdout.readline().removeprefix("listening on ").strip()
        if not origin:
            raise UnexpectedError("the API did not start")
        yield origin


def _show(origin: str) -> None:
    LIST.write_text(_list().replace(WRITTEN_FOR, origin), "utf-8")
    print(f"A small API listens on {origin}. {LIST} asks it for items of some 20 kB;")
    print("some are slow, some are refused once, some are missing, one is there twice.\n")
    codes = [_crawl()]
    print("\nThe same command again, as after a crash, has nothing left to do:\n")
    codes.append(_crawl())
    came = _compare(codes)
    ok = sum(outcome == "ok" for outcome, _, _ in came)
    retried = sum(attempts > 1 for _, _, attempts in came)
    print(
        f"\nAs it should be: {ok} bodies are on disk, {retried} of them at the second attempt (503 before);"
        f" {len(came) - ok} are missing (404), hence exit code 8. Have a look:\n"
    )
    for line in _looks():
        print(f"  {line}")


def _list() -> str:
    config = closest_scrapy_cfg()
    path = Path(config).parent / "urls" / "items.txt"
    if config and path.exists():
        return path.read_text("utf-8")
    return "".join(f"{WRITTEN_FOR}{route.format(number)}\n" for number in range(10) for route in ROUTES)


def _crawl() -> int:
    """Run CRAWL, and show it. Returns the exit code."""
    print(f"$ {' '.join(CRAWL)}", flush=True)
    with subprocess.Popen([sys.executable, "-m", *CRAWL], env=_environment(), start_new_session=True) as crawl:
        try:
            return crawl.wait()
        except KeyboardInterrupt:
            crawl.terminate()  # once: it stops in good order
            crawl.wait()
            raise
        finally:
            crawl.kill()  # at a second Ctrl-C; nothing happens to a process that has ended


def _compare(codes: list[int]) -> list[Came]:
    """What became of each call. Raises UnexpectedError when it is not what the list asks for."""
    wanted = {url: _expected(url) for url in LIST.read_text("utf-8").splitlines() if url.startswith("http")}
    with closing(sqlite3.connect(OUT / "ledger.sqlite")) as ledger:
        rows = ledger.execute("SELECT url, outcome, status, attempts FROM records WHERE outcome != 'duplicate'")
        found: dict[str, Came] = {url: (outcome, status, attempts) for url, outcome, status, attempts in rows}
    for url in {**wanted, **found}:
        if found.get(url) != wanted.get(url):
            raise UnexpectedError(f"{url} became {found.get(url)}, expected {wanted.get(url)}")
    again = json.loads((OUT / "summary.json").read_text("utf-8"))["run"]["calls"]
    if codes != [8, 8] or again:
        raise UnexpectedError(f"exit codes {codes}, expected twice 8; {again} calls by the second run, expected none")
    return list(found.values())


def _expected(url: str) -> Came:
    if "/missing/" in url:
        return "http_error", 404, 1
    return "ok", 200, 2 if "/flaky/" in url else 1


def _looks() -> list[str]:
    """Commands to look at the result, of the programs that are here."""
    answers = f"{OUT}/responses/*/*.json"
    looks = {
        "head": f"head -c 600 $(ls {answers} | head -1)",
        "jq": f"jq -c '[.status, .elapsed_ms, .url]' {answers} | head -5",
        "sqlite3": f'sqlite3 {OUT}/ledger.sqlite "select outcome, status, count(*) from records group by 1, 2"',  # noqa: S608  # shown, not run
        "cat": f"cat {OUT}/failed.jsonl",
        "python3": f"python3 -m json.tool {OUT}/summary.json",
    }
    return [line for program, line in looks.items() if shutil.which(program)]
