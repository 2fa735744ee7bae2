"""The changes that a `redo=changed` finds: noted in the ledger with each record, told in changes.jsonl at the end.

They stand in the ledger, in the record's own transaction, so that a run that was killed and continued tells all of
them, and none twice.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from crawler.items import WHOLE, Shard, change_of, uuid_text
from crawler.store.exports import replacing

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.items import Record
    from crawler.store.ledger import Ledger

CHANGES: Final = "changes.jsonl"

_TOLD: Final = """
SELECT h.change, h.status, h.before, c.uuid, c.line, c.key, c.method, c.url, c.location, c.sha256
FROM changes h JOIN calls c ON c.id = h.record
WHERE c.outcome != 'erased' ORDER BY c.line IS NULL, c.list, c.line, c.id
"""


def note_change(ledger: Ledger, record: Record) -> None:
    """Note what a record that is just being written means, in its transaction."""
    change, ticket = change_of(record), record.ticket
    if change is None or ticket is None:
        return
    before = ticket.prior.sha256 if ticket.prior is not None else None
    ledger.write(
        "INSERT OR REPLACE INTO changes VALUES (?, ?, ?, ?)",
        (ticket.row, change, record.status, bytes.fromhex(before) if before is not None else None),
    )


def write_changes(ledger: Ledger, directory: Path, shard: Shard = WHOLE) -> dict[str, int]:
    """Write changes.jsonl, a line for each; returns how many there are of each kind. Raises StoreError."""
    counts: dict[str, int] = {}
    with replacing(directory / shard.file(CHANGES)) as file:
        for change, status, before, uuid, line, key, method, url, location, sha256 in ledger.each(_TOLD):
            counts[change] = counts.get(change, 0) + 1
            told = {
                "change": change, "line": line, "key": key, "method": method, "url": url, "uuid": uuid_text(uuid),
                "status": status, "location": location, "sha256": sha256.hex() if sha256 else None,
                "sha256_before": before.hex() if before else None,
            }  # fmt: skip
            file.write(json.dumps(told, ensure_ascii=False) + "\n")
    return counts
