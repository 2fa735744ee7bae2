"""A crawl as a child process: its command line and its environment, from whatever folder and Python program.

A process, since a reactor runs once: so a notebook can crawl twice, and its own event loop is left alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import crawler
from crawler.meter.progress import TELL

if TYPE_CHECKING:
    from collections.abc import Iterator


def crawl_command(
    arguments: Mapping[str, object], settings: Mapping[str, object], *, spider: str = "apifetch"
) -> list[str]:
    """`scrapy crawl` with this Python. Values that are None are left out."""
    command = [sys.executable, "-m", "scrapy", "crawl", spider]
    for flag, values in (("-a", arguments), ("-s", settings)):
        for name, value in values.items():
            if value is not None:
                command += [flag, f"{name}={as_text(value)}"]
    return command


def as_text(value: object) -> str:
    """A value as the command line has it: a list with commas between its parts, an object as JSON."""
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return json.dumps(dict(value), ensure_ascii=False)
    if isinstance(value, list | tuple | set | frozenset):
        return ",".join(map(as_text, value))
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def crawl_environment() -> dict[str, str]:
    """What a crawl gets: all of ours, this project found from any folder, and its settings unless others are named."""
    ours = str(Path(crawler.__file__).parent.parent)
    path = [ours, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "SCRAPY_SETTINGS_MODULE": "crawler.settings", **os.environ, "PYTHONPATH": os.pathsep.join(path),
    }  # fmt: skip


@contextmanager
def progress_pipe(environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A pipe on which a crawl with that environment tells how far it is, each Progress in a line.

    Gives the end to read from, and the one to pass on to the crawl, which is closed here on leaving.
    """
    told, tells = os.pipe()
    environment[TELL] = str(tells)
    try:
        yield told, tells
    except BaseException:
        os.close(told)
        raise
    finally:
        os.close(tells)
