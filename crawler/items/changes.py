"""What a second run finds of the calls of the first: the words for it, and which of them a record means."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from crawler.items.outcomes import Outcome

if TYPE_CHECKING:
    from crawler.items.record import Record


class Change(StrEnum):
    """What became of an answer since the last time (`redo=changed`)."""

    NEW = "new"  # ok, and was not: a new line, or a call that had failed
    CHANGED = "changed"  # another body
    UNCHANGED = "unchanged"  # 304, or the same body again
    GONE = "gone"  # 404 or 410; the body of then is kept


_GONE = frozenset({404, 410})


def change_of(record: Record) -> Change | None:
    """The change that a record means; None where nothing is known (a timeout), or nothing was and is ok."""
    prior = record.ticket.prior if record.ticket is not None else None
    if prior is None or prior.outcome is not Outcome.OK:
        return Change.NEW if record.ok else None
    if record.ok:
        return Change.UNCHANGED if record.sha256 == prior.sha256 else Change.CHANGED
    if record.unchanged:
        return Change.UNCHANGED
    return Change.GONE if record.status in _GONE else None
