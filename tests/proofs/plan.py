"""What `scrapy plan` promises against the demo API, and what the run takes then. Needs a machine that is not busy.

    python -m tests.proofs.plan

Exit code 1 when a run takes more than a fifth longer or shorter than promised, at 20 workers.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.api_server import ApiServer
from tests.harness import Crawl, write_list
from tests.test_crawl_plan import facts

WITHIN: Final = 0.2


def promised_and_taken_s(api: ApiServer, crawl: Crawl, delay_ms: int) -> tuple[float, float]:
    """Of a list whose latencies are spread."""
    lines = [api.url(f"/items/{n}?delay_ms={delay_ms + n * 37 % 200}") for n in range(800)]
    write_list(crawl.cwd / "items.txt", lines)
    found = facts(crawl, "items.txt", "--probe", "20")
    [promised_s] = [row["seconds"] for row in found["expected"] if row["workers"] == 20]
    return promised_s, crawl("items.txt").summary["run"]["seconds"]


def main() -> int:
    is_kept = True
    for delay_ms in (100, 400):
        with tempfile.TemporaryDirectory() as folder, ApiServer() as api:
            promised_s, taken_s = promised_and_taken_s(api, Crawl(Path(folder)), delay_ms)
        print(f"answers after {delay_ms} to {delay_ms + 200} ms: promised {promised_s} s, taken {taken_s} s")
        is_kept &= abs(taken_s - promised_s) <= WITHIN * promised_s
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
