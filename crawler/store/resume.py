"""Again: what a run need not do, because the ledger says that it is done. Decides; reads and writes nothing else.

Resume, duplicates and redo are one question, asked once per line: has this name been seen in this run,
has the ledger a row for it, and does the row stand? The list unchanged, the answer is a bit per line;
otherwise it is looked up by uuid, which survives a list that was edited, sorted or appended to.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from crawler.items import Entry, Outcome, Prior, Record, Ticket
from crawler.secrets import mask_url
from crawler.store.bits import Bits, Names
from crawler.store.schema import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crawler.store.ledger import Ledger


_FOLLOWED: Final = "parent IS NOT NULL AND uuid8 IS NOT NULL AND (state != 0 OR outcome != 'ok') AND id > ? AND id <= ?"
_PAGE: Final = 1000
_BATCH: Final = 10_000  # rows at once, a few MB
_LINES: Final = (
    "SELECT id, line, outcome, status, checked FROM calls "
    "WHERE list = ? AND line IS NOT NULL AND parent IS NULL AND outcome IS NOT NULL"
)


class RedoRule(Protocol):
    """Which finished records a run makes again."""

    @property
    def conditional(self) -> bool:
        """Whether what is ok is asked for only if it has changed."""
        ...

    def matches(self, outcome: str, status: int | None) -> bool: ...


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same call has been seen in this run.

    line: where, None when a page led to it. source: in which file, as in Entry. parent: the row of that page, if
    the call was resumed from the ledger, where the page may now lead to it once more.
    """

    line: int | None
    parent: int | None = None
    source: str | None = None
    erased: bool = False  # the call was forgotten, so nothing of it is written down again

    def record(self, entry: Entry, parent: Ticket | None = None) -> Record:
        """The record of *entry*. parent: of the page that led to it."""
        where = f"line {self.line}" if self.line is not None else "a page that was followed"
        where += f" of {self.source}" if self.source is not None and self.source != entry.source else ""
        ticket = Ticket(entry=entry, uuid=entry.uuid, shown_url=mask_url(entry.url), parent=parent)
        record = Record.of(ticket, Outcome.DUPLICATE, f"the same call as {where}")
        if self.erased:
            record.url, record.key, record.meta = "", None, {}
        return record


@dataclass(slots=True)
class Standing:
    """What the ledger holds that stands: counted, not to be fetched. followed_open: pages still to fetch."""

    lines: Counter[Outcome] = field(default_factory=Counter)
    followed: Counter[Outcome] = field(default_factory=Counter)
    followed_open: int = 0


