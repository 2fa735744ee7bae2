"""The file in which `${NAME}` is looked up: lines of NAME=VALUE, as `docker --env-file` and dotenv read them.

Owns the syntax, which is also that of what APIFETCH_SECRET_COMMAND prints. A message says which line is wrong,
and never what stands there.
"""

from __future__ import annotations

import re
from typing import Final

from crawler.secrets import NAME

_LINE: Final = re.compile(rf"(?:export\s+)?({NAME})\s*=\s*(.*)", re.DOTALL)
_QUOTED: Final = re.compile(r"""(?s)'([^']*)'\s*(?:#.*)?|"((?:[^"\\]|\\.)*)"\s*(?:#.*)?""")
_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
_ESCAPE: Final = re.compile(r"\\(.)")
_MEANT: Final = {"n": "\n", "r": "\r", "t": "\t"}


def read_env(text: str) -> dict[str, str]:
    r"""Give name -> value, of two lines of one name the last. Raises ValueError, which says which line is wrong.

    Empty lines and those that begin with # say nothing; `export ` before a name is passed over. A value may stand
    in quotes: between '' every character is itself, between "" \n, \r, \t, \" and \\ are what they are elsewhere.
    Without quotes it ends before white space and #. Nothing in it is filled in.
    """
    values = {}
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        match = _LINE.fullmatch(said)
        if match is None:
            raise ValueError(f"line {number} is not NAME=VALUE")
        value = _value(match[2])
        if value is None:
            raise ValueError(f"line {number}: the value begins with a quote, and does not end with it")
        values[match[1]] = value
    return values


def _value(said: str) -> str | None:
    """What stands after `=`; None when a quote has no end."""
    if not said.startswith(("'", '"')):
        return _COMMENT.sub("", said).rstrip()
    match = _QUOTED.fullmatch(said)
    if match is None:
        return None
    single, double = match.groups()
    return single if double is None else _ESCAPE.sub(lambda escape: _MEANT.get(escape[1], escape[1]), double)
