"""The writer alone, into files and into packs, in turn: how long, how much CPU, how much room.

    python -m tests.proofs.packed --records 100_000 --bytes 1000 --rounds 5 --folder /var/tmp

What is timed is the writer's process as a run has it, with `durability=batch`: from a socket that is always full to its
end, with every record durable. Medians of the rounds; `ratio` is of files to packs. Each round's rows and bodies are
counted, so that neither is fast because it loses some.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from crawler.items import Outcome
from crawler.store import process
from crawler.store.ledger import Ledger
from crawler.store.messages import Put, frame
from crawler.store.place import Place
from crawler.store.reading import reading
from crawler.store.writer import Orders
from tests.stored import Answer, answered, ticket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WORDS: Final = 3000
"""Words of which bodies are made, ten random hexadecimal digits each: they pack as text of an API does, 4 to 1."""

SEND_BYTES: Final = 256 * 1024
LOOKED_AT: Final = 200  # bodies of each round that are read again, from all over the list


@dataclass(frozen=True, slots=True)
class Round:
    """What one writer took. wall_s, cpu_s: of its process. disk_bytes: blocks; files: inodes."""

    wall_s: float
    cpu_s: float
    disk_bytes: int
    files: int


def body_of(number: int, size: int, words: Sequence[str]) -> bytes:
    """JSON of about that size."""
    rng = random.Random(number)
    text = " ".join(rng.choices(words, k=max(1, size // 11)))
    return json.dumps({"id": number, "price": rng.random(), "text": text[: max(0, size - 60)]}).encode()


def messages(records: int, size: int) -> bytes:
    """What the engine would send."""
    rng = random.Random(1)
    words = [f"{rng.getrandbits(40):010x}" for _ in range(WORDS)]
    sent = bytearray()
    for number in range(records):
        call = ticket(f"items/{number}", number + 1)
        record = answered(call, Answer(Outcome.OK, body_of(number, size, words), 200))
        record.headers = {"Content-Type": "application/json", "Server": "api", "Date": "Wed, 25 Nov 2026 08:00:00 GMT"}
        sent += frame(Put.of(record))
    return bytes(sent)


def write(folder: Path, sent: bytes, *, packed: bool) -> Round:
    """Let a writer's process take in all that is sent."""
    place = Place.take(folder)
    with closing(Ledger(place.directory, durable=True)) as ledger:  # as a run does before it starts the writer
        ledger.about("identity", json.dumps({"pack": "jsonl"} if packed else {}))
    orders = Orders("batch", run=1, list_id=1, raw=False, levels=1, packed=packed).at(place)
    ours, theirs = socket.socketpair()
    os.sync()  # what others have left to write is not ours to wait for
    begun_s = time.monotonic()
    child = os.fork()
    if child == 0:
        ours.close()
        sys.argv = ["", json.dumps(orders | {"socket": theirs.detach()})]
        process.main()
        os._exit(0)
    theirs.close()
    listener = threading.Thread(target=lambda: list(iter(lambda: ours.recv(1 << 16), b"")))
    listener.start()
    for at in range(0, len(sent), SEND_BYTES):
        ours.sendall(sent[at : at + SEND_BYTES])
    ours.shutdown(socket.SHUT_WR)
    _, status, usage = os.wait4(child, 0)
    wall_s = time.monotonic() - begun_s
    listener.join()
    ours.close()
    place.close()
    assert status == 0
    found = [path.stat() for tree in ("responses", "errors") for path in (folder / tree).rglob("*")]
    return Round(wall_s, usage.ru_utime + usage.ru_stime, sum(each.st_blocks * 512 for each in found), len(found))


def look(folder: Path, records: int) -> None:
    """Hold some bodies against their digests, and count the rows."""
    with reading(folder) as opened:
        assert opened.count() == records
        for number, record in enumerate(opened.records()):
            if number % max(1, records // LOOKED_AT) == 0:
                assert opened.body(record) is not None


def rounds(folder: Path, *, records: int, size: int, count: int) -> Iterator[tuple[bool, Round]]:
    sent = messages(records, size)
    for _ in range(count):
        for packed in (False, True):
            out = Path(tempfile.mkdtemp(dir=folder))
            try:
                took = write(out / "out", sent, packed=packed)
                look(out / "out", records)
            finally:
                shutil.rmtree(out)
            yield packed, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--bytes", type=int, default=1000, help="of a body")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on the disk that is measured")
    given = parser.parse_args()
    took: dict[bool, list[Round]] = {False: [], True: []}
    for packed, each in rounds(given.folder, records=given.records, size=given.bytes, count=given.rounds):
        took[packed].append(each)
        print(f"{'packs' if packed else 'files'}: {each}", flush=True)
    for name in ("wall_s", "cpu_s", "disk_bytes", "files"):
        files, packs = (median(getattr(each, name) for each in took[packed]) for packed in (False, True))
        print(f"{name}: files {files:,.2f}, packs {packs:,.2f}, ratio {files / packs:.2f}")


if __name__ == "__main__":
    main()
