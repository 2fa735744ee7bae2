"""A signal that comes when all is done, while the run closes, takes nothing away from its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.audit import audit

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

LATE: Final = """
import asyncio
import os
import signal
import sys

from scrapy import signals


class Last:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGINT):  # when the interpreter ends
        kill(pid, number)


class Late:
    def __init__(self, crawler):
        self.moment = crawler.settings["MOMENT"]
        if self.moment == "exit":
            sys.last = Last()
        crawler.signals.connect(self.idle, signal=signals.spider_idle)
        crawler.signals.connect(self.closed, signal=signals.spider_closed)

    @classmethod
    def from_crawler(cls, crawler):
        return cls(crawler)

    def idle(self):
        if self.moment == "idle":
            os.kill(os.getpid(), signal.SIGTERM)

    async def closed(self):
        if self.moment == "closing":
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.2)  # the loop has turned before closing goes on
"""

SETTINGS: Final = """
from crawler.settings import *

EXTENSIONS = {"late.Late": 999}
"""


@pytest.mark.parametrize("moment", ["idle", "closing"])
def test_a_signal_while_the_run_closes_leaves_it_closed(api: ApiServer, crawl: Crawl, moment: str) -> None:
    (crawl.cwd / "late.py").write_text(LATE)
    (crawl.cwd / "my_settings.py").write_text(SETTINGS)
    urls = [api.url(f"/items/{n}") for n in range(10)]
    result = crawl(urls, settings_module="my_settings", settings={"MOMENT": moment})
    assert "Received SIGTERM" in result.stderr
    equation = audit(result, result.returncode)["equation"]
    assert result.returncode in {0, 75}
    assert equation["ok"] == len(urls)
    audit(crawl("items.txt"), 0)
    assert set(api.seen().values()) == {1}


def test_a_signal_when_all_is_over_leaves_the_exit_code(api: ApiServer, crawl: Crawl) -> None:
    (crawl.cwd / "late.py").write_text(LATE)
    (crawl.cwd / "my_settings.py").write_text(SETTINGS)
    result = crawl([api.url("/missing/1")], settings_module="my_settings", settings={"MOMENT": "exit"})
    audit(result, 8)
