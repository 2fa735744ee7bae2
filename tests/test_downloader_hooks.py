"""What is called in a hook's place does what the hook does."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy import Request
from scrapy.downloadermiddlewares.defaultheaders import DefaultHeadersMiddleware
from scrapy.downloadermiddlewares.httpproxy import HttpProxyMiddleware
from scrapy.downloadermiddlewares.useragent import UserAgentMiddleware

from crawler.downloader.hooks import hook_of

URL = "http://api.test/items/1"

REQUESTS: list[dict[str, Any]] = [
    {},
    {"headers": {"Accept": "text/csv", "User-Agent": "mine"}},
    {"headers": {"accept": ["a", "b"], "user-agent": ""}},
    {"headers": {"Proxy-Authorization": "Basic eDp5"}},
    {"headers": {"Proxy-Authorization": "Basic eDp5"}, "meta": {"proxy": "http://proxy.test:3128"}},
    {"headers": {"Proxy-Authorization": "Basic eDp5"}, "meta": {"_auth_proxy": "http://other.test:3128"}},
    {"meta": {"proxy": "http://ann:secret@proxy.test:3128"}},
    {"meta": {"proxy": None}},
    {"meta": {"proxy": ""}},
]


def middlewares(monkeypatch: pytest.MonkeyPatch, **proxies: str) -> list[Any]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, url in proxies.items():
        monkeypatch.setenv(name, url)
    return [
        DefaultHeadersMiddleware([("Accept", "*/*"), ("x-many", ["1", "2"])]),  # type: ignore[list-item]
        UserAgentMiddleware("apifetch"),
        UserAgentMiddleware(""),
        HttpProxyMiddleware(),
    ]


@pytest.mark.parametrize("given", REQUESTS)
@pytest.mark.parametrize("proxies", [{}, {"http_proxy": "http://env.test:8080"}], ids=["no proxy", "a proxy"])
def test_a_request_comes_out_the_same(
    given: dict[str, Any], proxies: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for middleware in middlewares(monkeypatch, **proxies):
        theirs, ours = Request(URL, **given), Request(URL, **given)
        hook = hook_of(middleware.process_request, None)
        assert hook is not middleware.process_request or proxies
        assert middleware.process_request(request=theirs) is None
        assert hook(request=ours) is None
        assert (dict(ours.headers), ours.meta) == (dict(theirs.headers), theirs.meta)


def test_two_requests_share_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = hook_of(middlewares(monkeypatch)[0].process_request, None)
    first, second = Request(URL), Request(URL)
    hook(request=first)
    first.headers.appendlist("Accept", "text/csv")
    hook(request=second)
    assert second.headers.getlist("Accept") == [b"*/*"]


def test_a_subclass_keeps_its_own_hook() -> None:
    class Mine(UserAgentMiddleware):
        def process_request(self, request: Request) -> None:  # type: ignore[override]
            request.headers["User-Agent"] = "mine"

    mine = Mine()
    assert hook_of(mine.process_request, None) == mine.process_request
