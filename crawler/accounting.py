"""The accounting: what a run did, whether every line has its record, and the exit code that says so.

Pure sums over records; knows nothing of where they come from or where the result is shown.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from crawler.exceptions import OtherRunError, StoreError
from crawler.items import NO_FAILURE, NO_USABLE_ANSWER, NOT_A_CALL, Outcome

if TYPE_CHECKING:
    from crawler.items import Record


class ExitCode(IntEnum):
    """How a run, or a command, ended. Which one it is of several that apply: `Tally.exit_code`, `code_of`."""

    DONE = 0
    BUG = 1
    USAGE = 2
    DISK = 3
    NO_ANSWER = 4
    CREDENTIALS = 6
    NOT_OK = 8
    INVALID = 65
    OTHER_RUN = 69
    STOPPED = 75


def code_of(refusal: Exception) -> ExitCode:
    """How a command ends that an output, or what it was given, refuses: the error that says so."""
    if isinstance(refusal, OtherRunError):
        return ExitCode.OTHER_RUN
    return ExitCode.DISK if isinstance(refusal, StoreError) else ExitCode.USAGE


class Tolerates(Protocol):
    """How many failures still count as success."""

    def allows(self, failed: int, lines: int) -> bool: ...


@dataclass(slots=True)
class Tally:
    """Counts over the present list, whichever run did the work, and over this run alone.

    lines, followed: outcomes that stand, of lines and of pages they led to. lines_read: lines counted
    in the list so far; read_to_end: whether that is all of them. followed_total: pages known of.
    elsewhere: lines read that belong to other parts; None where the whole list is this run's.
    """

    lines: Counter[Outcome] = field(default_factory=Counter)
    followed: Counter[Outcome] = field(default_factory=Counter)
    lines_read: int = 0
    read_to_end: bool = False
    followed_total: int = 0
    elsewhere: int | None = None
    # This run alone
    records: int = 0
    calls: int = 0
    retries: int = 0
    files: int = 0
    bytes: int = 0
    kept: int = 0  # ok records that a redo could not replace
    unchanged: int = 0  # ok records of which the API says that they are what they were
    statuses: Counter[int] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, record: Record) -> None:
        """Count a record that is now durable."""
        kept = record.kept
        outcome = Outcome.OK if kept else record.outcome
        followed = record.line is None
        (self.followed if followed else self.lines)[outcome] += 1
        self.records += 1
        self.calls += record.attempts
        self.retries += max(record.attempts - 1 - record.redirects, 0)
        unchanged = kept and record.unchanged
        self.unchanged += unchanged
        self.kept += kept and not unchanged
        if record.location is not None and not kept:
            self.files += 1
            self.bytes += record.bytes or 0
        if record.status is not None:
            self.statuses[record.status] += 1
        if not record.ok and not unchanged and record.outcome is not Outcome.DUPLICATE:
            self.failures[record.outcome.value] += 1

    @property
    def outcomes(self) -> Counter[Outcome]:
        return self.lines + self.followed

    @property
    def failed(self) -> int:
        """Calls that were made, or refused, and are not ok."""
        return sum(n for outcome, n in self.outcomes.items() if outcome not in NO_FAILURE)

    @property
    def own_lines(self) -> int:
        """Lines read that are this run's."""
        return self.lines_read - (self.elsewhere or 0)

    @property
    def left(self) -> int | None:
        """Lines and pages without a record; None when the list was not read to its end."""
        if not self.read_to_end:
            return None
        return self.own_lines - sum(self.lines.values()) + self.followed_total - sum(self.followed.values())

    def equation(self) -> dict[str, int | str]:
        """Lines + followed = ok + failed + invalid + duplicate + erased + left (+ elsewhere, of a part)."""
        done = self.outcomes
        elsewhere: dict[str, int | str] = {} if self.elsewhere is None else {"elsewhere": self.elsewhere}
        return {
            "lines": self.lines_read if self.read_to_end else "unknown",
            "followed": self.followed_total,
            "ok": done[Outcome.OK],
            "failed": self.failed,
            "invalid": done[Outcome.INVALID],
            "duplicate": done[Outcome.DUPLICATE],
            "erased": done[Outcome.ERASED],
            "left": "unknown" if self.left is None else self.left,
        } | elsewhere

    def exit_code(self, tolerance: Tolerates, *, complete: bool) -> ExitCode:
        """What the outcomes say; complete: the run came to its own end, nothing stopped it."""
        if self.left or not self.read_to_end:
            # Nothing stopped it and yet something has no record: that must never happen.
            return ExitCode.BUG if complete else ExitCode.STOPPED
        done = self.outcomes
        invalid = done[Outcome.INVALID]
        if tolerance.allows(self.failed + invalid, self.own_lines + self.followed_total):
            return ExitCode.DONE
        if any(done[outcome] for outcome in NO_USABLE_ANSWER):
            return ExitCode.NO_ANSWER
        return ExitCode.NOT_OK if self.failed else ExitCode.INVALID

    def summary(self, seconds: float, *, rests: int) -> dict[str, Any]:
        """This run in numbers, for summary.json. rests: how often a call had to wait before it was tried again."""
        return {
            "seconds": round(seconds, 3),
            "calls": self.calls,
            "calls_per_s": round(self.calls / seconds, 1) if seconds else 0.0,
            "retries": self.retries,
            "rests": rests,
            "records": self.records,
            "files": self.files,
            "bytes": self.bytes,
            "kept": self.kept,
            "unchanged": self.unchanged,
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "failures": dict(self.failures.most_common()),
        }


EARLY: Final = "fail_early"
"""The reason of a run whose first calls all failed alike: what one part finds out, the others need not."""


class Beginning:
    """How a run begins: whether its first calls all failed in the same way, with an answer, at one host.

    most: how many are looked at. first: the record of the first. count: how many were alike so far.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.first: Record | None = None
        self.count = 0
        self.is_mixed = False

    def add(self, record: Record) -> None:
        """Look at the next record. Calls without an answer are for pacing: an outage is waited for."""
        if record.outcome in NOT_A_CALL:
            return
        if self.first is None:
            self.first = record
        self.is_mixed |= record.ok or record.unchanged or record.status is None or _kind(record) != _kind(self.first)
        self.count += 1

    @property
    def is_alike(self) -> bool:
        """Whether all that were to be looked at have been, and are alike."""
        return not self.is_mixed and self.count >= self._most


def _kind(record: Record) -> tuple[Outcome, int | None, str | None]:
    return record.outcome, record.status, record.host
