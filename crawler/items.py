"""The nouns every room speaks of: an Entry (a line of the list) becomes a Record (what became of it).

Owns: what a call is, its name (uuid), the outcomes, and the keys that adapters share in
``request.meta``. Knows nothing of Scrapy, files, SQL or the network.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence  # noqa: TC003  # messages are decoded by these annotations
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self
from uuid import NAMESPACE_URL

TICKET: Final = "apifetch"
"""``request.meta`` key under which a Ticket travels from the spider to the store."""


NOT_BEFORE: Final = "apifetch_not_before"
"""``request.meta`` key: seconds of the monotonic clock before which the request must not go out."""

PUT_BACK: Final = "apifetch_put_back"
"""``request.meta`` key: the scheduler gave the request out, but its time has not come after all."""

HOST: Final = "download_slot"
"""``request.meta`` key, Scrapy's: the host whose limits count. Scheduler and downloader fill it in."""

REFUSALS: Final = "apifetch_refusals"
"""``request.meta`` key: how many of its `retry_times` were refusals, which cost no retry."""


class Outcome(StrEnum):
    """What became of a line. One vocabulary for ledger, summary, stats and exit code."""

    OK = "ok"
    HTTP_ERROR = "http_error"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    RESET = "reset"
    TRUNCATED = "truncated"
    DECODE = "decode"
    TOO_LARGE = "too_large"
    BAD_RESPONSE = "bad_response"
    BAD_REDIRECT = "bad_redirect"
    FORBIDDEN_ADDRESS = "forbidden_address"
    FORBIDDEN_HOST = "forbidden_host"
    UNKNOWN = "unknown"
    INVALID = "invalid"
    DUPLICATE = "duplicate"


NO_USABLE_ANSWER: Final = frozenset(
    {
        Outcome.TIMEOUT,
        Outcome.DNS,
        Outcome.CONNECT,
        Outcome.TLS,
        Outcome.RESET,
        Outcome.TRUNCATED,
        Outcome.DECODE,
        Outcome.BAD_RESPONSE,
        Outcome.UNKNOWN,
    }
)
"""Failures in which the API said nothing that can be relied on (exit code 4; the rest is 8)."""

