"""Headers and parameters: a JSON object becomes pairs of texts, with every `${NAME}` still in place."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from crawler.headers import OWN, TOKEN, UNPRINTABLE
from crawler.secrets import has_stray_opening, names_in
from crawler.values.kinds import Kind

Pairs = tuple[tuple[str, str], ...]

_NO_TEXT: Final = re.compile(r"[\ud800-\udfff]")


def _headers(value: object) -> Pairs:
    return tuple(_read(value, same=str.lower, one=_header))


def _header(name: str, value: object) -> str:
    legal = TOKEN.match(name)
    if legal is None or legal.end() < len(name):
        # only its beginning: with a colon in the wrong place, a name holds the value too
        raise ValueError(f"a header name has a wrong character after {legal[0] if legal else ''!r}")
    if name.lower() in OWN:
        raise ValueError(f"{name} is the client's own to set")
    if not isinstance(value, str) or UNPRINTABLE.search(value):
        raise ValueError(f"{name}: a text without line breaks, or a list of them")
    return value


def _params(value: object) -> Pairs:
    return tuple(_read(value, same=str, one=_param))


def _param(name: str, value: object) -> str:
    if names_in(name):
        raise ValueError(f"{name}: only values are filled in")
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)  # true and false as JSON says them
    if not isinstance(value, str) or _NO_TEXT.search(name + value):
        raise ValueError(f"{name}: a text, a number, true, false, or a list of them")
    return value


def _read(value: object, *, same: Callable[[str], str], one: Callable[[str, object], str]) -> Iterator[tuple[str, str]]:
    """Give (name, text) for every value. same: what makes two names one. one: reads one value."""
    for name, held in _pairs(value, same):
        for item in held if isinstance(held, list | tuple) and held else (held,):
            text = one(name, item)
            if has_stray_opening(text):
                raise ValueError(f"{name}: '${{' without a NAME}}")
            yield name, text


def _pairs(value: object, same: Callable[[str], str]) -> tuple[tuple[str, object], ...]:
    pairs = tuple(value.items()) if isinstance(value, Mapping) else _json(value) if isinstance(value, str) else value
    # json gives tuples for objects only; a tuple otherwise is what _read gave before
    if not isinstance(pairs, tuple) or not all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        raise ValueError
    names = [same(str(name)) for name, _ in pairs]
    if pairs is not value and len(set(names)) < len(names):
        raise ValueError(f"{max(names, key=names.count)} is there twice")
    return tuple((str(name), held) for name, held in pairs)


def _json(text: str) -> object:
    """Read JSON, from `@FILE` too, objects as tuples of pairs."""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8-sig")
        except OSError as exc:
            raise ValueError(f"{text[1:]}: {exc.strerror}") from exc
    try:
        return json.loads(text, object_pairs_hook=tuple)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


HEADERS: Final = Kind(_headers, 'a JSON object such as {"Accept": "text/csv"}, or @FILE that holds one')
PARAMS: Final = Kind(_params, 'a JSON object such as {"page_size": 100}, or @FILE that holds one')
