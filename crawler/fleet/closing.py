"""What is left to say when a fleet has ended: `fleet` in summary.json, and a line for people."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from crawler.amounts import counted, duration, per_second
from crawler.store.exports import SUMMARY, write_summary
from crawler.store.hold import holding

if TYPE_CHECKING:
    from crawler.fleet.engine import Part


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A fleet's own work: calls with retries, and how often a part that died was started again.

    calls: None where parts did not say.
    """

    processes: int
    seconds: float
    calls: int | None
    restarts: int

    def __str__(self) -> str:
        text = f"{counted(self.processes, 'process', 'processes')} in {duration(self.seconds)}"
        if self.calls is not None:
            speed = per_second(self.calls / self.seconds) if self.seconds else "0"
            text = f"{counted(self.calls, 'call')} by {text} ({speed} per second)"
        return f"{text}; {counted(self.restarts, 'part')} started again" if self.restarts else text


def note(whole: Part, fleet: Sum) -> None:
    """Add it to the summary of the run that brought the parts together, which made no calls.

    Raises StoreError, OtherRunError when somebody else has begun meanwhile.
    """
    with holding(whole.out, whole.url, whole.shard) as hold:
        summary: dict[str, Any] = json.loads((whole.out / SUMMARY).read_bytes())
        write_summary(whole.out, {**summary, "fleet": asdict(fleet)})
        hold.put(SUMMARY)
