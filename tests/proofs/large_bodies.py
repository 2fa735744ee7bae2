"""Large bodies, all at once: how much memory the command needs for them.

    python -m tests.proofs.large_bodies --bodies 200 --size 20_000_000 --workers 200
    python -m tests.proofs.large_bodies --bodies 200 --size 20_000_000 --workers 200 --budget 10GiB

The most memory of their own (RssAnon) that engine and writer had, sampled, above that of a run of small bodies.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.audit import audit, outcomes
from tests.harness import ApiServer, Crawl, write_list
from tests.proofs.memory import _own_bytes, _processes
from tests.stored import MEMORY

SAMPLE_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Peak:
    """The most bytes that each process had. seconds: the run took."""

    engine: int
    writer: int
    seconds: float


def measure(api: ApiServer, folder: Path, *, bodies: int, size: int, workers: int, budget: str) -> Peak:
    """Fetch so many bodies of that size. Raises AssertionError when one is missing."""
    folder.mkdir()
    items = write_list(folder / "items.txt", (api.url(f"/items/{n}?size={size}") for n in range(bodies)))
    crawl = Crawl(folder, settings={"APIFETCH_BODIES_IN_FLIGHT_BYTES": budget})
    began_s, peaks = time.monotonic(), [0, 0]
    running = crawl(items, wait=False, workers=workers, save="raw", timeout=120)
    try:
        while running.process.poll() is None:
            for at, pid in enumerate(_processes(running)[:2]):
                peaks[at] = max(peaks[at], _own_bytes(pid))
            time.sleep(SAMPLE_S)
        seconds = time.monotonic() - began_s
        result = running.wait()
        audit(result, 0)
        assert outcomes(result) == {"ok": bodies}
        assert all(path.stat().st_size == size for path in result.files())
    finally:
        crawl.close()
    return Peak(peaks[0], peaks[1], seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=200)
    parser.add_argument("--size", type=int, default=20_000_000)
    parser.add_argument("--workers", type=int, default=200)
    parser.add_argument("--budget", default="256MiB")
    given = parser.parse_args()
    with ApiServer() as api, tempfile.TemporaryDirectory(dir=MEMORY) as scratch, redirect_stdout(io.StringIO()):
        how = {"workers": given.workers, "budget": given.budget}
        small = measure(api, Path(scratch) / "small", bodies=given.bodies, size=1000, **how)
        large = measure(api, Path(scratch) / "large", bodies=given.bodies, size=given.size, **how)
    print(
        f"{given.bodies} bodies of {given.size / 1e6:g} MB by {given.workers} workers, budget {given.budget}: engine "
        f"{(large.engine - small.engine) / 1e6:.0f} MB above {small.engine / 1e6:.0f}, writer "
        f"{(large.writer - small.writer) / 1e6:.0f} above {small.writer / 1e6:.0f}, {large.seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
