"""Which ledgers an output directory has: one, or one for each part of the list. Opens none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.items import Shard
from crawler.store.ledger import NAME

if TYPE_CHECKING:
    from pathlib import Path


def ledgers(directory: Path) -> dict[Shard, Path]:
    """Give the ledgers, in the order of their parts; none where no such directory can be read."""
    try:
        found = {Shard.of_file(path.name, NAME): path for path in directory.iterdir()}
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    parts = [(shard, path) for shard, path in found.items() if shard is not None]
    return dict(sorted(parts, key=lambda part: (part[0].count, part[0].number)))