class Resume:
    """The decisions of one run. redo_base: rows checked by that run or a later one are redone already."""

    def __init__(
        self, ledger: Ledger, *, run: int, redo_base: int, redo: RedoRule, lists: Mapping[str | None, int],
        moves: bool, number: bool, is_kept: Callable[[Prior], bool] = lambda prior: prior.location is not None,
    ) -> None:  # fmt: skip
        """lists: Begun.lists. moves: rows that are sighted take the line's list. number: `duplicates=fetch`.

        is_kept: whether the file of a row is there.
        """
        self._ledger = ledger
        self._run = run
        self._redo_base = redo_base
        self._redo = redo
        self._lists = lists
        self._sources = {list_id: source for source, list_id in lists.items()}
        self._moves = moves
        self._number = number
        self._is_kept = is_kept
        self._seen = Bits()
        # Of an empty ledger every row is this run's, so a name that has not been decided on needs no look-up.
        self._decided = Names() if not ledger.query("SELECT 1 FROM calls LIMIT 1") else None
        self._occurrences: Counter[bytes] = Counter()
        self.in_flight: dict[bytes, Ticket] = {}
        self.moved: list[tuple[int, int | None, int]] = []  # list, line, row: to be written by whoever asks

    def stands(self, prior: Prior) -> bool:
        """Whether a row is not to be fetched again by this run."""
        if prior.outcome is None:
            return False
        return prior.checked >= self._redo_base or not self._redo.matches(prior.outcome, prior.status)

    def survey(self, unchanged: Mapping[int, Bits]) -> Standing:
        """Pass over the ledger once: what stands. unchanged: lists whose rows may be counted by their line.

        To each the lines that need no look are added.
        """
        standing = Standing()
        for prior in self._ledger.rows("parent IS NOT NULL"):
            if prior.state == State.PENDING or not self._stands_followed(prior):
                standing.followed_open += 1
            elif prior.outcome is not None:
                standing.followed[prior.outcome] += 1
        for list_id, lines in unchanged.items():
            found = self._ledger.each(_LINES, (list_id,))
            while batch := list(islice(found, _BATCH)):
                self._survey_lines(batch, lines, standing)
        return standing

    def _survey_lines(self, batch: list[tuple[Any, ...]], lines: Bits, standing: Standing) -> None:
        """Rows are alike in all that decides about them, so that is decided once for each kind: 10 million in 20 s."""
        kinds = Counter([row[2:] for row in batch])
        fall = set()
        for (outcome, status, checked), count in kinds.items():
            if checked >= self._redo_base or not self._redo.matches(outcome, status):
                standing.lines[Outcome(outcome)] += count
            else:
                fall.add((outcome, status, checked))
        if fall:
            batch = [row for row in batch if row[2:] not in fall]
        lines.update([row[1] for row in batch])
        self._seen.update([row[0] for row in batch])

    def followed(self) -> Iterator[Ticket]:
        """The pages that a killed run left, and those that failed and are to be made again."""
        last, end = 0, self._ledger.query("SELECT coalesce(max(id), 0) FROM calls")[0][0]
        while page := list(self._ledger.rows(_FOLLOWED, (last, end), limit=_PAGE)):
            last = page[-1].id
            for prior in page:
                open_ = prior.state == State.PENDING or not self._stands_followed(prior)
                if open_ and prior.id not in self._seen:  # else a page that was made meanwhile led there
                    ticket = self._asked(prior)
                    if ticket is not None:
                        self._seen.add(prior.id)
                        self.in_flight[ticket.uuid] = ticket
                        yield ticket

    def _stands_followed(self, prior: Prior) -> bool:
        """A page that is ok is made again by its parent, when that is."""
        return prior.outcome is Outcome.OK or prior.uuid is None or self.stands(prior)

    def decide(self, entry: Entry) -> Ticket | Prior | Duplicate:
        """A Ticket: fetch it (it is in flight from now on). A Prior: it stands. A Duplicate: seen before."""
        verdict = self._decide(entry)
        while self._number and isinstance(verdict, Duplicate) and entry.n == 1:
            self._occurrences[entry.uuid] += 1  # only repeated calls are counted: unique ones take no memory
            verdict = self._decide(replace(entry, n=self._occurrences[entry.uuid] + 1))
        return verdict

    def _decide(self, entry: Entry) -> Ticket | Prior | Duplicate:
        uuid = entry.uuid
        if (other := self.in_flight.get(uuid)) is not None:
            parent = other.prior.parent if other.prior and not other.parent else None
            return Duplicate(other.entry.line, parent, other.entry.source)
        known = self._decided is None or not self._decided.add(uuid)
        prior = self._ledger.find(uuid) if known else None
        ticket = None
        if prior is not None:
            if self._counted_elsewhere(prior, entry):
                erased = prior.outcome is Outcome.ERASED
                return Duplicate(prior.line, prior.parent, self._sources.get(prior.list or 0), erased)
            self._seen.add(prior.id)
            if self._moves and entry.line is not None:
                list_id = self._lists[entry.source]
                if (prior.list, prior.line) != (list_id, entry.line):
                    self.moved.append((list_id, entry.line, prior.id))
            if self.stands(prior):
                return prior
            ticket = self._asked(prior, entry)
        if ticket is None:
            row = prior.id if prior is not None else None
            ticket = Ticket(entry=entry, uuid=uuid, shown_url=mask_url(entry.url), prior=prior, row=row)
        if self._redo.conditional and prior is not None:
            ticket.conditions = self._conditions(prior, entry)
        self.in_flight[uuid] = ticket
        return ticket

    def _conditions(self, prior: Prior, entry: Entry) -> tuple[tuple[str, str], ...]:
        """The headers (RFC 9110, section 13) that ask whether an answer that is ok is still what it was.

        None for a page that led to others: those are asked for by its body alone, which a 304 does not have.
        """
        if prior.outcome is not Outcome.OK or entry.method not in {"GET", "HEAD"} or not self._is_kept(prior):
            return ()
        if self._ledger.query("SELECT 1 FROM calls WHERE parent = ? LIMIT 1", (prior.id,)):
            return ()
        found = (("If-None-Match", prior.etag), ("If-Modified-Since", prior.last_modified))
        return tuple((name, value) for name, value in found if value)

    def _counted_elsewhere(self, prior: Prior, entry: Entry) -> bool:
        """Whether the row is some other line's, or a page's where this is a line, or the reverse."""
        is_page, was_page = entry.line is None, prior.parent is not None
        return prior.checked == self._run or prior.id in self._seen or (is_page != was_page and self._moves)

    def has_duplicate(self, parent: int, uuid: bytes) -> bool:
        """Whether an earlier run wrote down that this page led to a call already made."""
        sql = "SELECT 1 FROM calls WHERE parent = ? AND uuid8 IS NULL AND uuid = ?"
        return bool(self._ledger.query(sql, (parent, uuid)))

    def _asked(self, prior: Prior, entry: Entry | None = None) -> Ticket | None:
        """The ticket of a call as it was asked for in an earlier run; None when the ledger keeps no request.

        entry: the line that names the same call now; it has the say about everything but the callback.
        """
        found = self._ledger.request(prior.id)
        if found is None:
            return None
        request, body = found
        if entry is None:
            entry = Entry(
                url=request["url"],
                target=request["url"],
                line=None,
                method=request["method"],
                headers=tuple((name, value) for name, value in request.get("headers", ())),
                body=body,
                key=request.get("id"),
                meta=request.get("meta", {}),
                n=request.get("n", 1),
            )
        return Ticket(
            entry=entry,
            uuid=prior.uuid,
            shown_url=mask_url(entry.url),
            prior=prior,
            row=prior.id,
            callback=request.get("callback"),
            errback=request.get("errback"),
            cb_kwargs=request.get("cb_kwargs", {}),
            request_meta=request.get("request_meta", {}),
        )
