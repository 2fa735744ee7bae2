"""The middlewares' hooks and the handler as they are called for each request, without what it does not need.

Three of Scrapy's own middlewares have nothing to do for most requests and take 20 us to find that out, and its
choice of the handler parses the URL: here they are asked a shorter question first. Which of their texts are
repeated stands in REPEATED; a test fails when one of them changes.
"""

# ruff: noqa: SLF001  # what is private to them is read here and nowhere else

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from scrapy.core.downloader.handlers import DownloadHandlers
from scrapy.downloadermiddlewares.defaultheaders import DefaultHeadersMiddleware
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware
from scrapy.downloadermiddlewares.useragent import UserAgentMiddleware
from scrapy.http.headers import Headers
from scrapy.utils.deprecate import argument_is_required

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from scrapy import Request, Spider
    from scrapy.http import Response

    Hook = Callable[..., Any]

REPEATED: Final = (
    DefaultHeadersMiddleware.process_request,
    UserAgentMiddleware.process_request,
    HttpProxyMiddleware.process_request,
    HttpProxyMiddleware._set_proxy_and_creds,
    DownloadHandlers.download_request_async,
    DownloadHandlers._load_handler,
)
"""What does here, in fewer steps, the same as there."""


def hook_of(hook: Hook, spider: Spider | None) -> Hook:
    """What to call in *hook*'s place. Old middlewares ask for the spider (deprecated since Scrapy 2.14)."""
    if argument_is_required(hook, "spider"):
        return partial(hook, spider=spider)
    owner = getattr(hook, "__self__", None)
    if hook.__name__ == "process_request":
        if type(owner) is DefaultHeadersMiddleware:
            return _set_defaults([*owner._headers])
        if type(owner) is UserAgentMiddleware:
            return _set_defaults([("User-Agent", owner.user_agent)] if owner.user_agent else [])
        if type(owner) is HttpProxyMiddleware and not owner.proxies:
            return partial(_set_proxy, hook)
    return hook


def _set_defaults(headers: list[tuple[str, str]]) -> Hook:
    normal = [*Headers(headers).items()]

    def process_request(request: Request) -> None:
        given = request.headers
        for name, values in normal:
            if not dict.__contains__(given, name):  # its own way normalises name and value each time
                dict.__setitem__(given, name, values.copy())

    return process_request


def _set_proxy(hook: Hook, request: Request) -> Any:
    """Ask HttpProxyMiddleware where the request itself speaks of a proxy; the environment names none."""
    if (
        "proxy" in request.meta
        or "_auth_proxy" in request.meta
        or dict.__contains__(request.headers, b"Proxy-Authorization")
    ):
        return hook(request=request)
    return None


def download(handlers: DownloadHandlers, request: Request) -> Awaitable[Response]:
    """What the handler of the request's scheme makes of it; the first time it is Scrapy that finds the handler."""
    scheme = request.url.partition(":")[0]
    handler = handlers._handlers.get(scheme)
    if handler is None or scheme in handlers._old_style_handlers:
        return handlers.download_request_async(request)
    return handler.download_request(request)
