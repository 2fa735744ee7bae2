"""The ledger alone, with the writer's batches and rows as they are: what a row and a look-up cost as it grows.

    python -m tests.proofs.ledger --rows 1_000_000
    python -m tests.proofs.ledger --rows 10_000_000
    python -m tests.proofs.ledger --rows 1_000_000 --page-size 16384 --cache-kib 65536 --checkpoint-pages 1000

A line at each tenth power and at the end. Inserts are timed over the last tenth of the rows before it, with
commits, without the making of the records. `cold` look-ups come after a commit each, as in a run: another
connection's commit empties the reader's page cache.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.accounting import Tally
from crawler.items import Entry, Outcome, Record, Ticket, uuid_text
from crawler.store import ledger as room
from crawler.store.bits import Bits
from crawler.store.ledger import NAME, Ledger
from crawler.store.process import BATCH_RECORDS
from crawler.store.resume import Resume
from crawler.values import REDO

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOK_UPS: Final = 10_000

HEADERS: Final = {
    "Content-Type": "application/json; charset=utf-8",
    "Date": "Sun, 22 Nov 2026 15:04:05 GMT",
    "Server": "nginx",
    "Cache-Control": "max-age=0, private, must-revalidate",
    "Etag": 'W/"5d41402abc4b2a76b9719d911017c592"',
    "X-Request-Id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "X-Ratelimit-Limit": "5000",
    "X-Ratelimit-Remaining": "4987",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "Vary": "Accept-Encoding",
}
"""What a JSON API behind a usual proxy sends."""


def entry(number: int) -> Entry:
    url = f"https://api.example.com/v2/customers/{number}/orders?status=open"
    return Entry(url=url, target=url, line=number + 1)


def record(number: int) -> Record:
    """An ok record with every column that a plain GET fills."""
    call = entry(number)
    ticket = Ticket(entry=call, uuid=call.uuid, shown_url=call.url, attempts=1)
    made = Record.of(ticket, Outcome.OK)
    uuid = uuid_text(call.uuid)
    made.host, made.status, made.http_version, made.ip = "api.example.com", 200, "HTTP/1.1", "203.0.113.7"
    made.location, made.bytes = f"responses/{uuid[:2]}/{uuid}.json", 20_000
    made.sha256 = made.file_digest = uuid.replace("-", "") * 2
    made.content_type, made.headers, made.etag = HEADERS["Content-Type"], HEADERS, HEADERS["Etag"]
    made.started_at, made.elapsed_ms, made.waited_ms = "2026-11-22T15:04:05.123Z", 123, 4
    return made


def insert(ledger: Ledger, numbers: range) -> float:
    """Seconds for the rows of *numbers*, in the writer's batches."""
    seconds = 0.0
    for first in range(numbers.start, numbers.stop, BATCH_RECORDS):
        batch = [record(number) for number in range(first, min(first + BATCH_RECORDS, numbers.stop))]
        began_s = time.perf_counter()
        with ledger.transaction():
            for one in batch:
                ledger.record(one, run=1, list_id=1, staged=False)
        seconds += time.perf_counter() - began_s
    return seconds


def look_up(ledger: Ledger, numbers: Iterator[int], *, expected: bool, after_commits: bool) -> float:
    """Microseconds for one."""
    seconds = 0.0
    for number in numbers:
        uuid = entry(number).uuid
        if after_commits:
            ledger.write("INSERT OR REPLACE INTO about VALUES ('proof', ?)", (number,))
        began_s = time.perf_counter()
        found = ledger.find(uuid)
        seconds += time.perf_counter() - began_s
        assert (found is not None) is expected
    return seconds / LOOK_UPS * 1e6


def measure(ledger: Ledger, path: Path, rows: int, seconds: float, timed: int) -> str:
    rng = random.Random(rows)
    hits = [rng.randrange(rows) for _ in range(LOOK_UPS)]
    size = sum(file.stat().st_size for file in path.parent.glob(f"{NAME}*"))
    figures = {
        "insert": seconds / timed * 1e6,
        "hit": look_up(ledger, iter(hits), expected=True, after_commits=False),
        "miss": look_up(ledger, (rows + hit for hit in hits), expected=False, after_commits=False),
        "cold hit": look_up(ledger, iter(hits), expected=True, after_commits=True),
        "cold miss": look_up(ledger, (rows + hit for hit in hits), expected=False, after_commits=True),
        "survey, a row": survey(ledger) / rows * 1e6,
    }
    return f"{rows:,} rows: {size / rows:.0f} B a row; us: " + ", ".join(f"{n} {us:.1f}" for n, us in figures.items())


def survey(ledger: Ledger) -> float:
    """Seconds that the same list takes at its next start."""
    resume = Resume(ledger, run=2, redo_base=2, redo=REDO.parse("retryable"), lists={None: 1}, moves=True, number=False)
    began_s, tally = time.perf_counter(), Tally()
    tally.lines.update(resume.survey({1: Bits()}).lines)
    return time.perf_counter() - began_s


def run(folder: Path, rows: int, *, durable: bool, page_size: int | None) -> None:
    path = folder / NAME
    if page_size:
        with closing(sqlite3.connect(path)) as empty:
            empty.execute(f"PRAGMA page_size={page_size}")
            empty.execute("VACUUM")
    ledger = Ledger(folder, durable=durable)
    try:
        done = 0
        for milestone in milestones(rows):
            timed = max(milestone // 10, min(milestone - done, BATCH_RECORDS))
            insert(ledger, range(done, milestone - timed))
            seconds = insert(ledger, range(milestone - timed, milestone))
            done = milestone
            print(measure(ledger, path, milestone, seconds, timed), flush=True)
    finally:
        ledger.close()


def milestones(rows: int) -> list[int]:
    return [*(power for power in (10**n for n in range(5, 10)) if power < rows), rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: the system's for scratch")
    parser.add_argument("--process", action="store_true", help="as APIFETCH_DURABILITY=process, no fsync")
    parser.add_argument("--page-size", type=int, help="of SQLite; default: its own, 4096")
    parser.add_argument("--cache-kib", type=int, default=room.CACHE_KIB)
    parser.add_argument("--checkpoint-pages", type=int, default=room.CHECKPOINT_PAGES)
    given = parser.parse_args()
    constants: dict[str, Any] = {"CACHE_KIB": given.cache_kib, "CHECKPOINT_PAGES": given.checkpoint_pages}
    vars(room).update(constants)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        run(Path(folder), given.rows, durable=not given.process, page_size=given.page_size)


if __name__ == "__main__":
    main()
