"""What a row of the table is: an argument or a setting, its check and its words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from crawler.exceptions import ArgumentError
from crawler.secrets import STARS, mask_url

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.values import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A row of the table.

    name: what stands after -a; the setting's own name when there is no argument. default: typed;
    default_text: for people. parse: raises ValueError; expected: ends the sentence "expected ...".
    private: its value is not repeated in messages.
    """

    name: str
    setting: str
    default: Any
    default_text: str
    parse: Callable[[object], Any]
    expected: str
    help: str
    private: bool = False

    @property
    def flag(self) -> str:
        """How it is said on the command line."""
        return f"-s {self.name}" if self.name == self.setting else f"-a {self.name}"

    def read(self, value: object, *, said_as: str) -> Any:
        """Give the typed value. said_as: argument or setting, for the message. Raises ArgumentError."""
        try:
            return self.parse(value)
        except ValueError as exc:
            more = f" ({mask_url(str(exc))})" if str(exc) else ""
            raise ArgumentError(said_as, self.shown(value), f"{self.expected}{more}") from exc

    def shown(self, value: object) -> object:
        """Give what a message may repeat of a value."""
        return STARS if self.private else mask_url(value) if isinstance(value, str) else value


def row(
    name: str, kind: Kind, says: str, *,
    default: str = "", note: str = "none", setting: str = "", private: bool = False,
) -> Argument:  # fmt: skip
    """Give a row. default: as text; without one it is None, which *note* explains."""
    return Argument(
        name=name, setting=setting or f"APIFETCH_{name.upper()}", help=says, private=private,
        default=kind.parse(default) if default else None, default_text=f"`{default}`" if default else note,
        parse=kind.parse, expected=kind.expected,
    )  # fmt: skip
