"""What a line costs in memory: the real command on long lists, with a stub instead of the network.

    python -m tests.proofs.memory --lines 1_000_000

The resident size of the engine and of the writer's process is read when the ledger holds the first tenth
of the lines, and at the end; the slope between the two is bytes a line. At most 20, in both together.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.harness import Crawl

BYTES_A_LINE = 20
"""The promise: 20 MB more for a million lines more."""

STUB = '''
from scrapy.core.downloader.handlers.base import BaseDownloadHandler
from scrapy.http import JsonResponse


class Stub(BaseDownloadHandler):
    """Answers at once, without a network."""

    async def download_request(self, request):
        return JsonResponse(request.url, body=b'{"id": 1}', headers={"Content-Type": "application/json"})
'''


@dataclass(frozen=True, slots=True)
class Slope:
    """first_bytes, last_bytes: resident sizes of both processes at a tenth of the lines, and at the end."""

    lines: int
    first_bytes: int
    last_bytes: int

    @property
    def bytes_a_line(self) -> float:
        return (self.last_bytes - self.first_bytes) / (self.lines - self.lines // 10)


def measure(lines: int, folder: Path, out: Path) -> Slope:
    """Raises AssertionError when the crawl does not end well."""
    (folder / "stub.py").write_text(STUB)
    items = folder / "items.txt"
    with items.open("w") as file:
        file.writelines(f"http://api.test/items/{number}\n" for number in range(lines))
    crawl = Crawl(folder, settings={"APIFETCH_HTTP_HANDLER": "stub.Stub", "APIFETCH_DURABILITY": "process"})
    running = crawl(items, wait=False, out=str(out))
    sizes: dict[int, int] = {}
    while running.process.poll() is None:
        done = _rows(out)
        if done >= lines // 10:
            sizes.setdefault(0, _resident_bytes(running.process.pid))
            sizes[1] = _resident_bytes(running.process.pid) or sizes.get(1, 0)
        time.sleep(0.2)
    assert running.wait().returncode == 0
    return Slope(lines, sizes[0], sizes[1])


def _rows(out: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{out / 'ledger.sqlite'}?mode=ro", uri=True)) as ledger:
            return int(ledger.execute("SELECT max(id) FROM calls").fetchone()[0] or 0)
    except sqlite3.Error:  # not there yet
        return 0


def _resident_bytes(pid: int) -> int:
    """Of the engine and the writer; 0 when one of them is not there."""
    try:
        pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
        pages = [int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in pids]
    except (OSError, IndexError):
        return 0
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") if len(pids) > 1 else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=100_000)
    lines = parser.parse_args().lines
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory(dir=memory) as out:
        slope = measure(lines, Path(folder), Path(out) / "items")
    print(
        f"{lines} lines: {slope.first_bytes / 1e6:.1f} MB resident at a tenth of them, {slope.last_bytes / 1e6:.1f} MB "
        f"at the end: {slope.bytes_a_line:.1f} bytes a line (promised: {BYTES_A_LINE})"
    )


if __name__ == "__main__":
    main()
