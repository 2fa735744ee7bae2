"""The envelope: one JSON object per file, what is known of a call first, the body of its answer last.

Owns: how a body stands in the file (spliced JSON, text, base64) and how its exact bytes come back. Python's
json, DuckDB, jq and pandas read every file, but for integers of more than 64 bits, which pandas reads only
through json. Knows nothing of file names, the ledger or HTTP.
"""

from __future__ import annotations

import codecs
import json
import re
from base64 import b64decode, b64encode
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH: Final = 100
"""Deepest body that is spliced. The file is one deeper, and of the readers DuckDB stops first, at 127."""

_ENCODER: Final = msgspec.json.Encoder()
_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])

_SPACE: Final = b" \t\r\n"  # the only white space of JSON (RFC 8259, section 2)
_LINE_BREAKS: Final = (b"\r\n", b"\n", b"\r")
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NEITHER_BRACKET_NOR_QUOTE: Final = bytes(set(range(256)) - set(b'[]{}"'))
_UP_OR_DOWN: Final = bytes.maketrans(b"[]", b"\x01\xff")  # +1 and -1 as signed bytes
_ESCAPED_QUOTE_OR_BACKSLASH: Final = re.compile(rb'\\["\\]')
_QUOTED: Final = re.compile(rb'"[^"]*"')

_ROUNDS: Final = 8
"""Levels taken off at once, 1 us each for a listing of 20 kB; few bodies have more. What is left is walked
bracket by bracket, for 100 rounds over a large hostile body would take seconds."""

# json refuses integers of more than 4,300 digits (sys.set_int_max_str_digits). Longer ones hold at
# least 16 of the digits that stand 256 bytes apart, so that a look at every 256th byte finds them.
_STRIDE: Final = 256
_DIGITS: Final = re.compile(rb"[0-9]{16}")

# At most 40 characters: Python remembers every unknown name it was ever asked for.
_CHARSET: Final = re.compile(r"""(?ai);\s*charset\s*=\s*["']?([\w.:+-]{1,40})""")
_NOT_A_CHARSET: Final = frozenset(
    {"charmap", "idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"}
)
"""Python's text codecs that no API means: they take quadratic time, warn, or make lone surrogates."""


def envelope(metadata: Mapping[str, object], body: bytes, content_type: str | None, *, one_line: bool = False) -> bytes:
    """The whole file: *metadata* in its order, then *body* under one of three names, then a line feed.

    `body`: strict JSON, byte for byte, white space around it included. `text`, after `charset`: what
    decodes with the charset of *content_type* or with UTF-8, and encodes to the same bytes again (so an
    empty body is the text ""). `base64`: everything else. content_type: None when there was none.
    metadata: JSON values under other names than those four; NaN and infinity become null, lone surrogates
    U+FFFD. one_line: see line_body.
    """
    return json_line({**metadata, **(line_body if one_line else stored_body)(body, content_type)})


def stored_body(body: bytes, content_type: str | None) -> dict[str, object]:
    """The last field or two of an envelope: `body` as raw JSON, `charset` and `text`, or `base64`."""
    return {"body": msgspec.Raw(body)} if is_strict_json(body) else _as_string(body, content_type)


def line_body(body: bytes, content_type: str | None) -> dict[str, object]:
    """The same for a file of many lines: no line break in it.

    JSON has them between its values only, as it has tabs (RFC 8259, section 7). Of one kind, and where there is no
    tab, they become tabs, and `line_break` before `body` says what they were. Else the body is text.
    """
    if b"\n" not in body and b"\r" not in body:
        return stored_body(body, content_type)
    if b"\t" not in body and is_strict_json(body):
        for line_break in _LINE_BREAKS:
            joined = body.replace(line_break, b"\t")
            if b"\n" not in joined and b"\r" not in joined:
                return {"line_break": line_break.decode(), "body": msgspec.Raw(joined)}
    return _as_string(body, content_type)


def json_line(values: dict[str, Any]) -> bytes:
    """An object as one line of JSON."""
    try:
        return _ENCODER.encode_lines([values])  # of a tuple msgspec 0.22 keeps 48 bytes for ever
    except UnicodeEncodeError:  # a list may hold "\ud800", for which UTF-8 has no bytes
        return _ENCODER.encode_lines([_without_surrogates(values)])


