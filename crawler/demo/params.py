"""The query of a request, read and checked. Knows no route."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import parse_qs

from crawler.demo.messages import BadRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SIZE_BYTES: Final = 128 * 1024 * 1024  # twice what the crawler takes

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Params:
    """name -> values, both percent-decoded, in order."""

    values: Mapping[str, list[str]]

    @classmethod
    @lru_cache(maxsize=1024)  # calls of one kind share their query; reading it costs as much as the rest
    def of(cls, query: str) -> Self:
        return cls(parse_qs(query, keep_blank_values=True))

    def text(self, name: str, default: str = "") -> str:
        return self.values[name][0] if name in self.values else default

    def number(self, name: str, default: int) -> int:
        """Raises BadRequestError when it is no natural number."""
        return natural(self.values[name][0], name) if name in self.values else default

    def size(self, default: int) -> int:
        """Bytes of the body. Raises BadRequestError above MAX_SIZE_BYTES."""
        size = self.number("size", default)
        if size > MAX_SIZE_BYTES:
            raise BadRequestError(f"size: more than {MAX_SIZE_BYTES}")
        return size

    def headers(self) -> tuple[tuple[str, bytes], ...]:
        """Every `header=Name:value`. Raises BadRequestError when one could not be sent."""
        return tuple(_header(text) for text in self.values.get("header", ()))


def natural(text: str, what: str) -> int:
    """Raises BadRequestError, which says *what* the text should have been."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):  # room for any size or time that is meant
        raise BadRequestError(f"{what}: not a natural number")
    return int(text)


def field_value(text: str) -> bytes:
    """The value of a header, UTF-8. Raises BadRequestError when it would break the line."""
    if _CONTROL.search(text):
        raise BadRequestError("a control character in a header")
    return text.encode()


def _header(text: str) -> tuple[str, bytes]:
    name, colon, value = text.partition(":")
    if not (colon and _TOKEN.fullmatch(name)):
        raise BadRequestError("header: not Name:value")
    return name, field_value(value.strip())
