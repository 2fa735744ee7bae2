"""Whose output directory this is: the list, and the arguments that change what is fetched, with which it was begun.

Owns how the ledger says so (`identity` in its table `about`), and the refusal of another list or job.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from crawler.exceptions import OtherListError, StoreError
from crawler.sources import SHAPING
from crawler.store.reading import object_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from crawler.store.ledger import Ledger
    from crawler.store.runs import Start


def owner(ledger: Ledger) -> str | None:
    """The path of the list that the directory belongs to; None as long as it belongs to none."""
    identity = _identity(ledger)
    return identity["urls"] if identity else None


def identity_text(path: str, identity: Mapping[str, str | None]) -> str:
    """Whose output a directory is, as a ledger keeps it. path, identity: as in Start."""
    return json.dumps({"urls": path, **identity})


def name_owner(ledger: Ledger, text: str) -> None:
    """Write that down. Raises StoreError for what is no such text: it may have come from elsewhere."""
    try:
        identity = json.loads(text)
    except ValueError:
        identity = None
    if not isinstance(identity, dict) or not isinstance(identity.get("urls"), str):
        raise StoreError(f"what says whose output this is was not written by a run: {text:.100}")
    with ledger.transaction():
        ledger.write("INSERT INTO about VALUES ('identity', ?)", (text,))


def _identity(ledger: Ledger) -> dict[str, str | None]:
    found = ledger.query("SELECT value FROM about WHERE name = 'identity'")
    return object_of(found[0][0] if found else None, "whose output this is")


def introduce(ledger: Ledger, others: Iterable[Path]) -> None:
    """Tell a new ledger what others of the same directory know of it: whose it is, how far limits are used up."""
    for path in others:
        if owner(ledger) is not None:
            return
        if not path.is_symlink():
            with ledger.beside(path):
                if ledger.written("PRAGMA other.user_version")[0][0]:  # else one that was killed before it began
                    ledger.write("INSERT OR IGNORE INTO about SELECT * FROM other.about")


def own(ledger: Ledger, start: Start) -> None:
    """Write down whose directory this is, if nobody has. Raises OtherListError when it is another list's or job's."""
    before = _identity(ledger)
    if not before:
        name_owner(ledger, identity_text(start.path, start.identity))
        return
    if not start.inside and start.path != before["urls"]:
        raise OtherListError(
            f"this output directory belongs to urls={before['urls']}, you gave urls={start.path}: "
            "take another directory with -a out=DIRECTORY, or the list it belongs to"
        )
    for name, value in start.identity.items():
        if start.inside and name in SHAPING:  # failed.jsonl says all of a call itself
            continue
        if (begun := before.get(name)) != value:
            was, given = (f"{name}={said}" if said is not None else f"no {name}" for said in (begun, value))
            raise OtherListError(
                f"this output directory was begun with {was}, you gave {given}: "
                f"take another directory with -a out=DIRECTORY, or go on with {was}"
            )
