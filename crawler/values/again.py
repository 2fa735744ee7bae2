"""What follows from failures: which of them a further run fetches again, and how many are too many."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from crawler.items import NOT_A_CALL, Outcome
from crawler.values.kinds import DECIMAL, WHOLE, Kind, text, texts


@dataclass(frozen=True, slots=True)
class Redo:
    """Which records a further run fetches again.

    text: as said, in one spelling. Matched are the `outcomes`, and the `statuses` where the outcome is
    one of `answered`. Invalid lines and duplicates never match: the list alone decides about them.
    conditional: what is ok is asked for only if it has changed.
    """

    text: str
    outcomes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    answered: frozenset[str] = frozenset()
    conditional: bool = False

    def __str__(self) -> str:
        return self.text

    def matches(self, outcome: str, status: int | None) -> bool:
        """Whether a record is fetched again. status: None when there was no response."""
        return outcome in self.outcomes or (status in self.statuses and outcome in self.answered)


_CALLS: Final = frozenset(Outcome) - NOT_A_CALL - {Outcome.ERASED}
_SILENT: Final = frozenset({Outcome.TIMEOUT, Outcome.DNS, Outcome.CONNECT, Outcome.TLS, Outcome.RESET})
_DAMAGED: Final = frozenset({Outcome.TRUNCATED, Outcome.DECODE})
_PASSING: Final = frozenset({401, 408, 425, 429, *range(500, 600)})
"""Statuses that may be other ones next time: new credentials, a quota that is over, a server repaired."""

_WORDS: Final = {
    "none": Redo("none"),
    "retryable": Redo("retryable", _SILENT | _DAMAGED, _PASSING, frozenset({Outcome.HTTP_ERROR})),
    "failed": Redo("failed", _CALLS - {Outcome.OK}),
    "all": Redo("all", _CALLS),
    "changed": Redo("changed", _CALLS, conditional=True),
}


def _redo(value: object) -> Redo:
    if isinstance(value, Redo):
        return value
    words = sorted({word.lower() for word in texts([value] if isinstance(value, int) else value)})
    if len(words) == 1 and words[0] in _WORDS:
        return _WORDS[words[0]]
    statuses = frozenset(status for word in words for status in _statuses(word))
    return Redo(",".join(words), statuses=statuses, answered=_CALLS)


def _statuses(word: str) -> range:
    """Give what `404` and `5xx` stand for. 6xx to 9xx are in no RFC, but some servers send them."""
    if not re.fullmatch(r"[1-9](?:[0-9]{2}|xx)", word):
        raise ValueError
    first = int(word.replace("x", "0"))
    return range(first, first + (100 if "x" in word else 1))


def _status_set(value: object) -> frozenset[int]:
    return frozenset(status for word in texts(value) for status in _statuses(word.lower()))


STATUSES: Final = Kind(_status_set, "statuses such as 404,5xx")

REDO: Final = Kind(_redo, "none, retryable, failed, changed, all, or statuses such as 404,5xx")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How many failures still count as success: a number, or a share of the lines in percent."""

    amount: Decimal
    percent: bool = False

    def __str__(self) -> str:
        return f"{self.amount.normalize():f}{'%' * self.percent}"

    def allows(self, failed: int, lines: int) -> bool:
        """Whether *failed* out of *lines* are not too many; exactly as many as said are not."""
        return failed * 100 <= self.amount * lines if self.percent else failed <= self.amount


def _tolerance(value: object) -> Tolerance:
    if isinstance(value, Tolerance):
        return value
    said = str(value) if type(value) is int else text(value)
    number = said.removesuffix("%")
    percent = number != said
    if not (DECIMAL if percent else WHOLE).fullmatch(number) or (percent and Decimal(number) > 100):
        raise ValueError
    return Tolerance(Decimal(number), percent)


TOLERANCE: Final = Kind(_tolerance, "a number of failures, or a share of the lines, such as 100 or 0.5%")
