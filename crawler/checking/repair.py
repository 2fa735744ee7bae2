"""The way back: what a whole file proves is put back into its row, what is lost is written down to be fetched again.

A row that is to be fetched again is open from then on, as a page is that nobody has fetched yet: should the
crawl that follows be killed, the next run of the list makes the call all the same. The caller holds the lock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from crawler.checking.findings import Finding, Kind
from crawler.items import Entry, uuid5_bytes
from crawler.store.asked import asked_for
from crawler.store.exports import list_line, replacing
from crawler.store.parts import ENDING
from crawler.store.rewriting import keep_live
from crawler.store.stores import remove

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from crawler.items import BadLine
    from crawler.store.ledger import Ledger
    from crawler.store.place import Place

REPAIR: Final = "repair.jsonl"
"""The list of what is to be fetched again; inside the directory, so it belongs to the same job."""

_CALLS: Final = "SELECT uuid, method, url, key, meta, n FROM calls WHERE id = ?"


@dataclass(slots=True)
class Repair:
    """What was done. restored: rows, from their files. removed: orphans. again: calls to be fetched.

    lost: findings whose calls nobody can tell any more: their lines have left the list.
    """

    restored: int = 0
    removed: int = 0
    again: int = 0
    lost: list[Finding] = field(default_factory=list)


def repair(
    place: Place, ledger: Ledger, findings: Sequence[Finding], read_list: Callable[[], Iterable[Entry | BadLine]]
) -> Repair:
    """Mend what needs no call, and write REPAIR for the rest. read_list: the directory's list, only if it is needed.

    Raises StoreError; ListError as the list does.
    """
    done = Repair()
    rows = [finding for finding in findings if finding.row is not None and finding.restored is None]
    calls = _calls(ledger, rows, read_list)
    with ledger.transaction():
        for finding in findings:
            if finding.restored is not None:
                names = ", ".join(f"{name} = ?" for name in finding.restored)
                values = (*finding.restored.values(), finding.row)
                ledger.write(f"UPDATE calls SET {names} WHERE id = ?", values)  # noqa: S608  # columns of ours
                done.restored += 1
        for finding in rows:
            assert finding.row is not None
            if finding.row in calls:
                request, body = calls[finding.row]
                ledger.open_again(finding.row, request, body)
                done.again += 1
            else:
                done.lost.append(finding)
    for part in _parts_of(findings):
        keep_live(place, ledger, part)
    orphans = [finding.location for finding in findings if finding.kind is Kind.ORPHAN]
    remove(place, filter(None, orphans))
    done.removed = len(orphans)
    with replacing(place.directory / REPAIR) as file:
        for finding in sorted(rows, key=lambda finding: -(finding.row or 0)):  # a page before the one that leads to it
            if finding.row in calls:
                request, body = calls[finding.row]
                file.write(json.dumps(list_line(request, body, finding.kind), ensure_ascii=False) + "\n")
    return done


def _parts_of(findings: Iterable[Finding]) -> list[str]:
    """The parts (`pack=jsonl`) in which something is wrong."""
    wrong = (Kind.ALTERED, Kind.MISSING, Kind.TORN)
    places = ((finding.location or "").partition("#")[0] for finding in findings if finding.kind in wrong)
    return sorted({place for place in places if place.endswith(ENDING)})


def _calls(
    ledger: Ledger, findings: Iterable[Finding], read_list: Callable[[], Iterable[Entry | BadLine]]
) -> dict[int, tuple[dict[str, Any], bytes]]:
    """What each row asked for: as the ledger has kept it, as its name proves it, or as the list says it."""
    calls: dict[int, tuple[dict[str, Any], bytes]] = {}
    wanted: dict[bytes, int] = {}
    for finding in findings:
        assert finding.row is not None
        uuid, method, url, key, meta, n = ledger.query(_CALLS, (finding.row,))[0]
        if (kept := ledger.request(finding.row)) is not None:
            calls[finding.row] = kept
        elif method == "GET" and n == 1 and uuid5_bytes(url) == uuid:  # a plain GET, and nothing in it is masked
            request = {"url": url, "method": method, "id": key, "meta": json.loads(meta) if meta else None}
            calls[finding.row] = {name: value for name, value in request.items() if value}, b""
        else:
            wanted[uuid] = finding.row
    if wanted:
        for entry in _numbered(read_list(), ledger, wanted.values()):
            if (row := wanted.get(entry.uuid)) is not None:
                calls.setdefault(row, (asked_for(entry), entry.body))
    return calls


def _numbered(lines: Iterable[Entry | BadLine], ledger: Ledger, rows: Iterable[int]) -> Iterator[Entry]:
    """Each call of the list, under every number (`duplicates=fetch`) that one of the rows has."""
    numbers = {ledger.query("SELECT n FROM calls WHERE id = ?", (row,))[0][0] for row in rows}
    for line in lines:
        if isinstance(line, Entry):
            yield line
            yield from (replace(line, n=n) for n in numbers if n > 1)
