"""What `scrapy plan` promises against the demo API, and what the run takes then. Needs a machine that is not busy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import write_list
from tests.test_crawl_plan import facts

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

pytestmark = pytest.mark.check


@pytest.mark.parametrize("delay_ms", [100, 400])
def test_the_time_it_promises_is_the_time_the_run_takes(api: ApiServer, crawl: Crawl, delay_ms: int) -> None:
    """Within 20 %, at 20 workers, with latencies that are spread."""
    lines = [api.url(f"/items/{n}?delay_ms={delay_ms + n * 37 % 200}") for n in range(800)]
    write_list(crawl.cwd / "items.txt", lines)
    found = facts(crawl, "items.txt", "--probe", "20")
    [promised_s] = [row["seconds"] for row in found["expected"] if row["workers"] == 20]
    taken_s = crawl("items.txt", timeout_s=120).summary["run"]["seconds"]
    print(f"promised {promised_s} s, taken {taken_s} s")
    assert taken_s == pytest.approx(promised_s, rel=0.2)
