"""Where the list is, how it is written, what is made of its lines, and where the records go."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from crawler.secrets import names_in
from crawler.sources import SharedAddress, body_template, is_remote, is_shared, split_address, url_template
from crawler.store.objects.address import SCHEMES, is_address, is_object_store
from crawler.values.kinds import Kind, text

_FIELDS: Final = re.compile(r"%\((?:name|time)\)s|%%")
_REMOTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FORMAT: Final = re.compile(r"(?:txt|csv|tsv|jsonl|curl)(?:\.(?:gz|bz2|xz|zst))?|parquet")


def _urls(value: object) -> str:
    urls = text(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if is_shared(urls):
        SharedAddress.of(urls)
    elif is_object_store(urls):
        split_address(urls)
    elif _REMOTE.match(urls) and not is_remote(urls):
        raise ValueError
    return urls


def _format(value: object) -> str:
    said = text(value)
    if not _FORMAT.fullmatch(said):
        raise ValueError
    return said


def _out(value: object) -> str:
    out = text(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if _REMOTE.match(out) and not is_object_store(out):
        raise ValueError(f"of object stores: {', '.join(f'{scheme}:' for scheme in SCHEMES)}")
    if "%" in _FIELDS.sub("", out):
        raise ValueError("a % for itself is written %%")
    if is_object_store(out) and not is_address(_FIELDS.sub("x", out)):
        raise ValueError("of an object store: s3://bucket/prefix, with no keys, which are found as its own tools do")
    return out


def _template(value: object) -> str:
    template = _own_text(value)
    url_template(template)
    return template


def _data(value: object) -> str:
    said = _own_text(value)
    if said.startswith("@"):
        try:
            said = Path(said[1:]).read_text(encoding="utf-8-sig")
        except OSError as exc:
            raise ValueError(f"{said[1:]}: {exc.strerror}") from exc
    for columns in (True, False):
        body_template(said, columns=columns)
    return said


def _own_text(value: object) -> str:
    said = text(value)
    if names_in(said):
        raise ValueError("${NAME} is filled in within headers and params alone")
    return said


def _method(value: object) -> str:
    method = text(value).upper()
    if not re.fullmatch(r"[A-Z]{1,20}", method) or method == "CONNECT":  # which has no answer to keep
        raise ValueError
    return method


METHOD: Final = Kind(_method, "an HTTP method, such as POST")
URLS: Final = Kind(
    _urls, "a list: its path, a folder or pattern of lists, an https:, s3: or redis: URL, or - for the standard input"
)
FORMAT: Final = Kind(_format, "txt, csv, tsv, jsonl or curl, each also with .gz, .bz2, .xz or .zst; or parquet")
TEMPLATE: Final = Kind(_template, "a URL with columns in braces, such as https://api.example/items/{id}")
DATA: Final = Kind(_data, 'a body with columns in braces, such as {"id": {id}}, or @FILE that holds one')
OUT: Final = Kind(_out, "the path of a directory or s3://bucket/prefix, in which %(name)s and %(time)s are filled in")
