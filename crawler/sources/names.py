"""What the name of a list says: its format, how it is packed, what it is called. Opens nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from crawler.sources.shared import is_shared
from crawler.store.objects.address import is_object_store

STDIN: Final = "-"

FORMATS: Final = {
    ".txt": "txt", ".list": "txt", ".urls": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl", ".jl": "jsonl", ".ndjson": "jsonl",
    ".curl": "curl",
    ".parquet": "parquet",
}  # fmt: skip
"""What the ending of a name says about the lines."""

PACKINGS: Final = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
"""What a further ending says about the bytes."""

_REMOTE: Final = re.compile(r"https?://", re.IGNORECASE)
_PATTERN: Final = re.compile(r"[*?\[]")
_NAME_CHARS: Final = 60  # of up to 4 bytes each, within the 255 bytes of a folder name


def is_remote(urls: str) -> bool:
    """Whether the list is to be downloaded first."""
    return _REMOTE.match(urls) is not None or is_object_store(urls)


def is_url(urls: str) -> bool:
    """Whether the list is no file of this machine."""
    return is_remote(urls) or is_shared(urls)


def is_pattern(urls: str) -> bool:
    """Whether it may stand for several files; a file of that very name goes before."""
    return _PATTERN.search(urls) is not None and not is_url(urls)


def file_name(urls: str) -> str:
    """The last part of a path or URL; of a URL without one, its host."""
    if not is_url(urls):
        return Path(urls).name
    if is_object_store(urls):  # whose keys are no parts of a URL
        return urls.rpartition("/")[2]
    parts = urlsplit(urls)
    return unquote(parts.path).rstrip("/").rpartition("/")[2] or (parts.hostname or "")


def packing(path: str) -> str | None:
    """How the name says that the file is packed; None for plain."""
    return PACKINGS.get(Path(path.lower()).suffix)


def unpacked(name: str) -> str:
    """The name without the ending that says how it is packed."""
    return name[: -len(Path(name).suffix)] if packing(name) else name


def name_format(path: str) -> str | None:
    """The format that the name of the file tells; None when it tells none."""
    return FORMATS.get(Path(unpacked(path.lower())).suffix)


def list_name(urls: str) -> str:
    """What the list is called, without folder and endings; safe as the name of a folder.

    A pattern is called what its letters spell (`2026-*.csv`: 2026), or like its folder when it has none.
    """
    if urls == STDIN:
        return "stdin"
    name = unpacked(file_name(urls))
    if Path(name).suffix.lower() in FORMATS:
        name = Path(name).stem
    if is_pattern(urls):
        spelled = re.sub(r"\[[^\]]*\]|[*?]", "", name).strip("._-")
        parent = next((part for part in reversed(Path(urls).parts[:-1]) if not is_pattern(part)), "")
        name = spelled or parent
    return re.sub(r"[^\w.-]+", "_", name).strip(".")[:_NAME_CHARS] or "list"
