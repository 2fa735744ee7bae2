"""How a line becomes a call when the arguments have a say: a template for the URL, a method, a body.

Owns which columns these need, and what they make of a line's values. Where values come from is the formats' own.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from crawler.exceptions import ListError
from crawler.items import Entry
from crawler.sources.templates import LINE, Template, body_template, url_template
from crawler.sources.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from crawler.sources.templates import Value

JSON_TYPE: Final = (("Content-Type", "application/json"),)
FORM_TYPE: Final = (("Content-Type", "application/x-www-form-urlencoded"),)

_SHOWN: Final = 20  # columns named in a message


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What the arguments say of every line. url: None: the line has its own. types: the body's Content-Type."""

    url: Template | None = None
    method: str | None = None
    body: Template | None = None
    types: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls, *, template: str | None, method: str | None, data: str | None, typed: bool, columns: bool
    ) -> Making | None:
        """Read the arguments; None when they say nothing. typed: the Content-Type is said elsewhere already.

        columns: the list has some. Raises ValueError.
        """
        if template is None and method is None and data is None:
            return None
        body = body_template(data, columns=columns) if data is not None else None
        types = () if typed or body is None else JSON_TYPE if body.is_json else FORM_TYPE
        return cls(url=url_template(template) if template else None, method=method, body=body, types=types)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that are needed; LINE stands for the line itself."""
        names = (*(self.url.names if self.url else ()), *(self.body.names if self.body else ()))
        return tuple(dict.fromkeys(names))

    def check_columns(self, found: Collection[str], path: str) -> None:
        """Raise ListError when a column that is needed is not among those *found*; empty: the list has none."""
        for name in self.names:
            if name == LINE and found:
                raise ListError(f"{path}: {{}} is the line of a plain list, but this one has columns: {_listed(found)}")
            if name != LINE and not found:
                raise ListError(f"{path}: a plain list has no column {name!r}: {{}} stands for its line")
            if name != LINE and name not in found:
                lower = {known.lower(): known for known in found}
                near = difflib.get_close_matches(name.lower(), lower, n=1)
                meant = f" (did you mean {{{lower[near[0]]}}}?)" if near else ""
                raise ListError(
                    f"{path}: has no column {name!r}, which the template names{meant}; it has {_listed(found)}"
                )

    def entry(
        self, line: int, columns: Mapping[str, Value], *, url: str, key: str | None, meta: Mapping[str, Any]
    ) -> Entry:
        """The call. url: the line's own, where there is no template. Raises LineError or BadURLError."""
        if self.url is not None:
            url = self.url.fill(columns)
        target = check_url(url)
        body = self.body.fill(columns).encode() if self.body is not None else b""
        return Entry(
            url=url,
            target=target.target,
            authorization=target.authorization,
            line=line,
            method=self.method or ("POST" if self.body is not None else "GET"),
            headers=self.types,
            body=body,
            key=key,
            meta=meta,
        )

    def add(self, entry: Entry, columns: Mapping[str, Value], *, says_method: bool) -> Entry:
        """A call that says something itself: the arguments fill in the rest."""
        body, headers = entry.body, entry.headers
        if self.body is not None and not body:
            body = self.body.fill(columns).encode()
            if all(name.lower() != "content-type" for name, _ in headers):
                headers += self.types
        method = entry.method if says_method else self.method or ("POST" if body else "GET")
        return replace(entry, method=method, body=body, headers=headers)


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(repr(name[:40]) for name in [*names][:_SHOWN])
    return shown + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
