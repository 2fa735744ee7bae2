"""How a Record is made of a Ticket and what came back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from crawler.items import Record
from crawler.secrets import mask_url
from crawler.values import host_of

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from scrapy import Request
    from scrapy.http import Response
    from scrapy.http.headers import Headers

    from crawler.items import Outcome, Ticket


def make_record(
    ticket: Ticket, request: Request, outcome: Outcome, *, response: Response | None = None, error: str | None = None
) -> Record:
    """The record of a call that has ended. request: as it was last sent, after retries and redirects."""
    record = Record.of(ticket, outcome, error)
    latency_s = request.meta.get("download_latency") if ticket.attempts else None
    record.host = host_of(request.url) or None
    record.redirects = request.meta.get("redirect_times", 0)
    if record.redirects:
        record.final_url = mask_url(request.url)
    if ticket.sent_s is not None:
        record.started_at = _iso(ticket.sent_s)
    if latency_s is not None:
        record.elapsed_ms = round(latency_s * 1000)
    record.waited_ms = round((time.monotonic() - ticket.issued_s - (latency_s or 0.0)) * 1000)
    if response is not None:
        _add_response(record, response)
    return record


def _add_response(record: Record, response: Response) -> None:
    shown = _shown_headers(response.headers)
    record.status = response.status
    record.http_version = response.protocol
    record.ip = _shown_address(response.ip_address) if response.ip_address is not None else None
    record.fetched_at = _iso(time.time())
    record.headers = shown
    record.content_type = _last(shown, "Content-Type")
    record.etag = _last(shown, "Etag")
    record.last_modified = _last(shown, "Last-Modified")
    record.body = response.body


def _shown_headers(headers: Headers) -> dict[str, Any]:
    """Name -> value, or a list of values where a name came more than once; bytes read as Latin-1 (RFC 9110, 5.5)."""
    shown: dict[str, Any] = {}
    for name, values in dict.items(headers):  # as they stand there; its own way normalises each name once more
        if len(values) == 1:
            shown[name.decode("latin-1")] = values[0].decode("latin-1")
        else:
            shown[name.decode("latin-1")] = [value.decode("latin-1") for value in values]
    return shown


def _last(shown: dict[str, Any], name: str) -> str | None:
    """The value of a header, the last one where it came more than once."""
    value: str | list[str] | None = shown.get(name)
    return value[-1] if isinstance(value, list) else value


def _iso(seconds: float) -> str:
    whole, part = divmod(seconds, 1)
    return f"{_iso_second(int(whole))}.{int(part * 1000):03}Z"


@lru_cache(maxsize=8)  # a run asks twice for each call, mostly about this second
def _iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=1024)  # an API has a few addresses
def _shown_address(address: IPv4Address | IPv6Address) -> str:
    return str(address)
