"""What a line of a list needs of room: in the list, in the ledger, in Redis. docs/scaling.md counts with it.

    python -m tests.proofs.sizes --lines 200_000

Lines are URLs of 60 bytes with an id in no order; rows are those of `tests.proofs.ledger`: what a JSON API behind a
usual proxy sends. Redis needs a redis-server and the package redis; without them its figures are left out.
"""

from __future__ import annotations

import argparse
import gzip
import random
import sys
import tempfile
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.distributed.envelope import encode, name_of
from crawler.items import Entry
from crawler.store.ledger import NAME, Ledger
from crawler.store.parts import locations
from crawler.store.process import BATCH_RECORDS
from tests.proofs.ledger import record
from tests.redis_server import PROGRAM, RedisServer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

PART: Final = "responses/019aba4be3f41c2-00001.jsonl.zst"
STEP: Final = 1000  # entries that go to Redis, or are drawn from it, at once


def urls(lines: int) -> list[str]:
    ids = random.Random(1).sample(range(10**8, 10**9), lines)
    return [f"https://api.example.com/v2/customers/{each}/orders?page=1" for each in ids]


def list_sizes(found: list[str]) -> Iterator[tuple[str, float]]:
    data = "".join(f"{url}\n" for url in found).encode()
    yield "list", len(data)
    yield "list, gzip", len(gzip.compress(data))
    yield "list, zstd", len(zstd.compress(data))


def ledger_size(lines: int, *, packed: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        with closing(Ledger(Path(folder), durable=False)) as ledger:
            for first in range(0, lines, BATCH_RECORDS):
                with ledger.transaction():
                    for number in range(first, min(first + BATCH_RECORDS, lines)):
                        one = record(number)
                        if packed:
                            # Of a part in its middle: offsets are as long there as most are.
                            (one.location,) = locations(PART, 64_000_000 + number, 120_000, [bytes(1400)])
                        ledger.record(one, run=1, list_id=1, staged=False)
        return (Path(folder) / NAME).stat().st_size


def redis_sizes(found: list[str]) -> Iterator[tuple[str, float]]:
    """Memory that Redis says it uses, with all entries waiting, and with all of them done; and its file, waiting."""
    from crawler.distributed.server import Server  # noqa: PLC0415  # needs redis
    from crawler.sources import SharedAddress  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as redis:
        server, client = Server(SharedAddress.of(redis.url())), redis.client()
        server.begin()
        empty = client.info("memory")["used_memory"]
        entries = (Entry(url=url, target=url, line=line) for line, url in enumerate(found, 1))
        while step := [(name_of(entry), encode(entry)) for entry in islice(entries, STEP)]:
            server.add(step)
        yield "Redis, an entry that waits", client.info("memory")["used_memory"] - empty
        yield "Redis's append-only file", sum(file.stat().st_size for file in Path(folder).rglob("*.aof"))
        server.beat("worker", 600)
        while drawn := server.draw_within("worker", STEP):
            server.acknowledge([each[0] for each in drawn])
        yield "Redis, an entry that is done", client.info("memory")["used_memory"] - empty
        server.disconnect()


def sizes(lines: int) -> Iterator[tuple[str, float]]:
    """What it is of, and bytes of all lines."""
    found = urls(lines)
    yield from list_sizes(found)
    yield "ledger, files", ledger_size(lines, packed=False)
    yield "ledger, packs", ledger_size(lines, packed=True)
    if PROGRAM is not None:
        yield from redis_sizes(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=200_000)
    lines = parser.parse_args().lines
    for name, size in sizes(lines):
        print(f"{name}: {size / lines:.1f} bytes a line", flush=True)


if __name__ == "__main__":
    main()
