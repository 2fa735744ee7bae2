"""A list that several machines share: where it is, and that it hears of each record. Opens nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote, urlsplit

from crawler.items import BadLine
from crawler.secrets import fill, names_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from crawler.items import Record
    from crawler.sources.source import Source

PORT: Final = 6379

Opens: TypeAlias = "Callable[[int, Callable[[], int]], Source]"
"""Opens such a list for so many workers; the other says how many of its lines have none, and let others go first."""

_SHARED: Final = re.compile(r"rediss?://", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def is_shared(urls: str) -> bool:
    """Whether the list is one that several machines share."""
    return _SHARED.match(urls) is not None


def acknowledge(source: Source, record: Record) -> None:
    """Tell a list that the record of one of its lines is durable."""
    if record.ticket is not None and record.line is not None:
        source.ack((record.ticket.entry,))
    elif record.line is not None:
        source.ack((BadLine(line=record.line, text="", reason="", source=record.source),))


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedAddress:
    """Where a shared list is. db: the number of the database. user, password: None where the URL says none.

    Both may hold `${NAME}`, which filled() fills in.
    """

    host: str
    port: int
    db: int
    name: str
    tls: bool = False
    user: str | None = None
    password: str | None = None

    @classmethod
    def of(cls, urls: str) -> SharedAddress:
        """Read it. ValueError says what is wrong, and never a password."""
        parts = urlsplit(urls)
        try:
            port = parts.port
        except ValueError:
            raise ValueError("its port is no number from 0 to 65535") from None
        db, slash, name = unquote(parts.path).lstrip("/").partition("/")
        if not parts.hostname or not slash or not (db.isascii() and db.isdigit()) or parts.query or parts.fragment:
            raise ValueError("a shared list is redis://host:port/DB/NAME, such as redis://10.0.0.5:6379/0/items")
        if not _NAME.fullmatch(name):
            raise ValueError("the name of a shared list is up to 100 letters, digits, dots, - and _")
        return cls(
            host=parts.hostname, port=port or PORT, db=int(db), name=name, tls=parts.scheme.lower() == "rediss",
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )  # fmt: skip

    @property
    def names(self) -> list[str]:
        """The NAMEs of all `${NAME}`."""
        return names_in(f"{self.user or ''}{self.password or ''}")

    def filled(self, values: Mapping[str, str]) -> SharedAddress:
        """The same with the values of its names."""
        user, password = (said and fill(said, values) for said in (self.user, self.password))
        return replace(self, user=user, password=password)

    def __str__(self) -> str:
        """The list's one name, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' if self.tls else ''}://{host}:{self.port}/{self.db}/{self.name}"
