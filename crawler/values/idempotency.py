"""The header by which an API knows a call that it has carried out already (draft-ietf-httpapi-idempotency-key-header).

With it a call that is not idempotent may be repeated: the API carries it out once, and answers the same each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crawler.headers import OWN, TOKEN
from crawler.values.kinds import Kind, text

if TYPE_CHECKING:
    from collections.abc import Container

_OFF: Final = frozenset({"off", "false", "no", "none", "0"})
_ON: Final = frozenset({"on", "true", "yes", "1"})


@dataclass(frozen=True, slots=True)
class KeyHeader:
    """name: of the header. is_quoted: its value is a structured field's string, as the draft has it."""

    name: str
    is_quoted: bool

    def __str__(self) -> str:
        return "on" if self.is_quoted else self.name

    def value(self, uuid: str) -> str:
        """Give what stands in the header of the call of that name: the same in every attempt, and in every run."""
        return f'"{uuid}"' if self.is_quoted else uuid

    def is_in(self, headers: Container[str]) -> bool:
        """Whether a call carries it; headers: matched without regard to case."""
        return self.name in headers


def _key_header(value: object) -> KeyHeader | None:
    if isinstance(value, KeyHeader):
        return value
    said = text("on" if value is True else value)
    if said.lower() in _ON:
        return KeyHeader("Idempotency-Key", is_quoted=True)
    if said.lower() in _OFF:
        return None
    if not TOKEN.fullmatch(said) or said.lower() in OWN:
        raise ValueError
    return KeyHeader(said, is_quoted=False)


IDEMPOTENCY_KEY: Final = Kind(_key_header, "on, off, or the name of a header")
