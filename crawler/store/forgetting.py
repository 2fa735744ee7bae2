"""Forgetting: a call's body, and all that says what it was about, are gone for good; that it was made remains.

Owns what is erased and how. Its uuid stays, so that it is never fetched again. Overwritten are the bytes that a
program can reach; what a disk, a journal, a snapshot or a backup has kept of them is out of its reach.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from crawler.items import Outcome, uuid_text
from crawler.store.exports import write_lists
from crawler.store.files import PARTIAL, STAGED, location
from crawler.store.rewriting import erase_lines, shred
from crawler.store.schema import State
from crawler.store.stores import remove

if TYPE_CHECKING:
    from collections.abc import Iterable

    from crawler.store.ledger import Ledger
    from crawler.store.place import Place

_EMPTIED: Final = (
    "key", "host", "final_url", "redirects", "status", "http_version", "ip", "location", "bytes", "sha256",
    "file_digest", "content_type", "headers", "etag", "last_modified", "not_before", "error", "meta",
)  # fmt: skip
_ERASE: Final = f"url = '', {', '.join(f'{name} = NULL' for name in _EMPTIED)}"
_ERASED: Final = (Outcome.ERASED, State.SETTLED)

RETOLD: Final = ("report.html", "changes.jsonl")
"""Files that repeat what the ledger holds, and that no run needs."""


@dataclass(slots=True)
class Forgotten:
    """erased: calls. files: how many. lines: of parts (`pack=jsonl`). unknown: uuids that the ledger does not have."""

    erased: int = 0
    files: int = 0
    lines: int = 0
    unknown: list[str] = field(default_factory=list)


def forget(place: Place, ledger: Ledger, uuids: Iterable[bytes], *, levels: int) -> Forgotten:
    """Erase calls. The caller holds the lock. Raises StoreError: then some may be erased, and again does the rest.

    Files go first: what a kill leaves is a row without a file, which the same command erases, never a file
    without a row.
    """
    done = Forgotten()
    known = {}
    for uuid in dict.fromkeys(uuids):
        prior = ledger.find(uuid)
        if prior is None:
            done.unknown.append(uuid_text(uuid))
        else:
            known[uuid] = prior.id
    done.files = remove(
        place,
        (
            location(uuid_text(uuid), ok=ok, levels=levels) + ending
            for uuid in known
            for ok in (True, False)
            for ending in ("", STAGED, PARTIAL, STAGED + PARTIAL)
        ),
    )
    done.lines = erase_lines(place, ledger, known)
    for name in RETOLD:
        shred(place, name)
    ledger.write("PRAGMA secure_delete = 1")  # what an update frees is overwritten with zeros
    with ledger.transaction():
        for uuid, row in known.items():
            ledger.write(f"UPDATE calls SET {_ERASE}, outcome = ?, state = ? WHERE id = ?", (*_ERASED, row))  # noqa: S608  # ours
            ledger.write("DELETE FROM requests WHERE record = ?", (row,))
            # Its duplicates are rows of the same uuid that no index knows.
            ledger.write(f"UPDATE calls SET {_ERASE} WHERE uuid8 IS NULL AND uuid = ?", (uuid,))  # noqa: S608  # ours
    done.erased = len(known)
    ledger.write("VACUUM")  # pages that were freed before, and what is left in the corners of others
    ledger.write("PRAGMA wal_checkpoint(TRUNCATE)")
    write_lists(ledger, place.directory, None)
    return done
