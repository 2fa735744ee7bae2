"""The ledger's own history: which runs there were, of which lists, and what a killed one left.

Decides whether the list is unchanged, and where a redo begins. Called before the writer's process starts, and once it
has ended. Whose directory it is is `ownership`'s.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from crawler.items import Outcome, uuid_text
from crawler.machine import boot_id
from crawler.store.schema import State

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from crawler.sources import Fingerprint
    from crawler.store.bodies import Bodies
    from crawler.store.ledger import Ledger

_ALWAYS_ANEW: Final = ("none", "retryable")
"""Redos that are never continued: `retryable` means what failed up to now, in a killed run too."""

PACING: Final = "pacing"
"""The name, in `about`, of how far the limits of hosts are used up."""

KEY_HEADER: Final = "key_header"
"""The name, in `about`, of the header with which the latest run sent calls that are not idempotent."""

_LAST_REDO: Final = (
    "SELECT redo_base, redo_done FROM runs JOIN lists ON lists.id = runs.list "
    "WHERE redo = ? AND path = ? ORDER BY runs.id DESC LIMIT 1"
)
"""Of the same list: that all of failed.jsonl is redone says nothing of the list that it came from."""

_IN_STATE: Final = "state = ? AND state != 0"
"""The second half is what tells SQLite that its index of the unsettled will do."""

_SWALLOWED: Final = "sent, but a kill swallowed the answer: it may have been carried out; redo=failed repeats it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a run is about. identity: the arguments that change what is fetched, as shown to people; None: not said.

    path: Plan.path. members: the files of a list of several, in order, each with its fingerprint. inside: it
    lies in the output directory, which belongs to another list (failed.jsonl). shared: others have lines of it, and
    none of ours comes again.
    by_line: rows may be known by their line if the list is unchanged. redo: its canonical text; notes_changes:
    it is to say what has changed.
    """

    path: str
    inside: bool
    shared: bool = False
    notes_changes: bool = False
    fingerprint: Fingerprint | None
    members: Mapping[str, Fingerprint | None] = field(default_factory=dict)
    identity: Mapping[str, str | None]
    by_line: bool
    redo: str
    arguments: Mapping[str, Any]
    versions: Mapping[str, str]
    durability: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run that is written down. redo_base: rows checked by that run or later are redone already.

    list_id: the list's row. lists: its rows by the `source` of its lines, None for a list of one file. unchanged:
    those whose rows are known by their line. last: when the latest run before this one began, None for the first.
    continues: the redo of an earlier run goes on.
    """

    run: int
    list_id: int
    lists: Mapping[str | None, int]
    unchanged: frozenset[int]
    redo_base: int
    last: str | None
    continues: bool

    @property
    def by_line(self) -> bool:
        """Whether the whole list is as it was."""
        return self.unchanged.issuperset(self.lists.values())


def now(plus_s: float = 0.0) -> str:
    """UTC, ISO 8601, milliseconds: the form of every time in the ledger. plus_s: of that many seconds later."""
    return (datetime.now(UTC) + timedelta(seconds=plus_s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def begin(ledger: Ledger, start: Start) -> Begun:
    """Write the run down, in a directory that is its own."""
    last = ledger.query("SELECT max(started_at) FROM runs")[0][0]
    redo = ledger.query(_LAST_REDO, (start.redo, start.path))
    with ledger.transaction():
        list_id, lists, unchanged = _lists(ledger, start)
        run = ledger.write(
            "INSERT INTO runs (list, started_at, arguments, versions, durability, boot_id, redo, redo_base) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (list_id, now(), json.dumps(dict(start.arguments)), json.dumps(dict(start.versions)), start.durability,
             boot_id(), start.redo),
        )  # fmt: skip
        continues = bool(redo) and not redo[0][1] and start.redo not in _ALWAYS_ANEW
        base = redo[0][0] if continues else run
        ledger.write("UPDATE runs SET redo_base = ? WHERE id = ?", (base, run))
        if start.notes_changes and not continues:
            ledger.write("DELETE FROM changes")
        if not start.shared and not unchanged.issuperset(lists.values()):
            _forget_derived(ledger, start, unchanged)
    return Begun(
        run=run, list_id=list_id, lists=lists, unchanged=unchanged, redo_base=base, last=last, continues=continues
    )


def _lists(ledger: Ledger, start: Start) -> tuple[int, dict[str | None, int], frozenset[int]]:
    """The rows of the list and of its files, new ones for what changed: see Begun.

    Of several files, those before the first that was changed, added or taken away stand as they are. The others
    are looked up, though their bytes may be the same: a line in them may be the duplicate of one that is gone.
    """
    latest = ledger.query("SELECT id, fingerprint FROM lists WHERE path = ? ORDER BY id DESC LIMIT 1", (start.path,))
    before: Any = json.loads(latest[0][1]) if latest and latest[0][1] else None
    whole: Any = asdict(start.fingerprint) if start.fingerprint else None
    files = [(path, asdict(print_) if print_ else None) for path, print_ in start.members.items()]
    same = whole is not None and whole == before
    if files:
        whole = {"files": [[*file] for file in files]}
        same = whole == before and all(print_ for _, print_ in files)
    may_stand = start.by_line and not start.inside
    list_id = latest[0][0] if same and may_stand else _add_list(ledger, start.path, whole)
    if not files:
        return list_id, {None: list_id}, frozenset({list_id} if same and may_stand else ())
    lists: dict[str | None, int] = {}
    unchanged: set[int] = set()
    stands = may_stand and isinstance(before, dict)
    earlier = before.get("files", ()) if stands else ()
    for at, (path, print_) in enumerate(files):
        stands = stands and print_ is not None and at < len(earlier) and earlier[at] == [path, print_]
        if stands:
            lists[path] = ledger.query("SELECT max(id) FROM lists WHERE path = ?", (path,))[0][0]
            unchanged.add(lists[path])
        else:
            lists[path] = _add_list(ledger, path, print_)
    return list_id, lists, frozenset(unchanged)


def _add_list(ledger: Ledger, path: str, fingerprint: Any) -> int:
    text = json.dumps(fingerprint) if fingerprint else None
    return ledger.write("INSERT INTO lists (path, fingerprint) VALUES (?, ?)", (path, text))


def recover(ledger: Ledger, bodies: Bodies, *, key_header: str = "") -> None:
    """Finish what a killed run left half-done: bodies to be put in place or withdrawn, calls whose answers were lost.

    key_header: by which header the API knows a call that it has carried out already, "" for none. What that run sent
    with the same one is made again.
    """
    bodies.recover()
    may_repeat = key_header and key_header == _told(ledger, KEY_HEADER)
    for prior in ledger.rows(_IN_STATE, (State.SENT,)):  # the answer may have come as far as its file
        bodies.withdraw(uuid_text(prior.uuid), prior.location)
    staged = list(ledger.rows(_IN_STATE, (State.STAGED,)))
    for prior in staged:
        bodies.settle(uuid_text(prior.uuid), prior.location)
    if staged:
        bodies.barrier()
    with ledger.transaction():
        ledger.set_states(State.SETTLED, [prior.id for prior in staged])
        ledger.about(KEY_HEADER, key_header)
        if may_repeat:
            ledger.write(
                f"UPDATE calls SET state = ? WHERE {_IN_STATE} AND outcome IS NULL",  # noqa: S608  # our own text
                (State.PENDING, State.SENT),
            )
        else:
            ledger.write(
                f"UPDATE calls SET outcome = ?, error = ? WHERE {_IN_STATE} AND outcome IS NOT ?",  # noqa: S608
                (Outcome.UNKNOWN, _SWALLOWED, State.SENT, Outcome.OK),  # a redo replaces what is ok by what is ok only
            )
        ledger.write(f"UPDATE calls SET state = ? WHERE {_IN_STATE}", (State.SETTLED, State.SENT))  # noqa: S608


def end(ledger: Ledger, run: int, summary: Mapping[str, Any], *, read_to_end: bool) -> None:
    """Write down how a run ended. Called in the writer's thread's stead, after it has ended."""
    stop_reason = summary["stop_reason"]
    ledger.write(
        "UPDATE runs SET ended_at = ?, stop_reason = ?, exit_code = ?, summary = ?, redo_done = ? WHERE id = ?",
        (now(), stop_reason, summary["exit_code"], json.dumps(summary), stop_reason is None and read_to_end, run),
    )


def former_lines(ledger: Ledger, begun: Begun) -> int | None:
    """How many lines the list had when an earlier run read it to its end; None when it changed since, or none did."""
    if not begun.by_line:
        return None
    sql = (
        "SELECT json_extract(summary, '$.equation.lines') FROM runs WHERE list = ? AND id < ? "
        "AND json_type(summary, '$.equation.lines') = 'integer' ORDER BY id DESC LIMIT 1"
    )
    found = ledger.query(sql, (begun.list_id, begun.run))
    return int(found[0][0]) if found else None


def pacing(ledger: Ledger) -> str:
    """What an earlier run has noted of its limits, JSON."""
    return _told(ledger, PACING) or "{}"


def _told(ledger: Ledger, name: str) -> str | None:
    """What an earlier run has noted under that name."""
    found = ledger.query("SELECT value FROM about WHERE name = ?", (name,))
    return str(found[0][0]) if found else None


def _forget_derived(ledger: Ledger, start: Start, unchanged: Collection[int]) -> None:
    """Drop the invalid and duplicate rows of the list as it was: they are made of the list alone, and made anew."""
    condition = "list IS NOT NULL AND list NOT IN (SELECT value FROM json_each(?))"
    values = [json.dumps([*unchanged])]
    if start.inside:
        condition += " AND list IN (SELECT id FROM lists WHERE path = ?)"
        values.append(start.path)
    ledger.write(f"DELETE FROM calls WHERE uuid8 IS NULL AND {condition}", tuple(values))  # noqa: S608  # our own text
