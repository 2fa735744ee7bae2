"""Which addresses a run is connected to: seen at a listener that has them all, in a network of the test's own."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.audit import audit
from tests.harness import STOCK_HANDLER
from tests.world import connections, is_possible, within

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tests.harness import Crawl, CrawlResult


PUBLIC: Final = "93.184.216.34"
PUBLIC_6: Final = "2606:2800:220:1::1"
INSIDE: Final = "10.0.0.5"
METADATA: Final = "169.254.169.254"

SPELLINGS: Final = (
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0x7F.1", "0177.0.0.1",
    "127.0.0.0x1", "127.0.0.1.", "127.8.8.8", "0", "0.0.0.0", "localhost", "LOCALHOST.",
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021",
    "loop.example", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::7f00:1]", "[2002:7f00:1::1]", "[2001:0:7f00:1::f7f7:f7f7]", "[fd00::5efe:7f00:1]", "10.0.0.5", "10.5",
    "0xa000005", "inside.example", "[::ffff:a00:5]", "[64:ff9b::a00:5]", "[fd00::5]", "[fec0::5]", "169.254.169.254",
    "0xa9fea9fe", "metadata.example", "[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]",
)  # fmt: skip
"""Of loopback, private and metadata addresses: what a redirect from outside must not reach."""

ADDRESSES: Final = (
    PUBLIC, PUBLIC_6, INSIDE, METADATA, "64:ff9b::7f00:1", "64:ff9b::a00:5", "64:ff9b::a9fe:a9fe", "::127.0.0.1",
    "2002:7f00:1::1", "2001:0:7f00:1::f7f7:f7f7", "fd00::5efe:7f00:1", "fd00::5", "fec0::5", "fd00:ec2::254",
)  # fmt: skip
"""All of them at one interface, so that a guard that is not there would be connected."""

NAMES: Final = {
    "public.example": [[PUBLIC]], "inside.example": [[INSIDE]], "loop.example": [["127.0.0.1"]],
    "metadata.example": [[METADATA]], "both.example": [[PUBLIC_6, INSIDE]], "turns.example": [[PUBLIC], [INSIDE]],
}  # fmt: skip

needs_a_world = pytest.mark.skipif(not is_possible(), reason="no network namespaces here (unshare and ip, Linux)")


class World:
    """Crawls in a network of their own."""

    def __init__(self, crawl: Crawl) -> None:
        self.crawl = crawl
        self._before = within(crawl.cwd, addresses=ADDRESSES, names=NAMES)

    def __call__(self, urls: list[str], **how: Any) -> tuple[CrawlResult, Counter[str]]:
        """The result, and who was connected to."""
        result = self.crawl(urls, within=self._before, **how)
        return result, connections(self.crawl.cwd)


@pytest.fixture
def world(crawl: Crawl) -> World:
    return World(crawl)


def ends(result: CrawlResult) -> list[tuple[str, str | None]]:
    """Outcome and error of each line, in order."""
    return [(row["outcome"], row["error"]) for row in result.rows("select outcome, error from records order by line")]


@needs_a_world
@pytest.mark.parametrize("handler", [{}, STOCK_HANDLER], ids=["ours", "Scrapy's"])
def test_no_redirect_from_outside_leads_inside_however_it_is_spelt(world: World, handler: dict[str, str]) -> None:
    """Scrapy's own handler, too, which has IPv4 alone."""
    urls = [f"http://public.example/to?http://{host}/secret" for host in SPELLINGS]
    urls.append("http://public.example/to?http://public.example/fine")
    result, connected = world(urls, settings=handler)
    audit(result, 8)
    *redirected, outside = ends(result)
    others = [(host, end) for host, end in zip(SPELLINGS, redirected, strict=True) if end[0] != "forbidden_address"]
    assert others == []
    assert all(" led there" in str(error) or "metadata" in str(error) for _, error in redirected)
    assert outside == ("ok", None)
    assert {key for key in connected if " " not in key} == {PUBLIC}
    rows = result.rows("select redirects, attempts, status from records where outcome = 'forbidden_address'")
    assert [tuple(row.values()) for row in rows] == [(1, 2, None)] * len(SPELLINGS)


@needs_a_world
def test_a_list_of_intranet_names_works_and_what_it_leads_to_lies_no_further_in(world: World) -> None:
    """A line is the user's word; a redirect is the server's, and kept connections make no difference."""
    lines = {
        "http://inside.example/1": "ok",
        f"http://{INSIDE}/2": "ok",
        "http://[fd00::5]/3": "ok",
        "http://localhost/4": "ok",
        "http://both.example/5": "ok",
        "http://metadata.example/6": "forbidden_address",
        f"http://{METADATA}/7": "forbidden_address",
        f"http://inside.example/to?http://{INSIDE}/8": "ok",
        "http://inside.example/to?http://public.example/9": "ok",
        "http://inside.example/to?http://loop.example/10": "forbidden_address",
        "http://loop.example/to?http://inside.example/11": "ok",
        "http://public.example/to?http://inside.example/12": "forbidden_address",  # whose connection is kept
        "http://inside.example/to?http://public.example/to?http://inside.example/13": "forbidden_address",  # and here
        "http://inside.example/to?http://metadata.example/14": "forbidden_address",
    }
    result, connected = world([*lines], workers=8)  # as many connections are kept
    audit(result, 8)
    assert [outcome for outcome, _ in ends(result)] == [*lines.values()]
    assert not any(f"{INSIDE} /{number}" in connected for number in (12, 13))
    assert METADATA not in connected


