"""A list that is done is passed over quickly: the same command again, over so many lines.

    python -m tests.proofs.passed_over --lines 10_000_000
    python -m tests.proofs.passed_over --lines 1_000_000 --grown

A run over one line makes the ledger, and copies of its row stand for the others; then the real command runs. The
list unchanged, a bit a line tells it what is done; otherwise each line is looked up by its call.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import sqlite3
import tempfile
import time
import uuid
from contextlib import closing, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.sources import fingerprint
from crawler.store.ledger import NAME
from tests.harness import Crawl, write_list
from tests.proofs.memory import AtOnce
from tests.stored import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

STUB: Final = {"APIFETCH_HTTP_HANDLER": f"tests.proofs.memory.{AtOnce.__name__}", "APIFETCH_MIN_FREE_BYTES": 0}


def url(number: int) -> str:
    return f"http://api.test/v2/customers/{number}/orders"


def measure(lines: int, folder: Path, *, grown: bool) -> tuple[float, float]:
    """Seconds and CPU seconds of the run. Raises AssertionError when anything is fetched again."""
    items, ledger = folder / "items.txt", folder / "out" / "items" / NAME
    crawl = Crawl(folder, settings=STUB)
    write_list(items, [url(0)])
    assert crawl(items).returncode == 0
    fill(ledger, lines)
    write_list(items, map(url, range(lines)))
    if not grown:
        found = fingerprint(str(items))
        assert found is not None  # as of a pipe
        text = json.dumps(asdict(found))
        with closing(sqlite3.connect(ledger)) as connection, connection:
            connection.execute("UPDATE lists SET fingerprint = ?", (text,))
    began_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    result = crawl(items, timeout_s=3600)
    seconds, after = time.monotonic() - began_s, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode == 0, result.stderr
    assert result.summary["run"]["calls"] == 0
    assert result.summary["equation"]["ok"] == lines
    crawl.close()
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fill(ledger: Path, lines: int) -> None:
    """Give each further line a row like the first one's."""
    with closing(sqlite3.connect(ledger)) as connection:
        columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(calls)") if name != "id"]
        own = {"uuid8": "?1", "uuid": "?2", "line": "?3", "url": "?4"}
        values = ", ".join(own.get(name, name) for name in columns)
        copy = f"INSERT INTO calls ({', '.join(columns)}) SELECT {values} FROM calls WHERE id = 1"
        with connection:
            connection.executemany(copy, rows(lines))


def rows(lines: int) -> Iterator[tuple[int, bytes, int, str]]:
    for number in range(1, lines):
        name = uuid.uuid5(uuid.NAMESPACE_URL, url(number)).bytes
        yield int.from_bytes(name[:8], "big", signed=True), name, number + 1, url(number)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--grown", action="store_true", help="the list has grown since: each line is looked up")
    parser.add_argument("--folder", type=Path, default=MEMORY, help="for the output; default: in memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder, redirect_stdout(io.StringIO()):
        seconds, cpu_s = measure(given.lines, Path(folder), grown=given.grown)
    print(f"{given.lines:,} lines that are done: {seconds:.1f} s, {cpu_s:.1f} s of CPU")


if __name__ == "__main__":
    main()
