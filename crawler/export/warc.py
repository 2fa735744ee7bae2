"""WARC 1.1 (ISO 28500), by warcio: a `response` record per answer. Needs `pip install warcio`.

Bodies are stored decoded, so the headers say so: `Content-Length` is that of the body here, `Content-Encoding`
and `Transfer-Encoding` are gone; what the server said of them stands under `X-Crawler-...`, as in Common Crawl's
archives. There are no `request` records: what was sent may hold keys, and is not kept.
"""

from __future__ import annotations

import io
import re
from http import HTTPStatus
from typing import IO, TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

import crawler
from crawler.exceptions import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.export.exporting import Export

_OF_THE_WIRE: Final = frozenset({"content-length", "content-encoding", "transfer-encoding"})
_BREAKS: Final = re.compile(r"[\r\n\0]+")


def write(export: Export, file: IO[bytes], *, packed: bool) -> None:
    """packed: each record a member of its own, as .warc.gz wants it. Raises ArgumentError without warcio."""
    try:
        from warcio.statusandheaders import StatusAndHeaders  # noqa: PLC0415  # for this format alone
        from warcio.warcwriter import WARCWriter  # noqa: PLC0415
    except ImportError as exc:
        raise ArgumentError("--to", "warc", "warcio, which is not installed: pip install warcio") from exc
    writer = WARCWriter(file, gzip=packed, warc_version="1.1")
    info = {"software": f"apifetch/{crawler.__version__}", "format": "WARC File Format 1.1"}
    writer.write_record(writer.create_warcinfo_record(export.name, info))
    for record, body, fetched_at in export.answers():
        phrase = _phrase(record["status"])
        headers = StatusAndHeaders(
            f"{record['status']} {phrase}".strip(), list(_headers(record, body)), protocol=_protocol(record)
        )
        about = {
            "WARC-Date": fetched_at or record["started_at"],
            # Another one once the call is made again; the same in every export of this answer.
            "WARC-Record-ID": uuid5(UUID(record["uuid"]), f"{fetched_at} {record['sha256']}").urn.join("<>"),
        }
        if record["ip"] is not None:
            about["WARC-IP-Address"] = record["ip"]
        uri = record["final_url"] or record["url"]
        writer.write_record(
            writer.create_warc_record(
                uri, "response", payload=io.BytesIO(body), length=len(body), http_headers=headers,
                warc_headers_dict=about,
            )
        )  # fmt: skip


def _protocol(record: dict[str, Any]) -> str:
    """As HTTP/1.1, whatever it was: the format knows no other message (warc-specifications, issue 15)."""
    return "HTTP/1.0" if record["http_version"] == "HTTP/1.0" else "HTTP/1.1"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _headers(record: dict[str, Any], body: bytes) -> Iterator[tuple[str, str]]:
    for name, values in record["headers"].items():
        shown = f"X-Crawler-{name}" if name.lower() in _OF_THE_WIRE else name
        for value in values if isinstance(values, list) else [values]:
            yield shown, _BREAKS.sub(" ", value)
    yield "Content-Length", str(len(body))
