"""What a user's callback yields: items, and requests that become calls of their own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from inspect import isawaitable
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from scrapy.exceptions import UnsupportedURLSchemeError

from crawler.exceptions import ArgumentError, BadURLError
from crawler.items import HOST, REACH, STRANGER, TICKET, Entry, Record, Ticket
from crawler.secrets import mask_url
from crawler.sources import check_url

if TYPE_CHECKING:
    from scrapy import Request, Spider

    from crawler.spiders.apifetch import ApiFetchSpider

RECORD = "record"
"""`response.meta` key under which `parse` finds the Record of the response."""


OWN = frozenset({
    RECORD, "verbatim_url", "redirect_times", "redirect_ttl", "redirect_urls", "redirect_reasons", "retry_times",
    "download_latency",
})  # fmt: skip
"""Keys of `request.meta` that tell what became of one call: not handed on with a page's meta, and neither is what
begins with TICKET, the name of ours."""

FILLED_IN = frozenset({HOST, "proxy", "_auth_proxy", "download_timeout"})
"""Those that a user may set, and that are filled in on the way where nobody has: then they are the page's alone."""


async def outputs(result: Any) -> AsyncIterator[Any]:
    """Whatever a callback may give back, one by one: nothing, an item, an iterable, a coroutine, an async iterator."""
    if isawaitable(result):
        result = await result
    if isinstance(result, AsyncIterator):
        async for item in result:
            yield item
    elif isinstance(result, Iterable) and not isinstance(result, (dict, str, bytes)):
        for item in result:
            yield item
    elif result is not None:
        yield result


def no_record(item: Any) -> Any:
    if isinstance(item, Record):
        raise TypeError("it yields a copy of the record: change the one in response.meta")
    return item


def child_of(request: Request, page: Request, record: Record, spider: Spider) -> Ticket:
    """The ticket of a request that *page* leads to. Raises ArgumentError for what JSON cannot hold."""
    try:
        target = check_url(request.url)
    except BadURLError as exc:
        raise UnsupportedURLSchemeError(f"a page leads to {mask_url(request.url)!r}: {exc}") from exc
    headers = tuple(
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in request.headers.items()
        for value in values
    )
    entry = Entry(
        url=request.url, target=target.target, authorization=target.authorization, line=None,
        method=request.method, headers=headers, body=request.body,
    )  # fmt: skip
    meta = _handed_on(request, page, record)
    for name, value in (("cb_kwargs", request.cb_kwargs), ("meta", meta)):
        _require_json(name, value)
    return Ticket(
        entry=entry, uuid=entry.uuid, shown_url=mask_url(request.url), parent=record.ticket,
        callback=_method_name(spider, request.callback), errback=_method_name(spider, request.errback),
        cb_kwargs=request.cb_kwargs, request_meta=meta,
    )  # fmt: skip


def _handed_on(request: Request, page: Request, record: Record) -> dict[str, Any]:
    """What of a request's meta is its own, where it was made with `meta=response.meta`."""
    given = record.ticket.request_meta if record.ticket is not None else {}
    return {
        name: value
        for name, value in request.meta.items()
        if name not in OWN
        and not name.startswith(TICKET)
        and not (name in FILLED_IN and name not in given and value == page.meta.get(name))
    }


def bounds(child: Request, page: Request, record: Record, spider: ApiFetchSpider) -> dict[str, Any]:
    """What of a page's bounds holds for a request that it led to, as `request.meta` of that one.

    As for redirects: what an API says leads no further in than the API is, and without `hosts` nothing of the
    arguments goes to another origin.
    """
    here, there = check_url(page.url), check_url(child.url)
    found: dict[str, Any] = {name: page.meta[name] for name in (REACH, STRANGER) if name in page.meta}
    if here.host != there.host:
        address = None if record.ip is None or page.meta.get("proxy") else ip_address(record.ip)
        reach = int(spider.run.guard.reach(here.host, address))
        found[REACH] = min(reach, found.get(REACH, reach))
    if here.origin != there.origin and spider.hosts is None:
        found[STRANGER] = True
    return found


def _method_name(spider: Spider, callback: Any) -> str | None:
    if callback is None:
        return None
    name = getattr(callback, "__name__", "")
    if getattr(callback, "__self__", None) is not spider or not hasattr(spider, name):
        raise ArgumentError("callback", callback, "a method of the spider: a followed request outlives the process")
    return str(name)


def _require_json(name: str, values: dict[str, Any]) -> None:
    for key, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as exc:
            raise ArgumentError(
                f"{name}[{key!r}]", value, "a value that JSON can hold: a followed request outlives the process"
            ) from exc
