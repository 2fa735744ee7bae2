"""The job is the same with Scrapy's own components in place of ours, one by one and all together: only slower."""

from __future__ import annotations

import gzip
import hashlib
import signal
from typing import TYPE_CHECKING, Any, Final
from uuid import NAMESPACE_URL, uuid5

import pytest
from scrapy.settings import default_settings

import crawler.settings
from tests.audit import audit, outcomes
from tests.harness import STOCK_HANDLER, write_list

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

NAMES: Final = (
    "SCHEDULER", "DOWNLOADER", "ITEM_PROCESSOR", "LOG_FORMATTER", "ASYNCIO_EVENT_LOOP", "CONCURRENT_ITEMS",
    "DUPEFILTER_CLASS", "TWISTED_DNS_RESOLVER",
)  # fmt: skip
"""Settings that get Scrapy's default back."""

SEAMS: Final[dict[str, dict[str, Any]]] = {
    **{name: {name: getattr(default_settings, name)} for name in NAMES},
    "APIFETCH_HTTP_HANDLER": STOCK_HANDLER,
    "SPIDER_MIDDLEWARES": {"SPIDER_MIDDLEWARES_BASE": default_settings.SPIDER_MIDDLEWARES_BASE},
    # The one that counts attempts stays; decoding, redirects and all else are Scrapy's.
    "DOWNLOADER_MIDDLEWARES": {
        "DOWNLOADER_MIDDLEWARES_BASE": {
            **default_settings.DOWNLOADER_MIDDLEWARES_BASE,
            "crawler.middlewares.AttemptMiddleware": 950,
        }
    },
    "LOG_LEVEL": {"LOG_LEVEL": "DEBUG"},  # two lines a call, of which our LOG_FORMATTER makes none
}
"""What is set back -> the settings that do it."""

ALL: Final = {name: value for settings in SEAMS.values() for name, value in settings.items()}

each_alone_and_all = pytest.mark.parametrize(
    "seams",
    [
        *(pytest.param(seams, id=name, marks=pytest.mark.check) for name, seams in SEAMS.items()),  # a minute in all
        pytest.param(ALL, id="all of them"),
        pytest.param({}, id="none of them"),
    ],
)

NO_SEAM: Final = {"COMMANDS_MODULE", "NEWSPIDER_MODULE"}
"""Settings that name modules of ours, but no component."""


def test_every_component_of_ours_that_replaces_one_of_scrapys_is_set_back() -> None:
    ours = {
        name
        for name, value in vars(crawler.settings).items()
        if name.isupper() and isinstance(value, str) and value.startswith("crawler.") and name not in NO_SEAM
    }
    assert "SCHEDULER" in ours
    assert ours <= ALL.keys()


FOLLOWER: Final = """
from crawler.spiders.apifetch import ApiFetchSpider


class Follower(ApiFetchSpider):
    name = "follower"

    def parse(self, response, **kwargs):
        if response.json()["next"]:
            yield response.follow(response.json()["next"])
"""

SETTINGS: Final = """
from crawler.settings import *

SPIDER_MODULES = ["crawler.spiders", "follower"]
"""


def with_seams(crawl: Crawl, seams: dict[str, Any]) -> dict[str, Any]:
    """Write settings in which *seams* are set back. Returns how to run with them."""
    (crawl.cwd / "follower.py").write_text(FOLLOWER)
    lines = [f"{name} = {value!r}\n" for name, value in seams.items()]
    (crawl.cwd / "my_settings.py").write_text(SETTINGS + "".join(lines))
    return {"settings_module": "my_settings"}


DROPPED: Final = "/drop/1"
PACKED: Final = b'{"packed": true}'

