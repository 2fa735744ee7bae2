"""The add-on in a Scrapy project that is not ours: its own spider, settings, download handler and exit code."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.scripted import OK, Heard, Says, Scripted
from tests.test_crawl_pacing import keeps_to

if TYPE_CHECKING:
    from tests.harness import Crawl, CrawlResult, Running

SETTINGS = """
BOT_NAME = "theirs"
SPIDER_MODULES = ["their_spiders"]
ADDONS = {"crawler.addon.Pacing": 500}
LOG_LEVEL = "INFO"
TELNETCONSOLE_ENABLED = False
"""
SPIDER = """
import scrapy

class Plain(scrapy.Spider):
    name = "plain"

    async def start(self):
        origins = self.origins.split()
        for n in range(int(self.lines)):
            yield scrapy.Request(f"{origins[n % len(origins)]}/{n % int(self.paths)}")

    def parse(self, response):
        yield {"path": response.url, "status": response.status}
"""


def start(crawl: Crawl, *origins: str, lines: int, paths: int, **settings: object) -> Running:
    (crawl.cwd / "their_settings.py").write_text(SETTINGS)
    (crawl.cwd / "their_spiders.py").write_text(SPIDER)
    return crawl.start(
        spider="plain", settings_module="their_settings", options=["-O", "items.jsonl"], settings=settings,
        origins=" ".join(origins), lines=lines, paths=paths,
    )  # fmt: skip


def run(crawl: Crawl, *origins: str, **how: Any) -> CrawlResult:
    return start(crawl, *origins, **how).wait()


def test_a_plain_spider_keeps_to_retry_after_and_gets_every_answer(crawl: Crawl) -> None:
    """The API takes some calls, asks for a second of rest, and refuses all that comes within it. Duplicates go."""
    until_s = [0.0]
    rude: list[float] = []

    def answer(heard: Heard) -> Says:
        if heard.at_s < until_s[0]:
            rude.append(heard.at_s)
            return Says(429, {"Retry-After": "1"})
        if len(server.heard) % 20 == 10:
            until_s[0] = heard.at_s + 1.0
            return Says(429, {"Retry-After": "1"})
        return OK

    with Scripted(answer) as server:
        result = run(crawl, server.origins[0], lines=60, paths=30, RETRY_TIMES=1)
    assert result.returncode == 0
    items = (crawl.cwd / "items.jsonl").read_text().splitlines()
    assert len(items) == 30
    assert all('"status": 200' in item for item in items)
    assert len(rude) <= 10, "those that were on their way"
    assert Counter(heard.path for heard in server.heard).total() <= 30 + len(rude) + 3
    assert "Traceback" not in result.stderr


def test_a_rate_holds_for_a_plain_spider_too(crawl: Crawl) -> None:
    with Scripted(lambda _: OK) as server:
        run(crawl, server.origins[0], lines=40, paths=40, APIFETCH_RATE="20/s")
    assert len(server.heard) == 40
    assert keeps_to(20, server)


def test_a_rate_is_one_for_all_crawls_of_the_machine_unless_one_is_to_be_by_itself(crawl: Crawl) -> None:
    """A day's calls that one has used up are used up for the next, which goes on with what is of another host."""
    with Scripted(lambda _: OK, addresses=("127.0.0.1", "127.0.0.2")) as server:
        used_up, free = server.origins
        run(crawl, used_up, lines=4, paths=4, APIFETCH_RATE="4/d")
        other = start(crawl, used_up, free, lines=2, paths=2, APIFETCH_RATE="4/d", CONCURRENT_REQUESTS=1)
        other.wait_for(lambda: server.times("/1") == 2)  # one at a time: what came before it did not go
        other.kill()
        run(crawl, used_up, lines=3, paths=3, APIFETCH_RATE="4/d", APIFETCH_SHARED_RATE="off")
        assert Counter(heard.host for heard in server.heard) == {"127.0.0.1": 4 + 3, "127.0.0.2": 1}
