"""Calls at once, counted by the server, beside the limit in force in the crawl at that moment, while it changes.

Both have one clock: time.monotonic() is the machine's. Between two starts of the crawl its calls on the way only get
fewer, so at no moment may the server hold more than the limit was at the last start before it.
"""

from __future__ import annotations

import asyncio
import json
import time
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from tests.audit import audit
from tests.harness import STOCK_HANDLER, write_list
from tests.scripted import Heard, Says, Scripted

if TYPE_CHECKING:
    from tests.harness import Crawl

TWO: Final = ["127.0.0.1", "127.0.0.2"]


MANY: Final = 50
FEW: Final = 2
"""Calls of a kind that hang: fewer in a row than make an outage, in which one call at a time goes, at its own times."""

REFUSES: Final = 25
"""After so many requests the first host refuses one, each time: the limit is cut, and grows again."""

HUGE: Final = {"Content-Length": "100000000"}

SETTLE: Final = 3
"""Turns of the server's loop after which it has seen everything that happened before a request came."""

MIXING: Final = '''
import json
import time

from scrapy import signals
from scrapy.exceptions import IgnoreRequest
from scrapy.http import TextResponse


class MixingMiddleware:
    def process_request(self, request):
        if "/made/" in request.url:
            return TextResponse(request.url, body=b'{"made": true}')
        if "/ignored/" in request.url:
            raise IgnoreRequest("not this one")
        if "/raises/" in request.url:
            raise RuntimeError("a bug")
        if "/hangs/" in request.url or "/rescued/" in request.url:
            request.meta["download_timeout"] = 0.5

    def process_response(self, request, response):
        if "/spoilt/" in request.url:
            raise RuntimeError("another bug")
        return response

    def process_exception(self, request, exception):
        if "/rescued/" in request.url:
            return TextResponse(request.url, body=b'{"rescued": true}')


class Recorder:
    """Writes each start down: when, which host, its limit, its calls on the way, whether it is out of order."""

    @classmethod
    def from_crawler(cls, crawler):
        self = cls()
        self.crawler, self.starts = crawler, []
        crawler.signals.connect(self.opened, signal=signals.spider_opened)
        crawler.signals.connect(self.closed, signal=signals.spider_closed)
        return self

    def opened(self, spider):
        self.traffic = spider.run.traffic
        self.started, self.traffic.started = self.traffic.started, self.note

    def note(self, name, now_s, **what):
        call = self.started(name, now_s, **what)
        host = self.traffic._lane(name).host
        is_down = host.down_since_s is not None
        self.starts.append([name, time.monotonic(), host.limit, host.in_flight, is_down])
        return call

    def closed(self, spider):
        lanes, downloader = self.traffic._lanes, self.crawler.engine.downloader
        left = {
            "in_flight": self.traffic.in_flight,
            "of hosts": sum(lane.host.in_flight for lane in lanes.values()),
            "on their way": sum(lane.on_way for lane in lanes.values()),
            "given": len(self.traffic._given),
            "wait": len(self.traffic),
            "active": len(downloader.active),
            "on the wire": sum(downloader._on_wire.values()),
            "places waited for": sum(map(len, downloader._waiting.values())),
        }
        with open("recorded.json", "w") as file:
            json.dump({"starts": self.starts, "left": left}, file)
'''

SETTINGS: Final = """
from crawler.settings import *

DOWNLOADER_MIDDLEWARES = {"mixing.MixingMiddleware": 570}
EXTENSIONS = {**globals().get("EXTENSIONS", {}), "mixing.Recorder": 0}
"""


class Look(NamedTuple):
    """How many requests of a host the server held, and when."""

    host: str
    at_s: float
    held: int


class Api:
    """Refuses now and then at its first host, and looks at what it holds."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self._refused_at = 0
        self.server = Scripted(self._answer, addresses=TWO)

    def _answer(self, heard: Heard) -> Says:
        self._look(heard.host, SETTLE)
        kind = heard.path.split("/")[1]
        if kind in {"hangs", "rescued"}:
            return Says(after_s=3_600.0)
        if heard.host == TWO[0] and len(self.server.heard) - self._refused_at > REFUSES:
            self._refused_at = len(self.server.heard)
            return Says(429)
        if kind == "moved":
            there = self.server.origins[heard.host == TWO[0]]
            return Says(302, {"Location": f"{there}/there{heard.path}"}, after_s=0.05)
        return Says(headers=HUGE if kind == "huge" else {}, after_s=0.1)

    def _look(self, host: str, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._look, host, turns - 1)
        else:
            self.looks.append(Look(host, time.monotonic(), self.server.held[host]))


@pytest.mark.parametrize(
    "handler", [pytest.param({}, id="libcurl"), pytest.param(STOCK_HANDLER, id="stock", marks=pytest.mark.check)]
)
def test_the_server_never_holds_more_than_the_limit_in_force_and_no_place_leaks(
    crawl: Crawl, handler: dict[str, Any]
) -> None:
    """With refusals, redirects, answers from Scrapy's cache and of a middleware, exceptions, timeouts, huge bodies."""
    (crawl.cwd / "mixing.py").write_text(MIXING)
    (crawl.cwd / "my_settings.py").write_text(SETTINGS)
    settings = {
        "HTTPCACHE_ENABLED": True, "HTTPCACHE_DIR": str(crawl.cwd / "cache"), "HTTPCACHE_IGNORE_HTTP_CODES": "429",
        "DOWNLOAD_MAXSIZE": 1_000_000, "RETRY_TIMES": 1, **handler,
    }  # fmt: skip
    how: dict[str, Any] = {"workers": 24, "settings": settings, "settings_module": "my_settings"}
    api = Api()
    with api.server as server:
        cached = [server.url(f"/cached/{n}", n % 2) for n in range(MANY)]
        audit(crawl(write_list(crawl.cwd / "cached.txt", cached), **how), 0)
        before = len(server.heard)
        kinds = dict.fromkeys(("plain", "moved", "cached", "made", "ignored", "raises", "spoilt", "huge"), MANY)
        kinds |= dict.fromkeys(("hangs", "rescued"), FEW)
        lines = [server.url(f"/{kind}/{n}", n % 2) for n in range(MANY) for kind, many in kinds.items() if n < many]
        result = crawl(lines, **how)
        looks = api.looks[before:]
    audit(result, 4)
    recorded = json.loads((crawl.cwd / "recorded.json").read_bytes())
    assert set(recorded["left"].values()) == {0}, recorded["left"]
    assert not any("/cached/" in heard.path for heard in server.heard[before:])
    assert len({limit for name, _, limit, _, _ in recorded["starts"] if name == TWO[0]}) > 1, "it changed"
    assert all(is_down or in_flight <= limit for _, _, limit, in_flight, is_down in recorded["starts"])
    for host in TWO:
        starts = [start[1:] for start in recorded["starts"] if start[0] == host]
        times = [start[0] for start in starts]
        seen = [(look, starts[bisect_right(times, look.at_s) - 1]) for look in looks if look.host == host]
        assert len(seen) > MANY
        above = [(look, start) for look, start in seen if look.held > start[1] and not start[3]]
        assert not above
        assert sum(is_down for _, (_, _, _, is_down) in seen) < len(seen) / 2