LINES: Final = [
    ("/items/1", "ok", 200, "/items/1"),
    ("/missing/1", "http_error", 404, "/missing/1"),
    ("not a url", "invalid", None, None),
    ("/flaky/1", "ok", 200, "/flaky/1"),
    ("/flaky/2", "ok", 200, "/flaky/2"),
    ("/fail/1?times=9", "http_error", 500, "/fail/1?times=9"),
    ("/redirect?to=/items/moved", "ok", 200, "/items/moved"),
    ("/redirect?to=/missing/moved&status=307", "http_error", 404, "/missing/moved"),
    ("/items/1", "duplicate", None, None),
    ("ftp://127.0.0.1/x", "invalid", None, None),
    ("/bytes/packed?header=Content-Encoding:gzip", "ok", 200, PACKED),
    ("/status/204", "ok", 204, "/status/204"),
    ("/cut/1", "truncated", None, None),
    (DROPPED, "reset", None, None),
    ("/items/2?size=100000", "ok", 200, "/items/2?size=100000"),
    ("/flaky/1", "duplicate", None, None),
    *((f"/items/{n}?size=3000", "ok", 200, f"/items/{n}?size=3000") for n in range(3, 60)),
]
"""A path or a whole line, its outcome and status; where its body comes from, or the body; None: there is none."""


@each_alone_and_all
def test_a_list_ends_as_the_same_records(api: ApiServer, crawl: Crawl, seams: dict[str, Any]) -> None:
    api.put_bytes("packed", gzip.compress(PACKED))
    lines = [api.url(line) if line.startswith("/") else line for line, *_ in LINES]
    result = crawl(lines, workers=8, retries=1, **with_seams(crawl, seams))
    summary = audit(result, 4)
    rows = result.rows("select * from records order by line")
    assert [(row["outcome"], row["status"]) for row in rows] == [(outcome, status) for _, outcome, status, _ in LINES]
    called = [row for row in rows if row["outcome"] not in {"invalid", "duplicate"}]
    assert {row["uuid"] for row in called} == {str(uuid5(NAMESPACE_URL, row["url"])) for row in called}
    sent = dict(api.log())
    for row, (_, _, _, body) in zip(rows, LINES, strict=True):
        expected = hashlib.sha256(body).hexdigest() if isinstance(body, bytes) else sent.get(body or "")
        assert (row["sha256"] or None) == expected, row
    attempts = {row["url"]: row["attempts"] for row in called}
    assert summary["run"]["calls"] == sum(attempts.values())
    # Both handlers send what died on a kept connection once more of themselves.
    dropped = api.seen(DROPPED)[DROPPED]
    assert api.stats()["requests"] - dropped == sum(attempts.values()) - attempts[api.url(DROPPED)]
    assert outcomes(result)["ok"] == len(result.files("responses"))


CHAINS: Final = 30
PAGES: Final = 4
WORKERS: Final = 4


@each_alone_and_all
def test_pages_are_followed_and_a_stopped_run_is_finished_by_the_next(
    api: ApiServer, crawl: Crawl, seams: dict[str, Any]
) -> None:
    """It stops while calls that take for ever hold all workers, with pages and lines still to come."""
    how = {"spider": "follower", "workers": WORKERS, "settings": {"APIFETCH_DRAIN_S": 0}, **with_seams(crawl, seams)}
    urls = [api.url(f"/pages/{chain}/1?last={PAGES}") for chain in range(CHAINS)]
    slow = [api.url(f"/slow/{n}?delay_ms=900000") for n in range(WORKERS)]
    items = write_list(crawl.cwd / "items.txt", urls[: CHAINS // 2] + slow + urls[CHAINS // 2 :])
    running = crawl(items, wait=False, **how)
    running.wait_for(lambda: len(api.seen("/slow/")) == WORKERS)
    running.signal(signal.SIGTERM)
    first = running.wait()
    assert audit(first, 75)["stop_reason"] == "shutdown"
    done = {row["url"]: row for row in first.rows() if row["outcome"] == "ok"}
    assert 0 < len(done) < CHAINS * PAGES

    write_list(items, urls)  # what took for ever goes, so that the rest can end
    second = crawl(items, **how)
    equation = audit(second, 0)["equation"]
    assert (equation["lines"], equation["followed"]) == (CHAINS, CHAINS * (PAGES - 1))
    rows = {row["url"]: row for row in second.rows()}
    assert len(rows) == len(second.rows()) == CHAINS * PAGES
    assert {url: rows[url]["file_digest"] for url in done} == {url: row["file_digest"] for url, row in done.items()}
    for url in urls:
        pages = [rows[url.replace("/1?", f"/{n + 1}?")] for n in range(PAGES)]
        assert [page["parent"] for page in pages] == [None, *(page["uuid"] for page in pages[:-1])]
    again = {path for path, times in api.seen().items() if times > 1}
    assert again.isdisjoint(url.removeprefix(api.origin) for url in done)
