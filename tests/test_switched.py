"""What Scrapy adds of itself: taken, left out by name, or loaded when its setting says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from scrapy.exceptions import NotConfigured
from scrapy.settings import default_settings
from scrapy.utils.misc import build_from_crawler, load_object
from scrapy.utils.test import get_crawler

from crawler import settings, switched

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl

SWITCHED: Final = [
    thing for name, thing in vars(switched).items() if hasattr(thing, "component") and not name.startswith("_")
]

LEFT_OUT: Final = {
    "scrapy.downloadermiddlewares.offsite.OffsiteMiddleware",
    "scrapy.downloadermiddlewares.robotstxt.RobotsTxtMiddleware",
    "scrapy.downloadermiddlewares.httpauth.HttpAuthMiddleware",
    "scrapy.downloadermiddlewares.downloadtimeout.DownloadTimeoutMiddleware",
    "scrapy.downloadermiddlewares.redirect.MetaRefreshMiddleware",
    "scrapy.downloadermiddlewares.retry.RetryMiddleware",
    "scrapy.downloadermiddlewares.httpcompression.HttpCompressionMiddleware",
    "scrapy.downloadermiddlewares.redirect.RedirectMiddleware",
    "scrapy.downloadermiddlewares.stats.DownloaderStats",
    "scrapy.spidermiddlewares.start.StartSpiderMiddleware",
    "scrapy.spidermiddlewares.httperror.HttpErrorMiddleware",
    "scrapy.spidermiddlewares.referer.RefererMiddleware",
    "scrapy.spidermiddlewares.urllength.UrlLengthMiddleware",
    "scrapy.spidermiddlewares.depth.DepthMiddleware",
    "scrapy.spidermiddlewares.metacopy.MetaCopyDetectionMiddleware",
    "scrapy.extensions.spiderstate.SpiderState",
}
"""Each with its reason in crawler/settings.py."""


def test_whatever_scrapy_adds_is_taken_switched_or_left_out() -> None:
    """A newer Scrapy may add something: decide about it."""
    names = ("DOWNLOADER_MIDDLEWARES_BASE", "SPIDER_MIDDLEWARES_BASE", "ITEM_PIPELINES_BASE", "EXTENSIONS_BASE")
    theirs: dict[str, int] = {key: at for name in names for key, at in getattr(default_settings, name).items()}
    ours: dict[str, int] = {key: at for name in names for key, at in getattr(settings, name).items()}
    taken = {key: at for key, at in ours.items() if key.startswith("scrapy.")}
    switchable = {thing.component: ours[f"crawler.switched.{thing.__name__}"] for thing in SWITCHED}
    assert {**taken, **switchable} == {key: at for key, at in theirs.items() if key not in LEFT_OUT}


@pytest.mark.parametrize("thing", [thing for thing in SWITCHED if thing is not switched.TelnetConsole])
def test_it_is_there_when_its_setting_says_so(thing: Any) -> None:
    with pytest.raises(NotConfigured):
        build_from_crawler(thing, get_crawler(settings_dict={thing.setting: False}))
    built = build_from_crawler(thing, get_crawler(settings_dict={thing.setting: True}))
    assert type(built) is load_object(thing.component)


def test_so_is_the_telnet_console_which_wants_a_reactor(api: ApiServer, crawl: Crawl) -> None:
    assert "Telnet console listening" not in crawl([api.url("/items/1")]).stderr
    assert "Telnet console listening" in crawl([api.url("/items/2")], settings={"TELNETCONSOLE_ENABLED": True}).stderr


def test_a_run_does_not_load_what_it_leaves_off(api: ApiServer, crawl: Crawl) -> None:
    (crawl.cwd / "loaded.py").write_text(
        "import sys\n\nfrom scrapy.exceptions import NotConfigured\n\n\n"
        "class Loaded:\n    @classmethod\n    def from_crawler(cls, crawler):\n"
        "        from scrapy import signals\n\n"
        "        self = cls()\n        crawler.signals.connect(self.closed, signal=signals.spider_closed)\n"
        "        return self\n\n"
        "    def closed(self):\n        open('modules', 'w').write('\\n'.join(sys.modules))\n"
    )
    result = crawl([api.url("/items/1")], settings={"EXTENSIONS": {"loaded.Loaded": 1}})
    assert result.returncode == 0
    modules = set((crawl.cwd / "modules").read_text().split())
    assert "scrapy.core.engine" in modules
    assert not modules & {"aiohttp", "tldextract", "twisted.conch", "scrapy.extensions.telnet"}
