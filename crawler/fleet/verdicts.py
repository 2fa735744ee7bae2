"""What the end of a part means: an end, a reason to start it again, or one to stop all. Decides alone."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from crawler.accounting import EARLY, ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable

ORDER: Final = (
    ExitCode.BUG, ExitCode.USAGE, ExitCode.DISK, ExitCode.CREDENTIALS, ExitCode.STOPPED, ExitCode.OTHER_RUN,
    ExitCode.NO_ANSWER, ExitCode.NOT_OK, ExitCode.INVALID, ExitCode.DONE,
)  # fmt: skip
"""Exit codes as docs/arguments.md decides between them: the worst first."""

COMPLETE: Final = frozenset({ExitCode.DONE, ExitCode.NO_ANSWER, ExitCode.NOT_OK, ExitCode.INVALID})
"""What says that every line of a part has its record."""

HOPELESS: Final = frozenset({ExitCode.USAGE, ExitCode.DISK, ExitCode.CREDENTIALS})
"""What all parts would come to: they have the same arguments, disk and credentials."""

SIGNAL: Final = "shutdown"
"""Scrapy's reason of a run that was sent a signal."""

DEATHS: Final = 5
"""In a row, with no record between them: then something kills this part, and would go on."""

WAIT_S: Final = 1.0
"""Before the first of them is started again, then twice as long each time: 15 s in all, which is more than the 5 s that
a part of a killed fleet takes to end (APIFETCH_DRAIN_S) and the two that a lock is waited for."""


class Verdict(Enum):
    END = "end"
    AGAIN = "again"
    STOP_ALL = "stop all"


def judge(exit_code: int, stop_reason: str | None, *, deaths: int) -> Verdict:
    """Say what follows from the end of a part that nobody asked to stop. deaths: in a row, this one included."""
    died = exit_code < 0 or exit_code == ExitCode.OTHER_RUN
    died = died or (exit_code == ExitCode.STOPPED and stop_reason in {None, SIGNAL})
    if died:
        return Verdict.AGAIN if deaths < DEATHS else Verdict.END
    return Verdict.STOP_ALL if exit_code in HOPELESS or stop_reason == EARLY else Verdict.END


def wait_s(deaths: int) -> float:
    """How long to wait before a part is started again."""
    return float(WAIT_S * 2 ** (deaths - 1))


def reason(exit_code: int) -> str:
    """How it ended, for a person."""
    return f"killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"


def worst(exit_codes: Iterable[int]) -> int:
    """The one of all; who was killed was stopped."""
    codes = [ExitCode.STOPPED if code < 0 else code for code in exit_codes]
    known = {int(code): place for place, code in enumerate(ORDER)}
    return min(codes, key=lambda code: known.get(code, -1), default=0)
