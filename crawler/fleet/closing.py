"""What is left to say when a fleet has ended: `fleet` in summary.json, and a line for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from crawler.amounts import counted, duration, per_second
from crawler.store.exports import SUMMARY, write_summary

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A fleet's own work: calls with retries, and how often a part that died was started again."""

    processes: int
    seconds: float
    calls: int
    restarts: int

    def __str__(self) -> str:
        speed = per_second(self.calls / self.seconds) if self.seconds else "0"
        text = f"{counted(self.calls, 'call')} by {counted(self.processes, 'process', 'processes')}"
        text += f" in {duration(self.seconds)} ({speed} per second)"
        return f"{text}; {counted(self.restarts, 'part')} started again" if self.restarts else text


def note(out: Path, fleet: Sum) -> None:
    """Add it to the summary of the run that brought the parts together, which made no calls. Raises StoreError."""
    summary: dict[str, Any] = json.loads((out / SUMMARY).read_bytes())
    write_summary(out, {**summary, "fleet": asdict(fleet)})
