"""Which store keeps the bodies of a directory: chosen here and nowhere else, for who writes and for who reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.store.files import Files
from crawler.store.objects.address import mark_of
from crawler.store.packs import Packs
from crawler.store.parts import PartReader
from crawler.store.rewriting import shred
from crawler.store.tree import FileReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from crawler.items import Shard
    from crawler.store.bodies import Bodies, Reader, Tree
    from crawler.store.files import Durability
    from crawler.store.ledger import Ledger
    from crawler.store.place import Place


def open_bodies(
    place: Place, ledger: Ledger, shard: Shard, *, durability: Durability, levels: int, packed: bool
) -> Bodies:
    """The store of a run that writes. levels: of folders, where bodies are files. packed: `pack=jsonl`."""
    mark = mark_of(place.directory, shard)
    if packed and mark is not None:
        from crawler.store.objects.packs import ObjectPacks  # noqa: PLC0415  # for those who have obstore

        return ObjectPacks.open(mark, shard, ledger)
    if packed:
        return Packs(place, ledger, durability)
    if mark is not None:
        from crawler.store.objects.bodies import ObjectBodies  # noqa: PLC0415  # for those who have obstore

        return ObjectBodies.open(mark, shard, levels=levels)
    return Files(place, durability, levels=levels)


def open_tree(out: Path) -> Tree:
    """The store of a directory whose bodies have names of their own."""
    if (mark := mark_of(out)) is not None:
        from crawler.store.objects.bodies import ObjectReader  # noqa: PLC0415  # for those who have obstore

        return ObjectReader.open(mark)
    return FileReader(out)


def remove(place: Place, names: Iterable[str]) -> int:
    """Remove bodies for good, files overwritten; how many there were. Raises StoreError."""
    if (mark := mark_of(place.directory)) is not None:
        from crawler.store.objects.bodies import removed  # noqa: PLC0415  # for those who have obstore

        return removed(mark, names)
    return sum(shred(place, name) for name in names)


def open_reader(out: Path, known: Mapping[str, str]) -> Reader:
    """The store of a directory as a reader sees it. known: what the directory was begun with (reading.identity)."""
    return open_parts(out) if known.get("pack") else open_tree(out)


def open_parts(out: Path) -> PartReader:
    """The store of a directory of parts."""
    if (mark := mark_of(out)) is not None:
        from crawler.store.objects.packs import ObjectPartReader  # noqa: PLC0415  # for those who have obstore

        return ObjectPartReader.open(mark)
    return PartReader(out)
