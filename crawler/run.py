"""One run over one output directory: the composition root of store, list and accounting.

Everything an adapter needs stands here, in plain values: the spider asks what to do with a line, the
pipeline hands in records, the extensions read the tally. No Scrapy; asyncio only to wait for room.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crawler.accounting import ExitCode, Tally
from crawler.addresses import Guard
from crawler.aside import Aside
from crawler.concluding import write_down
from crawler.credentials import hide
from crawler.exceptions import StoreError
from crawler.gauges import counts
from crawler.items import BadLine, Entry, Outcome, Prior, Record, Ticket
from crawler.meter import Meter
from crawler.pacing import Traffic
from crawler.plan import absolute
from crawler.recording import Recording
from crawler.sources import acknowledge, download, fingerprint, is_remote, members, open_list
from crawler.stopping import Stopping
from crawler.store import ownership, runs
from crawler.store.bits import Bits
from crawler.store.exports import write_summary
from crawler.store.gathering import Gathering
from crawler.store.hold import Hold
from crawler.store.ledger import NAME, Ledger
from crawler.store.ledgers import ledgers
from crawler.store.place import is_shared
from crawler.store.resume import Duplicate, Resume
from crawler.store.schema import State
from crawler.store.stores import open_bodies
from crawler.store.writer import Orders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crawler.credentials import Door, Doorkeeper
    from crawler.exceptions import ApiFetchError
    from crawler.plan import Plan
    from crawler.sources import Opens, Source
    from crawler.store.resume import Standing


class Run:
    """An open run. All methods belong to the event loop's thread.

    files: those of a list of several, None where it is one. tally: the counts so far. standing: what the ledger
    held at the start. resume_at: when going on makes sense (UTC), if that is known. meter: what it measures of
    itself. former_lines: the length of the list in an earlier run, if it is the same list. gathered: records that
    were in ledgers of other parts, by part.
    """

    def __init__(
        self, plan: Plan, *, on_disk_error: Callable[[ApiFetchError], None], shared: Opens | None = None
    ) -> None:
        """Take the directory and open everything. Raises OtherRunError, ListError, OtherListError, StoreError.

        shared: opens a list that other machines draw from too, for so many workers.
        """
        self.plan = plan
        self.tally = Tally()
        self._on_disk_error = on_disk_error
        self._loop = asyncio.get_running_loop()
        self._started_at = runs.now()
        self._started_s = time.monotonic()
        self.meter = Meter(time.time())
        self.stopping = Stopping()
        self.traffic: Traffic[Any] = Traffic(plan.policy, max_calls=plan.max_calls)
        self.guard = Guard(plan.addresses)
        self.doors: dict[str, Door] = {}  # by host; only of those that have refused credentials
        self.doorkeeper: Doorkeeper | None = None  # who stands at them, since the first was made
        self.aside = Aside(self.traffic)
        self.resume_at: str | None = None
        self.without_report: str | None = None
        """Why there is no report.html of this run."""
        self._shared = shared
        self._hold = Hold.take(plan.out, plan.shard, plan.remote, lost=self._lose)
        self._place = self._hold.place
        try:
            self._open(plan)
        except BaseException:
            for name in ("source", "_ledger", "_hold"):  # whatever is open by now
                if name in vars(self):
                    vars(self)[name].close()
            raise

    def _open(self, plan: Plan) -> None:
        if (shortage := plan.floor.shortage(self._place.fd)) is not None:
            raise StoreError(f"output directory {plan.out}: {shortage}: make room, or set that lower")
        skipped: defaultdict[str | None, Bits] = defaultdict(Bits)
        again = bool(ledgers(plan.out))
        urls = download(plan.urls, plan.out, ca_file=plan.ca_file) if is_remote(plan.urls) else plan.urls
        found = members(urls)
        files = self.files = None if found is None else [absolute(file) for file in found]
        skip = (lambda file: skipped[file].__contains__) if again else None
        self.source: Source = (
            open_list(urls, files, plan.shape, limit=plan.limit, skip=skip)
            if self._shared is None
            else self._shared(plan.workers, lambda: self.aside.calls)
        )
        self._ledger = Ledger(plan.out, durable=plan.durability != "process", name=plan.shard.file(NAME))
        ownership.introduce(self._ledger, ledgers(plan.out).values())
        self._hold.introduce(self._ledger, ownership.identity_text(plan.path, plan.identity))
        belongs = ownership.owner(self._ledger) in {None, plan.path}
        self.inside = not belongs and Path(plan.path).is_relative_to(plan.out.resolve())
        start = runs.Start(
            path=plan.path, inside=self.inside, shared=self._shared is not None, notes_changes=plan.redo.conditional,
            fingerprint=fingerprint(urls) if files is None and self._shared is None else None,
            members={file: fingerprint(file) for file in files or ()}, identity=plan.identity,
            by_line=not plan.limit and not plan.number_duplicates, redo=plan.redo_text,
            arguments=plan.arguments, versions=plan.versions, durability=plan.durability,
        )  # fmt: skip
        ownership.own(self._ledger, start)
        self.gathered = Gathering(self._ledger, plan.out, plan.shard).gather(keep=plan.path)
        self.begun = runs.begin(self._ledger, start)
        bodies = open_bodies(
            self._place, self._ledger, plan.shard, durability=plan.durability, levels=plan.levels, packed=plan.packed
        )
        runs.recover(self._ledger, bodies, key_header=plan.key_header)
        self.former_lines = runs.former_lines(self._ledger, self.begun)
        self._noted_pacing = runs.pacing(self._ledger)
        self.traffic.restore(self._noted_pacing, now_s=time.monotonic(), wall_s=time.time())
        self._resume = Resume(
            self._ledger, run=self.begun.run, redo_base=self.begun.redo_base, redo=plan.redo,
            lists=self.begun.lists, moves=not self.inside and self._shared is None, number=plan.number_duplicates,
            is_kept=lambda prior: prior.location is not None and bodies.holds(prior.location),
        )  # fmt: skip
        self.standing: Standing = self._resume.survey(
            {number: skipped[file] for file, number in self.begun.lists.items() if number in self.begun.unchanged}
        )
        self.tally.lines.update(self.standing.lines)
        if not self.inside:
            self.tally.followed.update(self.standing.followed)
            self.tally.followed_total = self.standing.followed.total() + self.standing.followed_open
        write_summary(plan.out, self.summary(exit_code=None, stop_reason=None), plan.shard)
        self._hold.let_in()
        self.tally.elsewhere = 0 if plan.shard.is_part else None
        orders = Orders(
            plan.durability, self.begun.run, self.begun.list_id, plan.raw, plan.levels, packed=plan.packed,
            objects=plan.packed and plan.remote is not None, changes=plan.redo.conditional, inside=self.inside,
            ledger=plan.shard.file(NAME),
        )  # fmt: skip
        self.recording = Recording(
            self._place, orders, hide=partial(hide, secrets=plan.secrets), acknowledged=self._acknowledge,
            on_disk_error=self._on_disk_error,
        )  # fmt: skip
        if self._shared is not None:
            self.recording.listen(partial(acknowledge, self.source))

    # The spider's side

    @property
    def in_flight(self) -> Mapping[bytes, Ticket]:
        """Calls that were issued and whose records are not durable yet."""
        return self._resume.in_flight

    def followed(self) -> Iterator[Ticket]:
        """Pages of an earlier run that are still to be fetched."""
        if not self.inside:  # there failed.jsonl says which
            yield from self._resume.followed()

    def take(self, line: Entry | BadLine) -> Ticket | Record | None:
        """What to do about a line: a Ticket is to be fetched, a Record is its end, None: it stands, or is not ours."""
        if self.tally.elsewhere is not None and not self.plan.shard.owns(line):
            self.tally.elsewhere += 1
            return None
        if isinstance(line, BadLine):
            return self.recording.expect(
                Record(outcome=Outcome.INVALID, source=line.source, line=line.line, url=line.text, error=line.reason)
            )
        verdict = self._resume.decide(line)
        if isinstance(verdict, Ticket):
            verdict.issued_s = time.monotonic()
            return verdict
        if isinstance(verdict, Prior):
            assert verdict.outcome is not None
            self.tally.lines[verdict.outcome] += 1
            self.source.ack((line,))
            return None
        if self._shared is None or verdict.line is None:
            return self.recording.expect(verdict.record(line))
        self.source.ack((line,), again=True)
        return None

    def follow(self, child: Ticket) -> Ticket | Record | None:
        """The same for a request that a page led to; child: not yet looked up."""
        verdict = self._resume.decide(child.entry)
        if isinstance(verdict, Duplicate):
            again = child.parent.row if child.parent is not None and child.parent.prior is not None else None
            if again is not None and (verdict.parent == again or self._resume.has_duplicate(again, child.uuid)):
                return None
            self.tally.followed_total += 1
            return self.recording.expect(verdict.record(child.entry, child.parent))
        if isinstance(verdict, Prior):
            return None
        if verdict.row is None or self.inside:  # of whose pages the survey counts none
            self.tally.followed_total += 1
        elif verdict.prior is not None and self._resume_counts(verdict.prior):
            self.tally.followed[verdict.prior.outcome or Outcome.OK] -= 1
        verdict.shown_url = self.plan.secrets.masker.mask(verdict.shown_url)
        verdict.parent, verdict.callback, verdict.errback = child.parent, child.callback, child.errback
        verdict.cb_kwargs, verdict.request_meta = child.cb_kwargs, child.request_meta
        verdict.issued_s = time.monotonic()
        return verdict

    def _resume_counts(self, prior: Prior) -> bool:
        """Whether the survey counted this page as standing (an ok page whose parent is made again)."""
        return prior.outcome is Outcome.OK and prior.state != State.PENDING and not self.inside

    def count_lines(self, *, to_end: bool) -> None:
        self.tally.lines_read, self.tally.read_to_end = self.source.count, to_end

    @property
    def is_shared(self) -> bool:
        """Whether others may change what is in the output directory."""
        return is_shared(self._place.fd)

    def _lose(self, error: ApiFetchError) -> None:
        """Another run has our prefix: said by a thread that is not the loop's."""
        self._loop.call_soon_threadsafe(self._on_disk_error, error)

    # The writer's word, in the loop's thread

    def _acknowledge(self, record: Record) -> None:
        ticket = record.ticket
        if ticket is not None and record.outcome is not Outcome.DUPLICATE:
            self._resume.in_flight.pop(ticket.uuid, None)
        self.tally.add(record)

    # The end

    @property
    def is_refused(self) -> bool:
        """Whether nothing of the list is ok, and a host's last word was that the credentials are no good."""
        return not self.tally.outcomes[Outcome.OK] and any(door.is_refusing for door in self.doors.values())

    def let_go(self) -> bool:
        """Let those calls end that wait for what comes of others; whether there are any."""
        return self.doorkeeper is not None and self.doorkeeper.release_all()

    def shortage(self) -> str | None:
        """What the disk has too little of to go on, for a person; None while it has enough. Microseconds."""
        waiting = self.recording
        return self.plan.floor.shortage(
            self._place.fd, waiting_bytes=waiting.queued_bytes(),
            waiting_files=waiting.queued_records if self.plan.takes_inodes else 0,
        )  # fmt: skip

    def note_pacing(self) -> None:
        """Have it in the ledger how far limits are used up: a day's outlives the run."""
        state = json.dumps(self.traffic.state(now_s=time.monotonic(), wall_s=time.time()))
        if state != self._noted_pacing:
            self._noted_pacing = state
            self.recording.about(runs.PACING, state)

    def flush_moved(self, *, at_least: int = 1) -> None:
        """Write down under which lines of the present list rows were seen."""
        moved = self._resume.moved
        if len(moved) >= at_least:
            self._resume.moved = []
            self.recording.moved(moved)

    async def finish(self) -> None:
        """Make everything handed in durable and end the writer; what the disk refuses then is in `recording.error`."""
        await self.recording.finish(self._resume.moved, notes=self.note_pacing)
        if self._shared is not None:  # which may have to wait for somebody
            await asyncio.to_thread(self.source.close)

    def summary(self, *, exit_code: ExitCode | None, stop_reason: str | None) -> dict[str, Any]:
        """The accounting for summary.json; exit_code: None while it runs."""
        state = "running" if exit_code is None else "stopped" if stop_reason else "finished"
        return {
            "state": state, "exit_code": exit_code, "stop_reason": stop_reason, "resume_at": self.resume_at,
            "urls": self.plan.shown, "started_at": self._started_at, "written_at": runs.now(), "pid": os.getpid(),
            **counts(self, time.monotonic() - self._started_s),
        }  # fmt: skip

    @property
    def saw_whole_list(self) -> bool:
        """Whether all lines that the list has now have passed by, and it is the directory's own."""
        return self.tally.read_to_end and not (self.inside or self._shared or self.plan.limit)

    def close(self, conclude: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Write how it ended. conclude: the summary; asked again if the disk refuses."""
        return write_down(self, self._ledger, self._hold, conclude)

    def leave(self, log: str | None = None) -> None:
        """Give the directory back. log: the name of the run's log there, to which nobody writes any more."""
        self._hold.close(log=log, clean=self.recording.error is None)
