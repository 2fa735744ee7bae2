"""Which files a folder or a pattern stands for, and in which order. Reads folders, opens no file."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Final

from crawler.exceptions import ListError
from crawler.sources.files import why_unreadable
from crawler.sources.names import FORMATS, is_pattern, is_url, name_format

_SHOWN: Final = 5  # names in a message
_LEDGER: Final = "ledger.sqlite"  # what tells an output directory from a folder of lists


def members(urls: str) -> list[str] | None:
    """The files of a folder or pattern, sorted by path, by code point; None when *urls* names one list.

    Of a folder, the files directly in it whose names end like a list's; of a pattern (`**` too), every file that
    it matches. Hidden files are neither's. Raises ListError when there is none.
    """
    path = Path(urls)
    try:
        if is_url(urls) or not (path.is_dir() or (is_pattern(urls) and not path.exists())):
            return None
        return _folder(urls, path) if path.is_dir() else _pattern(urls)
    except OSError as exc:
        raise ListError(f"{urls}: {why_unreadable(exc)}") from exc
    except ValueError:  # a NUL: whoever opens it says so
        return None


def left_out(urls: str) -> list[str]:
    """The names in a folder that are no list's: files alone, hidden ones not counted; [] for all else."""
    path = Path(urls)
    if not path.is_dir():
        return []
    return sorted(file.name for file in path.iterdir() if _is_visible_file(file) and name_format(file.name) is None)


def _folder(urls: str, path: Path) -> list[str]:
    if (path / _LEDGER).exists():
        raise ListError(f"{urls}: is an output directory, not a folder of lists; its failed.jsonl is a list")
    found = sorted(str(file) for file in path.iterdir() if _is_visible_file(file) and name_format(file.name))
    if not found:
        other = sorted(file.name for file in path.iterdir() if not file.name.startswith("."))
        has = f"; it has {_shown(other)}" if other else "; it is empty"
        raise ListError(f"{urls}: no list in this folder{has}. Names of lists end in {' '.join(FORMATS)}")
    return found


def _pattern(urls: str) -> list[str]:
    matches = glob.iglob(urls, recursive=True)  # noqa: PTH207  # Path.glob takes no absolute pattern
    found = sorted(path for path in matches if not Path(path).is_dir())
    if not found:
        raise ListError(f"{urls}: no file matches this pattern; it counts from the folder where the command runs")
    return found


def _is_visible_file(path: Path) -> bool:
    return not path.name.startswith(".") and path.is_file()


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
