"""Where the list is, how it is written, and where the records go."""

from __future__ import annotations

import os
import re
from typing import Final

from crawler.sources import is_remote
from crawler.values.kinds import Kind, text

_REMOTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_FORMAT: Final = re.compile(r"(?:txt|csv|tsv|jsonl)(?:\.(?:gz|bz2|xz|zst))?")
_FORMAT_LATER: Final = re.compile(r"(?:curl(?:\.(?:gz|bz2|xz|zst))?|parquet)")
_NAME_LATER: Final = re.compile(r"\.(?:curl(?:\.(?:gz|bz2|xz|zst))?|parquet)$", re.IGNORECASE)


def read_later(urls: str) -> str | None:
    """Give the ending of a list's name when it stands for a format that cannot be read yet."""
    match = _NAME_LATER.search(urls)
    return match[0] if match else None


def _urls(value: object) -> str:
    urls = text(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if _REMOTE.match(urls) and not is_remote(urls):
        raise ValueError(f"not yet: {urls.partition(':')[0]}")
    return urls


def _format(value: object) -> str:
    said = text(value)
    if not _FORMAT.fullmatch(said):
        raise ValueError(f"not yet: {said}" if _FORMAT_LATER.fullmatch(said) else "")
    return said


def _out(value: object) -> str:
    out = text(os.fspath(value) if isinstance(value, os.PathLike) else value)
    if _REMOTE.match(out):
        raise ValueError("not yet: an object store")
    if "%" in re.sub(r"%\((?:name|time)\)s|%%", "", out):
        raise ValueError("a % for itself is written %%")
    return out


URLS: Final = Kind(_urls, "a list: its path, a folder or pattern of lists, an https: URL, or - for the standard input")
FORMAT: Final = Kind(_format, "txt, csv, tsv or jsonl, each also with .gz, .bz2, .xz or .zst")
OUT: Final = Kind(_out, "the path of a directory, in which %(name)s and %(time)s are filled in")