NOT_A_CALL: Final = frozenset({Outcome.INVALID, Outcome.DUPLICATE})
"""Lines that never became a call: they are derived from the list alone."""

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that may be repeated without asking (RFC 9110, section 9.2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A call to make, as the list gives it.

    url: the text of the list, before anything is filled in; the record's name is made of it.
    target: what goes out on the wire: credentials taken off, illegal bytes percent-encoded.
    authorization: value of the Authorization header that `user:password@` in the URL stands for.
    line: 1-based line of the list on which the entry begins; None for a followed request.
    headers: the list's own, in order. body: the exact bytes. key: the list's `id`.
    meta: the list's other columns, values that JSON can hold.
    n: which occurrence of the same call this is, from 1; above 1 only with `duplicates=fetch`.
    """

    url: str
    target: str
    line: int | None
    authorization: str | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    key: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    n: int = 1

    @property
    def uuid(self) -> bytes:
        """The 16 bytes that name the record; `str(uuid.UUID(bytes=...))` is the file's stem.

        RFC 9562 version 5 in NAMESPACE_URL, of the URL for a plain GET; for any other call of the
        JSON array [method, url, [[header, value], ...], base64 of the body, n].
        """
        if self.method == "GET" and not self.headers and not self.body and self.n == 1:
            return uuid5_bytes(self.url)
        headers = sorted([name.lower(), value] for name, value in self.headers)
        name = [self.method, self.url, headers, b64encode(self.body).decode(), self.n]
        return uuid5_bytes(json.dumps(name, ensure_ascii=False, separators=(",", ":")))


_NAMESPACE_SHA1: Final = hashlib.sha1(NAMESPACE_URL.bytes, usedforsecurity=False)


def uuid5_bytes(name: str) -> bytes:
    """The bytes of `uuid.uuid5(NAMESPACE_URL, name)`, at a quarter of its cost (1.2 us)."""
    sha1 = _NAMESPACE_SHA1.copy()
    sha1.update(name.encode())
    digest = bytearray(sha1.digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # variant of RFC 9562
    return bytes(digest)


def uuid_text(uuid: bytes) -> str:
    """8-4-4-4-12 lower-case hex of 16 bytes."""
    text = uuid.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    r"""A line of the list that cannot be read as a call.

    line: 1-based. text: its beginning, at most 1,000 characters, undecodable bytes as \xNN.
    reason: what is wrong with it, for a person.
    """

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What the ledger already holds about a call.

    id: its row. checked: the run that last decided about it. location: its file below the output
    directory, None when it has none. state: what is still to be done about it (store.schema.State).
    """

    id: int
    uuid: bytes
    outcome: Outcome | None
    status: int | None
    checked: int
    state: int
    location: str | None = None
    list: int | None = None
    line: int | None = None
    parent: int | None = None


@dataclass(slots=True, kw_only=True)
class Ticket:
    """A call on its way through the engine; every copy of its Request shares it (retry, redirect).

    uuid: the record's name. shown_url: the listed one, masked. row: its ledger row once there is one;
    prior: the row as it was before.
    parent: the ticket of the record that led to this followed request; None for a line of the list.
    callback, errback: names of the spider's methods, None for its `parse` and for none.
    issued_s: monotonic seconds when the line was read. sent_s: wall-clock seconds of the first attempt.
    attempts: requests that went out, redirects' hops included. recorded: its record is on its way.
    is_noted: the ledger has it that the call, which may not be repeated, goes out.
    """

    entry: Entry
    uuid: bytes
    shown_url: str
    prior: Prior | None = None
    parent: Ticket | None = None
    row: int | None = None
    callback: str | None = None
    errback: str | None = None
    cb_kwargs: Mapping[str, Any] = field(default_factory=dict)
    request_meta: Mapping[str, Any] = field(default_factory=dict)
    issued_s: float = 0.0
    sent_s: float | None = None
    attempts: int = 0
    recorded: bool = False
    is_noted: bool = False

    def __deepcopy__(self, memo: object) -> Self:
        return self  # a copy of a record or of a request's meta is still about this call

    @property
    def followed(self) -> bool:
        """Whether a page led here rather than a line of the list."""
        return self.entry.line is None


@dataclass(kw_only=True)
class Record:
    """What became of an entry: the item that pipelines see, one row of the ledger.

    uuid: text, None for an invalid line. parent: the uuid of the record that led here.
    url: as listed, with secrets masked. redirects: hops. bytes: length of the body after content
    decoding; sha256, file_digest: hex digests of body and file, filled in by the store, like location.
    started_at: UTC, ISO 8601 with milliseconds, of the first attempt; fetched_at: of the answer.
    elapsed_ms: the server's time in the last attempt. waited_ms: ours, from reading the line to that
    attempt. error: for a person.
    meta: the list's other columns. body (no field): the bytes, None when there was no response.
    """

    outcome: Outcome
    uuid: str | None = None
    line: int | None = None
    n: int = 1
    parent: str | None = None
    key: str | None = None
    method: str = "GET"
    url: str = ""
    host: str | None = None
    final_url: str | None = None
    redirects: int = 0
    status: int | None = None
    http_version: str | None = None
    ip: str | None = None
    location: str | None = None
    bytes: int | None = None
    sha256: str | None = None
    file_digest: str | None = None
    content_type: str | None = None
    headers: Mapping[str, Any] | None = None
    etag: str | None = None
    last_modified: str | None = None
    attempts: int = 0
    started_at: str | None = None
    fetched_at: str | None = None
    elapsed_ms: int | None = None
    waited_ms: int | None = None
    not_before: str | None = None
    error: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # What travels with a record but is no field of it, so that feeds leave it out.
        self.ticket: Ticket | None = None
        self.body: bytes | None = None
        self.children: Sequence[Ticket] = ()

    @classmethod
    def of(cls, ticket: Ticket, outcome: Outcome, error: str | None = None) -> Self:
        """A record with what its ticket knows; the answer, if there is one, is still to be added."""
        entry = ticket.entry
        record = cls(
            outcome=outcome,
            uuid=uuid_text(ticket.uuid),
            line=entry.line,
            n=entry.n,
            parent=uuid_text(ticket.parent.uuid) if ticket.parent is not None else None,
            key=entry.key,
            method=entry.method,
            url=ticket.shown_url,
            attempts=ticket.attempts,
            error=error,
            meta={**entry.meta},  # a user's code may add to it; the line stays what it was
        )
        record.ticket = ticket
        return record

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    @property
    def kept(self) -> bool:
        """Whether an earlier run's record stands instead: what is ok is replaced only by what is ok."""
        prior = self.ticket.prior if self.ticket is not None else None
        return prior is not None and prior.outcome is Outcome.OK and not self.ok
