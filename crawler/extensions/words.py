"""What a run says to a person when it begins and when it ends. Numbers in, sentences out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crawler.accounting import ExitCode
from crawler.amounts import counted, duration, number, per_second, size
from crawler.items import NO_FAILURE, Outcome
from crawler.sources import STDIN, left_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crawler.run import Run

_MEANINGS: Final = {
    ExitCode.DONE: "done",
    ExitCode.BUG: "a bug: some lines have no record although nothing stopped the run",
    ExitCode.USAGE: "the list could not be read to its end",
    ExitCode.DISK: "the disk, or the object store, refused; see to it, then run the same command again",
    ExitCode.NO_ANSWER: "some lines got no usable answer; the same command again retries what may pass",
    ExitCode.CREDENTIALS: "the API refuses the credentials; put them right, then run the same command again to go on",
    ExitCode.NOT_OK: "some lines were answered, but not ok",
    ExitCode.INVALID: "all is fetched but the lines that cannot be read",
    ExitCode.STOPPED: "stopped before the end; run the same command again to go on",
}


def opening(run: Run, where: str) -> Iterator[str]:
    """What is asked, and what the ledger holds of it already. where: the output, as it is to be named."""
    shown = "the standard input" if run.plan.urls == STDIN else run.plan.shown
    if run.files is not None:
        shown += f" ({counted(len(run.files), 'file')})"
    if run.plan.shard.is_part:
        shown = f"part {run.plan.shard} of {shown}"
    yield f"Fetching {shown} into {where}"
    if run.plan.remote is not None:
        yield f"The ledger is in {run.plan.out} while the run is on"
    for shard, records in run.gathered.items():
        where = f"part {shard}" if shard.is_part else "the whole list"
        yield f"{counted(records, 'record')} taken over from the ledger of {where}"
    if others := left_out(run.plan.urls):
        shown = ", ".join(others[:5]) + (f" and {len(others) - 5:,} more" if len(others) > 5 else "")
        yield f"No lists by their names, and left out: {shown}"
    if run.begun.last is None:
        return
    if run.begun.by_line:
        done, lines = run.standing.lines, run.standing.lines.total()
        failed = lines - sum(done[outcome] for outcome in NO_FAILURE)
        stand = "stands" if lines == 1 else "stand"
        yield (
            f"The ledger (last run {run.begun.last}) has {counted(lines, 'line')} of this list that {stand}: "
            f"{done[Outcome.OK]:,} ok, {failed:,} failed, "
            f"{done[Outcome.INVALID]:,} invalid, {done[Outcome.DUPLICATE]:,} duplicate"
        )
    else:
        yield f"The list changed since the last run ({run.begun.last}) or is a part of it: each line is looked up"
    if run.standing.followed_open:
        yield f"Followed pages that are still to be fetched: {run.standing.followed_open:,}"
    if run.begun.continues:
        yield f"The redo={run.plan.redo_text} that was begun earlier goes on"


def ending(summary: Mapping[str, Any], where: str) -> Iterator[str]:
    """The accounting, and what to do next."""
    this, equation = summary["run"], summary["equation"]
    if equation["lines"] == 0:
        yield "The list has no lines: it is empty, or holds comments alone. A URL per line is all it takes"
    elif not this["calls"] and equation["left"] == 0:
        yield "Nothing to do: every line has its record. redo=failed, redo=all or redo=404,5xx would fetch again"
    yield (
        f"{counted(this['calls'], 'call')} in {duration(this['seconds'])} ({this['calls_per_s']:,} per second), "
        f"{counted(this['files'], 'file')}, {size(this['bytes'])}, {counted(this['retries'], 'retry', 'retries')}"
    )
    if summary["bottleneck"]:
        yield summary["bottleneck"]["sentence"]
    yield from _came(summary)
    yield _equation(equation)
    code = ExitCode(summary["exit_code"])
    stopped = f" ({summary['stop_reason']})" if summary["stop_reason"] else ""
    if summary["resume_at"]:
        yield f"What is left has to wait: going on makes sense at {summary['resume_at']}"
    yield f"Exit code {code.value}: {_MEANINGS[code]}{stopped}. Results: {where}"


def _came(summary: Mapping[str, Any]) -> Iterator[str]:
    """What came, and what it means where an earlier run had it already."""
    this = summary["run"]
    if this["statuses"]:
        yield "Statuses: " + ", ".join(f"{status}: {n:,}" for status, n in this["statuses"].items())
    if this["failures"]:
        yield "Not ok: " + ", ".join(f"{reason}: {n:,}" for reason, n in this["failures"].items())
    for host, found in summary["hosts"].items():
        yield f"{host}: {_found(found)}"
    if changes := summary["changes"]:
        yield f"Since the last time: {', '.join(f'{n:,} {change}' for change, n in changes.items())}; see changes.jsonl"
    if this["kept"]:
        yield f"{this['kept']:,} earlier ok records stand, since fetching them again failed"


def _equation(equation: Mapping[str, Any]) -> str:
    left, right = counted(equation["lines"], "line"), ["ok", "failed", "invalid", "duplicate", "left"]
    if equation["erased"]:
        right.insert(-1, "erased")
    if "elsewhere" in equation:
        right.append("elsewhere")
    if equation["followed"]:
        left += f" + {number(equation['followed'])} followed"
    return f"{left} = " + " + ".join(f"{number(equation[name])} {name}" for name in right)


def _found(found: Mapping[str, float | None]) -> str:
    """What a host is worth, as far as the run has found out."""
    said = []
    if found["workers"] is not None:
        said.append(f"{counted(int(found['workers']), 'call')} at once")
    if found["calls_per_s"] is not None:
        said.append(f"{per_second(found['calls_per_s'])} calls per second")
    return " and ".join(said) + " went well; the next run begins there"
