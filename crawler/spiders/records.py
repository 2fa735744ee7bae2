"""How a Record is made of a Ticket and what came back."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from scrapy.utils.httpobj import urlparse_cached

from crawler.items import Record
from crawler.secrets import mask_url

if TYPE_CHECKING:
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
    record.host = urlparse_cached(request).hostname
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
    headers = response.headers
    record.status = response.status
    record.http_version = response.protocol
    record.ip = str(response.ip_address) if response.ip_address is not None else None
    record.fetched_at = _iso(time.time())
    record.headers = _shown_headers(headers)
    record.content_type = _header(headers, b"Content-Type")
    record.etag = _header(headers, b"ETag")
    record.last_modified = _header(headers, b"Last-Modified")
    record.body = response.body


def _shown_headers(headers: Headers) -> dict[str, Any]:
    """Name -> value, or a list of values where a name came more than once; bytes read as Latin-1 (RFC 9110, 5.5)."""
    shown: dict[str, Any] = {}
    for name, values in headers.items():
        texts = [value.decode("latin-1") for value in values]
        shown[name.decode("latin-1")] = texts[0] if len(texts) == 1 else texts
    return shown


def _header(headers: Headers, name: bytes) -> str | None:
    value = headers.get(name)
    return value.decode("latin-1") if value is not None else None


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
