"""report.html of a ledger of millions of rows: how long it takes, how much memory, how large the page is.

    python -m tests.proofs.report 10000000

The ledger is written by hand, as a crawl would leave it: 200 calls a second, 3 hosts, a failure in 50.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.report import write_report
from crawler.store.ledger import NAME, Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

PER_S: Final = 200
BOUNDS_MS: Final = (63, 80, 100, 125, 160, 200, 250, 320, 400, 500)
HEADERS: Final = json.dumps(
    {"Content-Type": "application/json", "Date": "Wed, 25 Nov 2026 03:42:50 GMT", "Server": "a"}
)
CALLS: Final = """
INSERT INTO calls (id, uuid8, uuid, run, checked, state, list, line, n, method, url, host, outcome, status,
http_version, ip, location, bytes, sha256, file_digest, content_type, headers, attempts, started_at, elapsed_ms,
waited_ms)
VALUES (?, ?, ?, 1, 1, 0, 1, ?, 1, 'GET', ?, ?, ?, ?, '1.1', '10.0.0.1', ?, 20000, ?, ?, 'application/json', ?, 1,
'2026-01-01T00:00:00.000Z', ?, 3)
"""


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    for n in range(1, count + 1):
        outcome, status = ("ok", 200) if n % 50 else ("http_error", 404)
        yield (
            n, n * 7919 % 2**62, os.urandom(16), n, f"https://api.example.com/items/{n}", f"api{n % 3}.example.com",
            outcome, status, f"responses/3f/{n:036}.json", os.urandom(32), os.urandom(32), HEADERS, n % 900,
        )  # fmt: skip


def fill(out: Path, count: int) -> None:
    Ledger(out, durable=False).close()
    with closing(sqlite3.connect(out / NAME)) as db:
        db.execute("PRAGMA synchronous=0")
        db.execute(
            "INSERT INTO runs VALUES (1, 1, '2026-01-01T00:00:00.000Z', '2026-01-02T00:00:00.000Z', '{}', '{}', "
            "'batch', NULL, 'retryable', 1, 1, NULL, 0, NULL)"
        )
        db.executemany(CALLS, rows(count))
        db.execute(
            "INSERT INTO requests SELECT id, json_object('url', url, 'method', 'GET'), NULL FROM calls "
            "WHERE outcome != 'ok'"
        )
        latency = json.dumps(dict.fromkeys(BOUNDS_MS, PER_S // len(BOUNDS_MS)))
        seconds = ((at, PER_S, latency) for at in range(count // PER_S))
        db.executemany("INSERT INTO timeline VALUES (1, ?, ?, 196, 0, 0, 0, 4000000, ?, 20)", seconds)
        db.commit()


def main(count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        fill(out, count)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began_s, cpu_s = time.monotonic(), time.process_time()
        path = write_report(out)
        seconds, cpu_s = time.monotonic() - began_s, time.process_time() - cpu_s
        more_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        print(
            f"{count:,} calls, a ledger of {(out / NAME).stat().st_size / 1e6:,.0f} MB: {seconds:.1f} s ({cpu_s:.1f} s "
            f"CPU), {more_kib / 1024:.0f} MiB more memory, a page of {path.stat().st_size:,} bytes"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
