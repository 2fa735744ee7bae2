"""What a body has to be: JSON, and what a condition in JMESPath (jmespath.org) asks of it.

A condition is read once, and checked as a whole before the first request.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, NoReturn

import msgspec

from crawler.values.kinds import Kind, text

_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

_ON_ITSELF: Final = frozenset(
    {"comparator", "and_expression", "or_expression", "not_expression", "function_expression", "multi_select_list",
     "multi_select_dict", "key_val_pair"}
)  # fmt: skip
"""Nodes whose parts all look at what the node looks at."""

_FIRST_ONLY: Final = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten", "pipe"}
)
"""Nodes of which the first part looks at that, and the others at what the first has found."""

_ON_NOTHING: Final = frozenset({"literal", "expref"})  # an expref looks at what its function gives it

SHOWN_CHARS: Final = 200
"""Of what JMESPath says: it repeats values of the body."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What has to be true of a body. text: the expression.

    names: members of the body's object that it looks at; None for all of it. Then only these are built, which takes
    a fifth of the time.
    """

    text: str
    compiled: Any = field(compare=False, repr=False)
    names: frozenset[str] | None = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.text

    def fault(self, body: bytes) -> str | None:
        """Give what is wrong with *body*; None when the condition holds: it gives neither null, false nor emptiness."""
        try:
            value = self.compiled.search(self._built(body))
        except RecursionError:
            return "the body is nested too deep for ok_if"
        except (msgspec.DecodeError, UnicodeDecodeError) as exc:
            return f"ok_if: the body is no JSON: {exc}"
        except ValueError as exc:  # jmespath's own errors are
            return f"ok_if={self.text} cannot be told: {' '.join(str(exc).split())[:SHOWN_CHARS]}"
        # JMESPath's falsehoods: null, false, "", [] and {}; 0 is none of them
        is_false = value is None or value is False or (isinstance(value, str | list | dict) and not value)
        return f"not ok_if={self.text}" if is_false else None

    def _built(self, body: bytes) -> Any:
        """The body as objects, as far as they are looked at."""
        if self.names is None:
            return _value(body)
        try:
            members = _FIELDS.decode(body)
        except msgspec.ValidationError:
            return _value(body)  # no object, so that every member is null
        return {name: _value(members[name]) for name in self.names if name in members}


def is_json(body: bytes) -> bool:
    """Whether *body* is JSON in UTF-8 (RFC 8259). 20 kB take 15 to 80 us."""
    try:
        if not body.isascii():
            body.decode()  # msgspec leaves the bytes inside strings alone
        _RAW.decode(body)
    except (ValueError, RecursionError):
        return False
    return True


def _value(body: bytes | msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.ValidationError:  # 1e999: JSON, and no number of ours
        return json.loads(bytes(body))


def _condition(value: object) -> Condition:
    if isinstance(value, Condition):
        return value
    import jmespath  # noqa: PLC0415  # 20 ms, and most runs have no condition
    from jmespath.exceptions import IncompleteExpressionError, JMESPathError, LexerError, ParseError  # noqa: PLC0415

    said = text(value)
    try:
        compiled = jmespath.compile(said)
    except IncompleteExpressionError:
        raise ValueError("it ends too early") from None
    except LexerError as exc:
        _refuse(said, exc.lexer_position, str(exc.message))
    except ParseError as exc:
        is_number = isinstance(exc.token_value, int)
        hint = f"; a number is written `{exc.token_value}`" if is_number else ""
        _refuse(said, exc.lex_position, f"{exc.token_value} is not expected here{hint}")
    except RecursionError:
        raise ValueError("nested too deep") from None
    except JMESPathError as exc:
        raise ValueError(str(exc)) from None
    _check_tokens(said)
    _check_calls(compiled.parsed)
    return Condition(said, compiled, _names(compiled.parsed))


def _refuse(said: str, at: int, why: str) -> NoReturn:
    """Raise ValueError, which names the place. at: from 0."""
    raise ValueError(f"character {at + 1}, at {said[at : at + 20]!r}: {why}")


def _check_tokens(said: str) -> None:
    """Refuse what JMESPath would find wrong, or not at all, only when a body is there. Raises ValueError."""
    from jmespath.functions import Functions  # noqa: PLC0415  # as above
    from jmespath.lexer import Lexer  # noqa: PLC0415

    tokens = list(Lexer().tokenize(said))
    for before, token in pairwise(tokens):
        word, at = token["value"], token["start"]
        if token["type"] == "lparen" and before["type"] == "unquoted_identifier":
            if before["value"] not in Functions.FUNCTION_TABLE:
                _refuse(said, before["start"], f"there is no function {before['value']}()")
        elif before["type"] in _COMPARES and token["type"] == "quoted_identifier":
            _refuse(said, at, f'"{word}" is the name of a member; the text is written {chr(39)}{word}{chr(39)}')
        elif before["type"] in _COMPARES and token["type"] == "unquoted_identifier" and word in {"true", "false"}:
            _refuse(said, at, f"{word} is the name of a member; the value is written `{word}`")


_COMPARES: Final = frozenset({"eq", "ne", "lt", "lte", "gt", "gte"})


def _check_calls(node: Any) -> None:
    """Refuse a function that is given too few or too many values. Raises ValueError."""
    from jmespath.functions import Functions  # noqa: PLC0415  # as above

    if node["type"] == "function_expression":
        takes = Functions.FUNCTION_TABLE[node["value"]]["signature"]
        given, least = len(node["children"]), len(takes)
        is_open = bool(takes) and takes[-1].get("variadic", False)
        if given < least or (given > least and not is_open):
            raise ValueError(f"{node['value']}() takes {least} values{' or more' * is_open}, not {given}")
    for part in node["children"]:
        if isinstance(part, dict):  # a slice's are numbers
            _check_calls(part)


def _names(node: Any) -> frozenset[str] | None:
    """The members of the outermost object that a part of an expression looks at; None for all."""
    kind, parts = node["type"], node["children"]
    if kind == "field":
        return frozenset({node["value"]})
    if kind in _ON_NOTHING:
        return frozenset()
    if kind in _FIRST_ONLY:
        return _names(parts[0])
    if kind not in _ON_ITSELF:
        return None
    found = [_names(part) for part in parts]
    return frozenset().union(*(names for names in found if names is not None)) if None not in found else None


CONDITION: Final = Kind(_condition, "a condition in JMESPath, such as error == null, or status == 'ok'")
