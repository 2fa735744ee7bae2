"""An export, and a check of all files, need no more memory for many records than for few.

    python -m tests.proofs.exports
    python -m tests.proofs.exports --records 2_000 20_000

An output directory with so many records (bodies of 2 kB, columns of the list's own) is made by the real store;
then each format is exported with bodies, and the directory verified, each in a process of its own, whose
largest memory the system tells.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from crawler.items import Entry, Outcome, Record, Ticket
from crawler.store import ownership, runs
from crawler.store.commit import Committer
from crawler.store.files import Files
from crawler.store.ledger import Ledger
from crawler.store.place import Place
from tests.stored import MEMORY

BOUND_BYTES: Final = 32 * 1024 * 1024
"""More for ten times the records: SQLite's caches (16 MB) and Arrow's pool fill up, and then stay as they are."""

NAMES: Final = ("x.jsonl", "x.jsonl.gz", "x.csv", "x.parquet", "x.warc.gz")
BATCH: Final = 1000


def make(out: Path, records: int) -> None:
    """An output directory with that many records."""
    with closing(Place.take(out)) as place, closing(Ledger(out, durable=False)) as ledger:
        start = runs.Start(
            path="/lists/items.csv", inside=False, fingerprint=None, by_line=True, redo="none", arguments={},
            identity={"save": "envelope", "APIFETCH_FOLDER_LEVELS": "1"}, versions={}, durability="process",
        )  # fmt: skip
        ownership.own(ledger, start)
        begun = runs.begin(ledger, start)
        files = Files(place, "process")
        committer = Committer(files, ledger, run=begun.run, list_id=begun.list_id, raw=False)
        for first in range(0, records, BATCH):
            committer.commit([_record(line) for line in range(first, min(first + BATCH, records))])


def _record(line: int) -> Record:
    url = f"https://api.test/items/{line}"
    meta = {"country": "de", "rank": line, "note": "x" * 40}
    entry = Entry(url=url, target=url, line=line, key=f"k{line}", meta=meta)
    record = Record.of(Ticket(entry=entry, uuid=entry.uuid, shown_url=url, attempts=1), Outcome.OK)
    record.status, record.ip, record.started_at = 200, "127.0.0.1", "2026-01-31T23:59:59.123Z"
    record.fetched_at, record.content_type = record.started_at, "application/json"
    record.headers = {"Content-Type": record.content_type, "Server": "nginx"}
    record.body = b'{"id": %d, "text": "%s"}' % (line, b"y" * 2000)
    return record


@dataclass(frozen=True, slots=True)
class Cost:
    """peak_bytes: the largest memory of the process, or of one of its children."""

    seconds: float
    peak_bytes: int


def measure(words: list[str]) -> Cost:
    """Run a command of `scrapy` and what it needs."""
    program = (
        "import os, resource, subprocess, sys; code = subprocess.run([sys.executable, '-m', 'scrapy', *sys.argv[1:]],"
        " stdout=2).returncode; print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    began_s = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program, *words], stdout=subprocess.PIPE, check=True)
    code, kib = map(int, done.stdout.split())
    if code:
        raise AssertionError(f"{words}: exit code {code}")
    return Cost(time.monotonic() - began_s, kib * 1024)


def prove(counts: list[int], folder: Path) -> int:
    """Print what each number of records costs; 1 when the most cost too much more than the fewest."""
    costs: dict[str, list[Cost]] = {}
    for count in counts:
        out = folder / str(count)
        make(out, count)
        for name in NAMES:
            words = ["export", str(out), "--to", str(folder / name), "--bodies"]
            costs.setdefault(f"export {name}", []).append(measure(words))
        costs.setdefault("verify", []).append(measure(["verify", str(out)]))
    worst = 0
    for name, found in costs.items():
        shown = ", ".join(f"{cost.peak_bytes / 1e6:.0f} MB {cost.seconds:.1f} s" for cost in found)
        print(f"{name}: {shown}")
        worst = max(worst, found[-1].peak_bytes - found[0].peak_bytes)
    print(f"{counts[-1]:,} records need {worst / 1e6:.1f} MB more than {counts[0]:,}; allowed {BOUND_BYTES / 1e6:.1f}")
    return int(worst > BOUND_BYTES)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", nargs=2, type=int, default=[10_000, 100_000], help="few and many")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        return prove(parser.parse_args().records, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
