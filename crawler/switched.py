"""Components of Scrapy's that most runs leave off: loaded only when their setting says on.

Scrapy imports a component to ask it whether it is wanted; these bring aiohttp's server, Twisted's conch and a
list of public suffixes: a quarter of the start-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scrapy.exceptions import NotConfigured
from scrapy.utils.misc import build_from_crawler, load_object

if TYPE_CHECKING:
    from scrapy.crawler import Crawler


class _Switched:
    """setting: the one that must be true. component: what is built then, in this one's place."""

    setting: ClassVar[str]
    component: ClassVar[str]

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> Any:
        if not crawler.settings.getbool(cls.setting):
            raise NotConfigured
        return build_from_crawler(load_object(cls.component), crawler)


class RemoteControl(_Switched):
    setting = "REMOTE_CONTROL_ENABLED"
    component = "scrapy.extensions.remote_control.RemoteControl"


class TelnetConsole(_Switched):
    setting = "TELNETCONSOLE_ENABLED"
    component = "scrapy.extensions.telnet.TelnetConsole"


class CookiesMiddleware(_Switched):
    setting = "COOKIES_ENABLED"
    component = "scrapy.downloadermiddlewares.cookies.CookiesMiddleware"


class HttpCacheMiddleware(_Switched):
    setting = "HTTPCACHE_ENABLED"
    component = "scrapy.downloadermiddlewares.httpcache.HttpCacheMiddleware"
