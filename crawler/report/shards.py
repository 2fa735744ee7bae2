"""How the parts of a list stand, by what each left in the directory: which never ran, and which are not complete.

Reads summaries alone: no ledger is opened, and a part that runs is not disturbed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from crawler.amounts import counted
from crawler.items import Shard
from crawler.store.exports import SUMMARY
from crawler.store.ledgers import ledgers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHOWN: Final = 20
"""Parts that are named: of ten thousand nobody reads more."""


def shards(out: Path, *, shown: str | None = None) -> Iterator[str]:
    """Give a line for each part that is not complete, after one for all; nothing where *out* is not in parts.

    shown: the output as people know it, None: by its path.
    """
    found = {shard: _summary(out, shard) for shard in ledgers(out) if shard.is_part}
    if not found:
        return
    count = max(found, key=lambda shard: str(found[shard].get("written_at", ""))).count  # of the latest run
    lines = []
    for number in range(1, count + 1):
        shard = Shard(number, count)
        said = "never ran" if shard not in found else _unfinished(found[shard])
        if said:
            lines.append(f"part {shard} {said}")
    yield f"{shown or out} is in {count:,} parts: {count - len(lines):,} complete"
    yield from (f"  {line}" for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"  and {len(lines) - SHOWN:,} more"
    for other in found:
        if other.count != count:
            yield f"  part {other}, of an earlier number, has records that no part has taken over yet"


def _summary(out: Path, shard: Shard) -> dict[str, Any]:
    """The accounting of a part; empty where there is none that can be read."""
    try:
        summary = json.loads((out / shard.file(SUMMARY)).read_bytes())
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def _unfinished(summary: dict[str, Any]) -> str:
    """What is missing of a part; "" for nothing."""
    state, equation = summary.get("state"), summary.get("equation")
    if state is None or equation is None:
        return "has not begun"
    if state == "running":
        return "runs, or was killed"
    if state == "stopped":
        left = equation["left"]
        how_many = f"{counted(left, 'line')} left" if isinstance(left, int) else "was not read to its end"
        return f"was stopped ({summary['stop_reason']}): {how_many}"
    return ""