@needs_a_world
@pytest.mark.parametrize("handler", [{}, STOCK_HANDLER], ids=["ours", "Scrapy's"])
def test_a_name_that_was_outside_does_not_turn_inwards(world: World, handler: dict[str, str]) -> None:
    urls = [f"http://turns.example/close/{number}" for number in range(3)]
    result, connected = world(urls, workers=1, settings={"DNSCACHE_ENABLED": False, "RETRY_TIMES": 0, **handler})
    audit(result, 8)
    assert [outcome for outcome, _ in ends(result)] == ["ok", "forbidden_address", "forbidden_address"]
    assert connected == {PUBLIC: 1, f"{PUBLIC} /close/0": 1}


FOLLOWER: Final = """
from scrapy import Request

from crawler.spiders.apifetch import ApiFetchSpider


class Follower(ApiFetchSpider):
    name = "follower"

    def parse(self, response):
        if response.url.endswith("e/links") and "followed" not in response.url:
            for host in ("inside.example", "loop.example", "public.example"):
                yield Request(f"http://{host}/followed?{response.url.partition('//')[2]}")
"""


@needs_a_world
def test_a_page_leads_no_further_in_than_the_api_is(world: World) -> None:
    """What `parse` yields is most often a link that the API gave."""
    (world.crawl.cwd / "follower.py").write_text(FOLLOWER)
    (world.crawl.cwd / "my_settings.py").write_text(
        "from crawler.settings import *\nSPIDER_MODULES = ['crawler.spiders', 'follower']\n"
    )
    urls = ["http://public.example/links", "http://inside.example/links"]
    result, _ = world(urls, spider="follower", settings_module="my_settings")
    audit(result, 8)
    rows = result.rows("select url, outcome from records where parent is not null")
    ok = {row["url"].partition("//")[2] for row in rows if row["outcome"] == "ok"}
    assert ok == {
        "public.example/followed?public.example/links", "public.example/followed?inside.example/links",
        "inside.example/followed?inside.example/links",
    }  # fmt: skip
    assert {row["outcome"] for row in rows} == {"ok", "forbidden_address"}


@needs_a_world
def test_public_means_that_nothing_else_is_called_and_any_that_all_is(world: World) -> None:
    urls = ["http://inside.example/1", "http://127.1/2", "http://public.example/3", "http://both.example/4"]
    result, connected = world(urls, settings={"APIFETCH_ADDRESSES": "public"})
    audit(result, 8)
    assert [outcome for outcome, _ in ends(result)] == ["forbidden_address", "forbidden_address", "ok", "ok"]
    assert {key for key in connected if " " not in key} == {PUBLIC, PUBLIC_6}
    everything = ["http://public.example/to?http://127.1/5", "http://metadata.example/6"]
    result, _ = world(everything, out="any", settings={"APIFETCH_ADDRESSES": "any"})
    audit(result, 0)


@pytest.fixture
def listener() -> Iterator[tuple[int, list[Any]]]:
    """A port of every address of this machine, and who came."""
    came: list[Any] = []
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        threading.Thread(target=_accept, args=(server, came), daemon=True).start()
        yield server.getsockname()[1], came
        server.shutdown(socket.SHUT_RDWR)


def _accept(server: socket.socket, came: list[Any]) -> None:
    while True:
        try:
            connection, address = server.accept()
        except OSError:
            return
        came.append(address)
        connection.close()


def test_under_public_no_spelling_of_this_computer_is_called(listener: tuple[int, list[Any]], crawl: Crawl) -> None:
    port, came = listener
    spellings = [spelling for spelling in SPELLINGS if not spelling.endswith(".example")]
    assert len(spellings) >= 30
    result = crawl(
        [f"http://{host}:{port}/" for host in spellings], settings={"APIFETCH_ADDRESSES": "public", "RETRY_TIMES": 0}
    )
    assert {row["outcome"] for row in result.rows()} <= {"forbidden_address", "invalid"}
    assert came == []


def test_through_a_proxy_names_alone_are_judged(listener: tuple[int, list[Any]], crawl: Crawl) -> None:
    """The proxy is the user's own, wherever it stands; what it is connected to it knows alone."""
    port, came = listener
    urls = ["http://127.1/", "http://[::ffff:10.0.0.5]/", "http://metadata.google.internal/", "http://name.example/"]
    result = crawl(urls, settings={"APIFETCH_ADDRESSES": "public", "RETRY_TIMES": 0}, env={
        "http_proxy": f"http://127.0.0.1:{port}",
    })  # fmt: skip
    outcomes = [outcome for outcome, _ in ends(result)]
    assert outcomes == ["forbidden_address", "forbidden_address", "forbidden_address", "reset"]
    assert len(came) == 1
