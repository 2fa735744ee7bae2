"""One row against one file: does each say what the other says? Pure; the file comes as bytes.

The file is held against its digest in the row first. Once that fits, the file is whole, and where the two
still differ it is the row that was changed: the envelope then says what it was.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import msgspec

from crawler.checking.findings import Finding, Kind
from crawler.items import Outcome, uuid_text
from crawler.store.envelope import read_envelope
from crawler.store.files import RESPONSES, location

COLUMNS: Final = (
    "id", "uuid8", "uuid", "state", "outcome", "status", "location", "bytes", "sha256", "file_digest", "key", "method",
    "url", "attempts", "elapsed_ms", "headers", "meta", "content_type", "etag", "last_modified", "error",
)  # fmt: skip
"""What is read of a row."""

_ALIKE: Final = ("key", "method", "url", "status", "outcome", "attempts", "elapsed_ms", "error")
"""Columns that an envelope repeats as they are. `line` is left out: a list may be sorted later."""

_HEADERS: Final = {"content_type": "content-type", "etag": "etag", "last_modified": "last-modified"}

_decode: Final = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Row:
    """A row, its columns by name."""

    columns: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.columns[name]

    @property
    def uuid(self) -> str:
        return uuid_text(self["uuid"]) if isinstance(self["uuid"], bytes) and len(self["uuid"]) == 16 else ""

    @property
    def is_open(self) -> bool:
        """Whether it is still to be fetched."""
        return self["outcome"] is None

    def expected(self, levels: int) -> tuple[str, str]:
        """Where its file belongs, and where it would be had the outcome been of the other kind."""
        ok = bool(self["outcome"] == Outcome.OK)
        return location(self.uuid, ok=ok, levels=levels), location(self.uuid, ok=not ok, levels=levels)

    def found(self, kind: Kind, detail: str, *, place: str | None = None, restored: Any = None) -> Finding:
        return Finding(
            kind, place or self["location"], detail,
            row=self["id"], uuid=self.uuid, url=str(self["url"]), restored=restored,
        )  # fmt: skip


def compare(row: Row, data: bytes, place: str, *, raw: bool, levels: int) -> Finding | None:
    """What is wrong with a row whose file *data* stands at *place*; None when all is well."""
    digest = hashlib.sha256(data).digest()
    if digest != row["file_digest"]:
        return row.found(Kind.ALTERED, _altered(row, data, raw=raw), place=place)
    if raw:
        return _compared(row, _of_raw(row, data, digest, place), place, levels)
    try:
        metadata, body = read_envelope(data)
    except (ValueError, msgspec.DecodeError) as exc:
        return row.found(Kind.ALTERED, f"it was written so, but is no envelope: {exc}", place=place)
    body_digest = hashlib.sha256(body).digest()
    if metadata.get("sha256") != body_digest.hex():
        return row.found(Kind.ALTERED, "it was written so, but its body is not that of its sha256", place=place)
    return _compared(row, _of_envelope(metadata, body, body_digest, place), place, levels)


def _altered(row: Row, data: bytes, *, raw: bool) -> str:
    """What a file that has another digest looks like."""
    if raw:
        size = row["bytes"]
        return "its bytes are others" if len(data) == size else f"it has {len(data)} bytes instead of {size}"
    try:
        _, body = read_envelope(data)
    except (ValueError, msgspec.DecodeError) as exc:
        return f"no whole JSON document any more: {exc}" if data else "it is empty"
    same = hashlib.sha256(body).digest() == row["sha256"]
    return "the body is whole, what stands before it is not" if same else "its body is another"


def _of_raw(row: Row, data: bytes, digest: bytes, place: str) -> dict[str, Any]:
    """What a raw file proves about its row: its name, its length, its digest, and whether it was ok."""
    ok = place.startswith(RESPONSES)
    outcome = Outcome.OK if ok else row["outcome"] if row["outcome"] in _FAILED else None
    return {**_name(place), "bytes": len(data), "sha256": digest, "outcome": outcome, "location": place}


_FAILED: Final = frozenset(Outcome) - {Outcome.OK}


def _of_envelope(metadata: dict[str, Any], body: bytes, digest: bytes, place: str) -> dict[str, Any]:
    """The columns that an envelope proves."""
    headers = metadata.get("headers") or {}
    last = {name.lower(): value[-1] if isinstance(value, list) else value for name, value in headers.items()}
    return {
        **_name(metadata["uuid"]),
        **{name: metadata.get(name) for name in _ALIKE},
        **{column: last[header] for column, header in _HEADERS.items() if header in last},
        "headers": headers, "meta": metadata.get("meta") or {}, "bytes": len(body), "sha256": digest, "location": place,
    }  # fmt: skip


def _name(text: str) -> dict[str, Any]:
    uuid = UUID(text.rpartition("/")[2].removesuffix(".json")).bytes
    return {"uuid": uuid, "uuid8": int.from_bytes(uuid[:8], "big", signed=True)}


def _compared(row: Row, proven: dict[str, Any], place: str, levels: int) -> Finding | None:
    wrong = [name for name, value in proven.items() if _held(row, name) != value]
    if not wrong:
        return None
    detail = "the file is whole, but the row has another " + ", ".join(wrong)
    ok = proven["outcome"] == Outcome.OK
    sure = proven["outcome"] is not None and _belongs(place, uuid_text(proven["uuid"]), ok=ok, levels=levels)
    restored = {name: _stored(name, proven[name]) for name in wrong} if sure else None
    return row.found(Kind.CHANGED, detail, place=place, restored=restored)


def _belongs(place: str, uuid: str, *, ok: bool, levels: int) -> bool:
    """Whether what is at *place* is there by right; a part has lines of all names."""
    if "#" in place:
        return place.startswith(RESPONSES) == ok
    return location(uuid, ok=ok, levels=levels) == place


def _held(row: Row, name: str) -> Any:
    value = row[name]
    if name not in {"headers", "meta"}:
        return value
    try:
        return _decode(value) if value else {}
    except (ValueError, TypeError):
        return None


def _stored(name: str, value: Any) -> Any:
    """A value as its column holds it."""
    if name not in {"headers", "meta"}:
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) if value else None
