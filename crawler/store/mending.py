"""What a user's code may have put into a record, and what ledger and files can hold: the second is kept.

Owns that check, so that one record that cannot be written spoils itself and no other. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from operator import attrgetter
from typing import Final

import msgspec

from crawler.items import Outcome, Record

_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "str": str,
    "str | None": (str, type(None)),
    "int": int,
    "int | None": (int, type(None)),
    "Mapping[str, Any]": (dict, Mapping),  # dict is asked for first, and quickly
    "Mapping[str, Any] | None": (dict, Mapping, type(None)),
}

_FIELDS: Final = tuple(
    (field.name, {} if field.name == "meta" else field.default, str(field.type), _KINDS[str(field.type)])
    for field in fields(Record)
    if field.name != "outcome"
)

_ALL_KINDS: Final = tuple(kinds for *_, kinds in _FIELDS)
_values: Final = attrgetter(*(name for name, *_ in _FIELDS))
_texts: Final = attrgetter(*(name for name, _, expected, _ in _FIELDS if expected.startswith("str")))
_numbers: Final = attrgetter(*(name for name, _, expected, _ in _FIELDS if expected.startswith("int")))

_LARGEST: Final = 2**63  # the first that SQLite cannot hold

_encode: Final = msgspec.json.Encoder().encode


def mend(record: Record) -> None:
    """Make *record* `rejected`, with the reason, if it holds what cannot be written; that is taken out. 3 us.

    A lone surrogate alone, which an exception's text may hold, spoils nothing: a question mark replaces it.
    """
    if not _is_plain(record):
        _mend_fields(record)
    outcome: object = record.outcome
    if not isinstance(outcome, Outcome):
        try:
            record.outcome = Outcome(str(outcome))
        except ValueError:
            _take_out(record, "outcome", "one of ours", Outcome.REJECTED)
    for name in ("meta", "headers"):
        try:
            _encode(getattr(record, name))
        except (TypeError, ValueError, RecursionError) as exc:
            _take_out(record, name, f"values that JSON can hold ({exc})", {})


def _is_plain(record: Record) -> bool:
    """Whether no field needs a look of its own: true of most records, and a third of the cost."""
    if not all(map(isinstance, _values(record), _ALL_KINDS)):
        return False
    numbers = [*filter(None, _numbers(record)), 0]
    return all(map(str.isascii, filter(None, _texts(record)))) and -_LARGEST <= min(numbers) <= max(numbers) < _LARGEST


def _mend_fields(record: Record) -> None:
    for name, default, expected, kinds in _FIELDS:
        value = getattr(record, name)
        if not isinstance(value, kinds):
            _take_out(record, name, expected, default)
        elif isinstance(value, str):
            if not value.isascii():
                setattr(record, name, value.encode(errors="replace").decode())
        elif isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
            _take_out(record, name, "at most 64 bits", default)


def _take_out(record: Record, name: str, expected: str, instead: object) -> None:
    reason = f"a component set {name}={getattr(record, name)!r:.200}: expected {expected}"
    setattr(record, name, instead)
    record.outcome, record.error = Outcome.REJECTED, reason
