"""Which ledgers an output directory has: one, or one for each part of the list. Opens none of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.store.ledger import NAME
from crawler.store.shards import shards_in

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.items import Shard


def ledgers(directory: Path) -> dict[Shard, Path]:
    """Give the ledgers, in the order of their parts; none where no such directory can be read."""
    return {shard: directory / shard.file(NAME) for shard in shards_in(directory, NAME)}
