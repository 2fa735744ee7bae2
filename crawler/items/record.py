"""What becomes of a call: what was known of it, the call on its way, its record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003  # messages are decoded by these annotations
from dataclasses import dataclass, field
from typing import Any, Self

from crawler.items.entry import Entry, uuid_text
from crawler.items.outcomes import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """What the ledger already holds about a call.

    id: its row. checked: the run that last decided about it. location: its file below the output
    directory, None when it has none. state: what is still to be done about it (store.schema.State).
    etag, last_modified, sha256: of its answer; the last in hex, of the body.
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
    etag: str | None = None
    last_modified: str | None = None
    sha256: str | None = None


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
    conditions: headers that ask for an answer only if it is another one than the ledger has.
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
    conditions: tuple[tuple[str, str], ...] = ()

    def __deepcopy__(self, memo: object) -> Self:
        return self  # a copy of a record or of a request's meta is still about this call

    @property
    def followed(self) -> bool:
        """Whether a page led here rather than a line of the list."""
        return self.entry.line is None


@dataclass(kw_only=True)
class Record:
    """What became of an entry: the item that pipelines see, one row of the ledger.

    uuid: text, None for an invalid line. source: the file of the line, None where the list is one file.
    parent: the uuid of the record that led here.
    url: as listed, with secrets masked. redirects: hops. bytes: length of the body after content
    decoding; sha256, file_digest: hex digests of body and file, filled in by the store, like location.
    started_at: UTC, ISO 8601 with milliseconds, of the first attempt; fetched_at: of the answer.
    elapsed_ms: the server's time in the last attempt. waited_ms: ours, from reading the line to that
    attempt. error: for a person.
    meta: the list's other columns. body (no field): the bytes, None when there was no response.
    """

    outcome: Outcome
    uuid: str | None = None
    source: str | None = None
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
        self.untouched = False  # whether no code of a user's can have changed it
        self.children: Sequence[Ticket] = ()

    @classmethod
    def of(cls, ticket: Ticket, outcome: Outcome, error: str | None = None) -> Self:
        """A record with what its ticket knows; the answer, if there is one, is still to be added."""
        entry = ticket.entry
        record = cls(
            outcome=outcome,
            uuid=uuid_text(ticket.uuid),
            source=entry.source,
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

    @property
    def unchanged(self) -> bool:
        """Whether the API says that an earlier run's record is what it would answer now."""
        return self.status == 304 and self.kept