def read_envelope(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The metadata and the exact body of a file that `envelope` made.

    Raises ValueError when *data* is something else, cut, or written anew with another layout at its end.
    """
    fields = _FIELDS.decode(data)
    try:
        name, value = fields.popitem()
        if name == "body":
            body = _spliced(data, len(bytes(value)))
            if "line_break" in fields:
                body = body.replace(b"\t", msgspec.json.decode(fields.pop("line_break"), type=str).encode())
        elif name == "text":
            charset = msgspec.json.decode(fields.pop("charset"), type=str)
            body = msgspec.json.decode(value, type=str).encode(charset)
        elif name == "base64":
            body = b64decode(msgspec.json.decode(value, type=str), validate=True)
        else:
            raise ValueError(f"the last field is {name!r}: expected body, text or base64")
    except LookupError as exc:
        raise ValueError(f"not an envelope: {exc}") from exc
    return {name: msgspec.json.decode(field) for name, field in fields.items()}, body


def is_strict_json(body: bytes) -> bool:
    r"""Whether *body* can be spliced into a file that json, DuckDB and jq read.

    RFC 8259 to the letter: UTF-8 without BOM, no NaN, no lone surrogate (`"\ud800"`); nested at most
    MAX_DEPTH deep; no integer that Python refuses. Repeated names pass: finding them costs ten times as
    much, and only DuckDB, and only where it infers the type of `body`, minds. 20 kB take 15 to 55 us.
    """
    try:
        if not body.isascii():
            body.decode()  # msgspec leaves the bytes inside strings alone
        _RAW.decode(body)  # grammar and surrogates, and no object is built: 15 us, against 150 us for json
    except (ValueError, RecursionError):
        return False
    if _deeper_than_max(body):
        return False
    return _DIGITS.search(body[::_STRIDE]) is None or _json_reads(body)


def _deeper_than_max(body: bytes) -> bool:
    """Whether *body*, which is valid JSON, nests more than MAX_DEPTH deep. Exact, whatever strings hold."""
    skeleton = body.translate(_SQUARE, _NEITHER_BRACKET_NOR_QUOTE)
    brackets = skeleton.translate(None, b'"')
    if len(brackets) <= 2 * MAX_DEPTH:
        return False
    if b"\\" in body:  # an escaped quote ends no string
        unescaped = _ESCAPED_QUOTE_OR_BACKSLASH.sub(b"", body)
        skeleton = unescaped.translate(_SQUARE, _NEITHER_BRACKET_NOR_QUOTE)
    quotes = len(skeleton) - len(brackets)
    # A string without brackets is now `""`. Only a string that holds some leaves an odd run of quotes.
    if 2 * skeleton.count(b'""') != quotes:
        brackets = _QUOTED.sub(b"", skeleton.replace(b'""', b""))
    for _ in range(_ROUNDS):  # each takes off the innermost level
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return False
    steps = memoryview(brackets.translate(_UP_OR_DOWN)).cast("b")
    return _ROUNDS + max(accumulate(steps)) > MAX_DEPTH


def _json_reads(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _as_string(body: bytes, content_type: str | None) -> dict[str, object]:
    for charset in (_declared_charset(content_type), "utf-8"):
        try:
            if charset is not None and (text := body.decode(charset)).encode(charset) == body:
                return {"charset": charset, "text": text}
        except (LookupError, ValueError):  # LookupError: a codec that is not for text, as hex or rot13
            continue
    return {"base64": b64encode(body).decode()}


def _declared_charset(content_type: str | None) -> str | None:
    """Python's name of the charset parameter; None when there is none that Python knows as a charset."""
    if content_type is None or (match := _CHARSET.search(content_type)) is None:
        return None
    try:
        name = codecs.lookup(match[1]).name
    except LookupError:
        return None
    return None if name in _NOT_A_CHARSET else name


def _without_surrogates(value: Any) -> Any:
    """*value* with U+FFFD for each lone surrogate in its strings; two that make a pair are joined."""
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
        case list() | tuple():
            return [_without_surrogates(item) for item in value]
        case _:
            return value


def _spliced(data: bytes, length: int) -> bytes:
    """The body that ends *data*, with the white space around its *length* bytes of JSON."""
    end = data.rindex(b"}")
    last = len(data[:end].rstrip(_SPACE))
    start = data.rindex(b":", 0, last - length) + 1  # `envelope` puts nothing between colon and body
    return data[start:end]
