"""JSON lines: an object per line says all of a call.

Owns: which keys a line may have, what their values mean, and which methods and headers a list may ask
for. What failed.jsonl holds is read by this module, so what it writes are these keys. Knows no files.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from crawler.headers import OWN, TOKEN, UNPRINTABLE
from crawler.items import Entry
from crawler.sources.lines import LineError, decode
from crawler.sources.templates import as_text
from crawler.sources.urls import check_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.sources.making import Making
    from crawler.sources.templates import Value

JSONL_CAP: Final = 8 * 1024 * 1024
"""Bytes of the longest line: room for a body of 6 MiB in base64."""

_COMMON_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NOTHING: Final = msgspec.Raw()


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    """The keys of a line. null is the same as no such key."""

    url: str
    method: str | None = None
    headers: dict[str, str | list[str] | None] | None = None
    body: msgspec.Raw = _NOTHING  # any JSON; kept as written, so that numbers stay what they are
    body_base64: str | None = None
    id: str | int | float | None = None
    meta: dict[str, Any] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)] | None = None  # fits a column of the ledger
    error: msgspec.Raw = msgspec.field(name="_error", default=_NOTHING)


_DECODER: Final = msgspec.json.Decoder(_Line)
_ROW_DECODER: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_KEYS: Final = _Line.__struct_encode_fields__


def parse_jsonl(line: int, raw: bytes) -> Entry:
    """The call that a line describes. Raises LineError or BadURLError."""
    return _entry(line, _decode(raw))


def make_jsonl(making: Making, line: int, raw: bytes) -> Entry:
    """The call that the arguments make of a line. Raises as `parse_jsonl` does.

    With a template a line is an object of columns; without one it is a call, whose `id` and `meta` are the columns.
    """
    if making.url is None:
        call = _decode(raw)
        columns: dict[str, Value] = {name: _value(value) for name, value in (call.meta or {}).items()}
        if call.id is not None:
            columns["id"] = _value(call.id)
        if call.body or call.body_base64 is not None:  # the line's own goes before
            return making.add(_entry(line, call), {}, says_method=call.method is not None)
        _check_columns(making, columns)
        return making.add(_entry(line, call), columns, says_method=call.method is not None)
    if len(raw) > JSONL_CAP or not raw.isascii():
        decode(raw, cap=JSONL_CAP)
    try:
        row = _ROW_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise LineError(f"no JSON object: {exc}") from exc
    except RecursionError as exc:
        raise LineError("JSON nested too deeply") from exc
    _check_columns(making, row)
    meta = {name: msgspec.json.decode(value) for name, value in row.items() if name != "id"}
    return making.entry(line, row, url="", key=_key(row["id"]) if "id" in row else None, meta=meta)


def _key(value: msgspec.Raw) -> str | None:
    """The text of an `id`, whatever JSON it is; None for null and nothing."""
    written = bytes(value).decode()
    return written if written.startswith(("[", "{")) else as_text(value) or None


def _check_columns(making: Making, columns: Mapping[str, Value]) -> None:
    for name in making.names:
        if name not in columns:
            raise LineError(f"has no {name!r}, which the template needs")


def _value(value: Any) -> Value:
    return value if isinstance(value, str) else msgspec.Raw(msgspec.json.encode(value))


def _entry(line: int, call: _Line) -> Entry:
    target = check_url(call.url)
    headers = _headers(call.headers) if call.headers else ()
    body, is_json = _body(call)
    if is_json and all(name.lower() != "content-type" for name, _ in headers):
        headers = (*headers, ("Content-Type", "application/json"))
    return Entry(
        url=call.url,
        target=target.target,
        authorization=target.authorization,
        line=line,
        method=_method(call.method, has_body=body is not None),
        headers=headers,
        body=body or b"",
        key=None if call.id is None else str(call.id),
        meta=call.meta or {},
        n=call.n or 1,
    )


def _decode(raw: bytes) -> _Line:
    if len(raw) > JSONL_CAP or not raw.isascii():
        decode(raw, cap=JSONL_CAP)  # the decoder does not look into what it leaves undecoded
    try:
        return _DECODER.decode(raw)
    except msgspec.ValidationError as exc:
        raise LineError(_unknown_keys(raw) or f"not a call: {exc}") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise LineError(f"not JSON: {exc}") from exc
    except RecursionError as exc:
        raise LineError("JSON nested too deeply") from exc


def _unknown_keys(raw: bytes) -> str | None:
    """What to say about keys that a line may not have; None when that is not what is wrong with it."""
    try:
        given = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return None
    unknown = ", ".join(repr(key) for key in given if key not in _KEYS)
    return f"unknown key {unknown[:200]}; a line may have {', '.join(_KEYS)}" if unknown else None


def _method(given: str | None, *, has_body: bool) -> str:
    if given is None:
        return "POST" if has_body else "GET"  # as curl does
    method = given.upper()
    if method in _COMMON_METHODS:
        return method
    if TOKEN.fullmatch(method) is None:
        raise LineError(f"method {given[:40]!r} is no HTTP method")
    if method == "CONNECT":
        raise LineError("method CONNECT opens a tunnel and has no answer to keep")
    return method


def _headers(given: dict[str, str | list[str] | None]) -> tuple[tuple[str, str], ...]:
    """Name and value of each header, a list as so many headers of one name."""
    headers = []
    for name, value in given.items():
        checked_header(name, "")  # also where it has no value
        headers += [checked_header(name, text) for text in ([value] if isinstance(value, str) else value or [])]
    return tuple(headers)


def checked_header(name: str, value: str) -> tuple[str, str]:
    """The same, if a list may ask for it. Raises LineError."""
    if TOKEN.fullmatch(name) is None:
        raise LineError(f"header name {name[:40]!r} is not allowed (RFC 9110: letters, digits, - and _)")
    if why := OWN.get(name.lower()):
        raise LineError(f"header {name} cannot be set: {why}")
    if UNPRINTABLE.search(value):
        raise LineError(f"header {name[:40]}: its value holds a line break or control character")
    return name, value


def _body(call: _Line) -> tuple[bytes | None, bool]:
    """The bytes to send, None without a body; and whether they were given as a JSON value."""
    written = bytes(call.body)
    if written in {b"", b"null"}:
        return (None if call.body_base64 is None else _from_base64(call.body_base64)), False
    if call.body_base64 is not None:
        raise LineError("body and body_base64 exclude each other")
    if written.startswith(b'"'):
        return msgspec.json.decode(written, type=str).encode(), False
    return msgspec.json.format(written, indent=-1), True


def _from_base64(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise LineError(f"body_base64 is not base64: {exc}") from exc
