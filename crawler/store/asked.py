"""What a call asked for, as the ledger keeps it: enough to ask again. The body is kept beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from crawler.items import Entry, Ticket


def asked(ticket: Ticket) -> dict[str, Any]:
    """Of a call: what its entry asks for, and where its answer goes."""
    optional = {
        "callback": ticket.callback,
        "errback": ticket.errback,
        "cb_kwargs": dict(ticket.cb_kwargs),
        "request_meta": dict(ticket.request_meta),
    }
    return asked_for(ticket.entry) | {name: value for name, value in optional.items() if value}


def asked_for(entry: Entry) -> dict[str, Any]:
    """The same of a line of a list."""
    optional = {
        "headers": [list(header) for header in entry.headers],
        "id": entry.key,
        "meta": dict(entry.meta),
        "n": entry.n if entry.n > 1 else None,
    }
    return {"url": entry.url, "method": entry.method} | {name: value for name, value in optional.items() if value}


def has_more_than_its_row(ticket: Ticket) -> bool:
    """Whether a call asks for more than its row tells, so that it could not be made again from the row alone."""
    entry = ticket.entry
    return entry.method != "GET" or ticket.shown_url != entry.url or bool(asked(ticket).keys() - _TOLD or entry.body)


_TOLD: Final = {"url", "method", "id", "meta"}
"""What a row tells of a plain GET, as its name proves; a line's own request is found in the list."""
