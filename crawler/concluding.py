"""How a run's end is written down: the files beside the ledger, the report, and all of it where the bodies are.

Owns the order, and what becomes of the rest when one of them cannot be written. What the end means is the caller's.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from crawler.exceptions import StoreError
from crawler.gauges import metrics
from crawler.report import report_at_end
from crawler.store import runs
from crawler.store.changes import write_changes
from crawler.store.exports import write_lists, write_metrics, write_summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from crawler.run import Run
    from crawler.store.hold import Hold
    from crawler.store.ledger import Ledger


def write_down(run: Run, ledger: Ledger, hold: Hold, conclude: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Write how it ended, and close the ledger. conclude: the summary; asked again if the disk, or the store, refuses.

    What they refuse is in `run.recording.error`.
    """
    plan, shard, recording = run.plan, run.plan.shard, run.recording
    summary = conclude()
    if recording.error is None:
        try:
            write_lists(ledger, plan.out, run.begun.lists.values() if run.saw_whole_list else None, shard)
            if plan.redo.conditional:
                summary["changes"] = write_changes(ledger, plan.out, shard)
            write_summary(plan.out, summary, shard)
            runs.end(ledger, run.begun.run, summary, read_to_end=run.tally.read_to_end)
        except StoreError as exc:
            recording.error = exc
    if recording.error is not None:
        summary = _again(run, conclude)
    with suppress(StoreError):  # nothing that was promised
        write_metrics(plan.out, metrics(run, wall_s=time.time(), exit_code=summary["exit_code"]), shard)
    ledger.close()
    if recording.error is None and not shard.is_part:
        number = run.begun.run if run.tally.calls else None
        run.without_report = report_at_end(plan.out, number, stopped=summary["stop_reason"] is not None)
    if recording.error is None:
        try:
            hold.hand_over()
        except StoreError as exc:
            recording.error = exc
            summary = _again(run, conclude)
    return summary


def _again(run: Run, conclude: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The summary of a run whose disk, or store, has refused."""
    summary = conclude()
    with suppress(StoreError):  # of the disk that refused
        write_summary(run.plan.out, summary, run.plan.shard)
    return summary
