"""Floods, bombs and bodies without an end, many of each at once: how much memory the command needs for them.

    python -m tests.proofs.hostile_memory --times 8 --workers 100
    python -m tests.proofs.hostile_memory --times 8 --workers 100 --budget 268435456 --maxsize 67108864

Every behaviour of the hostile server that sends more than anybody wants. What is printed is the most memory of
their own (RssAnon) that engine and writer had, above that of a run of as many small bodies.
"""

from __future__ import annotations

import argparse
import io
import json
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Final

from crawler.items import Outcome
from tests.audit import audit, outcomes
from tests.harness import Crawl
from tests.hostile.table import BEHAVIOURS
from tests.hostile.trial import HostileProcess, line
from tests.proofs.memory import _own_bytes, _processes
from tests.stored import MEMORY

if TYPE_CHECKING:
    from tests.hostile.behaviour import Behaviour

MIB: Final = 1024 * 1024

SAMPLE_S: Final = 0.005

SMALL_BYTES: Final = 100

TIMEOUT_S: Final = 20
"""What sends without an end and without a body ends by it."""

GREEDY: Final = ("endless", "flood", "bomb", "huge")
"""Parts of the names of those that send too much."""

ROOM_MAXSIZES: Final = 4
"""Of DOWNLOAD_MAXSIZE, what comes on top of the budget: the download that goes on although there is no room, and a
body that is being decoded, as it came, as it will be, and as the response that holds it."""


def greedy(*parts: str) -> list[Behaviour]:
    return [behaviour for behaviour in BEHAVIOURS if any(part in behaviour.name for part in parts or GREEDY)]


def above_small(
    folder: Path, behaviours: list[Behaviour], *, times: int, workers: int, budget_bytes: int, max_bytes: int
) -> tuple[list[int], list[int], int]:
    """What engine and writer had above a run of small bodies; that; and what the engine may have."""
    settings: dict[str, object] = {
        "CONCURRENT_REQUESTS": workers, "APIFETCH_BODIES_IN_FLIGHT_BYTES": budget_bytes, "DOWNLOAD_MAXSIZE": max_bytes,
        "APIFETCH_RETRY_BASE_S": 0.001, "APIFETCH_RETRY_CAP_S": 0.001, "APIFETCH_FAIL_EARLY": 0,
    }  # fmt: skip
    small = [each for each in BEHAVIOURS if each.outcome is Outcome.OK and len(each.body) < SMALL_BYTES]
    with HostileProcess() as server:
        base = measure(server, folder / "small", small[: len(behaviours)], times=times, settings=settings)
        peak = measure(server, folder / "greedy", behaviours, times=times, settings=settings)
    above = [most - least for most, least in zip(peak, base, strict=True)]
    return above, base, budget_bytes + ROOM_MAXSIZES * max_bytes


def measure(
    server: HostileProcess, folder: Path, behaviours: list[Behaviour], *, times: int, settings: dict[str, object]
) -> list[int]:
    """The most bytes that engine and writer had. Raises AssertionError when a line has no record."""
    folder.mkdir()
    items = folder / "items.jsonl"
    with items.open("w") as file:
        for number in range(times):
            for behaviour in behaviours:
                call = line(behaviour, server.urls)
                file.write(json.dumps({**call, "url": f"{call['url']}?{number}"}) + "\n")
    crawl = Crawl(folder, settings={"APIFETCH_CA_FILE": server.ca_file, "RETRY_TIMES": 0, **settings})
    peaks = [0, 0]
    running = crawl(items, wait=False, save="raw", timeout=TIMEOUT_S)
    try:
        while running.process.poll() is None:
            for at, pid in enumerate(_processes(running)[:2]):
                peaks[at] = max(peaks[at], _own_bytes(pid))
            time.sleep(SAMPLE_S)
        result = running.wait()
        audit(result, result.returncode)
        assert sum(outcomes(result).values()) == times * len(behaviours)
    finally:
        crawl.close()
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=8, help="calls of each behaviour")
    parser.add_argument("--workers", type=int, default=100)
    parser.add_argument("--budget", type=int, default=64 * MIB, help="bytes")
    parser.add_argument("--maxsize", type=int, default=16 * MIB, help="bytes; bombs are of 20 MiB")
    given = parser.parse_args()
    behaviours = greedy()
    with tempfile.TemporaryDirectory(dir=MEMORY) as scratch, redirect_stdout(io.StringIO()):
        above, base, bound = above_small(
            Path(scratch), behaviours, times=given.times, workers=given.workers, budget_bytes=given.budget,
            max_bytes=given.maxsize,
        )  # fmt: skip
    print(
        f"{given.times} calls of each of {len(behaviours)} behaviours by {given.workers} workers: engine "
        f"{above[0] / 1e6:.0f} MB above {base[0] / 1e6:.0f} (bound {bound / 1e6:.0f}), writer "
        f"{above[1] / 1e6:.0f} above {base[1] / 1e6:.0f}"
    )
    assert above[0] <= bound


if __name__ == "__main__":
    main()
