"""Which parts of a list have files in an output directory, by the names of these. Opens none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.items import Shard

if TYPE_CHECKING:
    from pathlib import Path


def shards_in(directory: Path, name: str) -> list[Shard]:
    """The parts that have a file called *name*, in their order; none where no such directory can be read."""
    try:
        return Shard.among((path.name for path in directory.iterdir()), name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
