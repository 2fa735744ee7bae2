"""A run needs no more memory for a million lines than for a hundred thousand.

    python -m tests.proofs.memory
    python -m tests.proofs.memory --start 20_000 --lines 60_000

The real command, both its processes, over a list of so many lines; a stub in the download handler's place
answers at once. The memory that is their own (RssAnon) is sampled as the ledger grows; what is printed is
the slope of the line through the samples from --start on.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING, Final

from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.http import TextResponse

from tests.harness import Crawl, write_list
from tests.stored import MEMORY

if TYPE_CHECKING:
    from scrapy import Request

    from tests.harness import Running

BOUND_BYTES: Final = 20
"""A line. A bit or two are needed; the rest is how unevenly an allocator grows."""

SAMPLE_S: Final = 0.1


class AtOnce(BaseDownloadHandler):
    """Answers every request with the same small body."""

    lazy = False

    async def download_request(self, request: Request) -> TextResponse:
        await asyncio.sleep(0)
        request.meta["download_latency"] = 0.0
        headers = {"Content-Type": "application/json", "Date": "Sun, 22 Nov 2026 15:04:05 GMT", "Server": "nginx"}
        return TextResponse(request.url, headers=headers, body=b'{"id": 1, "ok": true}', request=request)

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Outcome:
    """samples: (rows, bytes) each, from the start line on."""

    samples: list[tuple[int, int]]
    seconds: float

    @property
    def bytes_a_line(self) -> float:
        rows, sizes = zip(*self.samples, strict=True)
        return linear_regression(rows, sizes).slope


def measure(start: int, lines: int, folder: Path) -> Outcome:
    """Run the command and watch it. Raises AssertionError when it does not end well."""
    items = write_list(folder / "items.txt", (f"http://api.test/v2/customers/{n}/orders" for n in range(lines)))
    crawl = Crawl(folder)
    began_s = time.monotonic()
    running = crawl(items, wait=False, settings={"APIFETCH_HTTP_HANDLER": f"tests.proofs.memory.{AtOnce.__name__}"})
    samples = []
    try:
        while running.process.poll() is None:
            time.sleep(SAMPLE_S)
            rows = _rows(folder / "out" / "items" / "ledger.sqlite")
            size = sum(map(_own_bytes, _processes(running)))
            if rows >= start and size:
                samples.append((rows, size))
        assert running.wait().returncode == 0
        assert _rows(folder / "out" / "items" / "ledger.sqlite") == lines
    finally:
        crawl.close()
    return Outcome(samples[:-1], time.monotonic() - began_s)  # the last may be of a process that ends


def _rows(ledger: Path) -> int:
    try:
        with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT max(id) FROM calls").fetchone()[0] or 0)
    except sqlite3.OperationalError:  # there is none yet
        return 0


def _processes(running: Running) -> list[int]:
    pid = running.process.pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *map(int, children)]


def _own_bytes(pid: int) -> int:
    """0 of a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    sizes = [line.split()[1] for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(sizes[0]) * 1024 if sizes else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=int, default=100_000)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=MEMORY, help="for the output; default: in memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        outcome = measure(given.start, given.lines, Path(folder))
    first, last = outcome.samples[0], outcome.samples[-1]
    print(
        f"{first[0]:,} to {last[0]:,} lines: {first[1] / 1e6:.1f} to {last[1] / 1e6:.1f} MB, "
        f"{outcome.bytes_a_line:.1f} bytes a line (bound {BOUND_BYTES}), "
        f"{given.lines / outcome.seconds:,.0f} lines a second"
    )
    assert outcome.bytes_a_line <= BOUND_BYTES


if __name__ == "__main__":
    main()
