"""metrics.prom: the state of a run in the text format that Prometheus' node exporter collects from files.

Owns: the names, which are public (docs/progress.md), and the format (version 0.0.4). Knows no file.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from crawler.meter.seconds import BOUNDS_MS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from crawler.meter.progress import Progress

_LE_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000)
"""Bounds of the histogram: Prometheus' usual ones, of which each is a bound of ours too."""

assert set(_LE_MS) <= set(BOUNDS_MS)


def metrics_text(
    at: Progress,
    *,
    list_name: str,
    began_s: float,
    wall_s: float,
    exit_code: int | None,
    rests: int,
    files: int,
    refused: int,
    statuses: Mapping[int, int],
    outcomes: Mapping[str, int],
    latency: Mapping[int, int],
    latency_ms: int,
) -> str:
    """Give the file. began_s, wall_s: seconds since 1970. exit_code: None while it runs."""
    own = {"list": list_name}
    lines: list[str] = []

    def add(name: str, kind: str, says: str, *samples: tuple[Mapping[str, object], float]) -> None:
        lines.extend((f"# HELP apifetch_{name} {says}", f"# TYPE apifetch_{name} {kind}"))
        lines.extend(f"apifetch_{name}{_labels({**own, **labels})} {float(value)!r}" for labels, value in samples)

    def one(name: str, kind: str, says: str, value: float | None) -> None:
        if value is not None:
            add(name, kind, says, ({}, value))

    one("running", "gauge", "1 while the run goes on.", exit_code is None)
    one("exit_code", "gauge", "How it ended; absent while it runs.", exit_code)
    one("start_time_seconds", "gauge", "When the run began, since 1970.", began_s)
    one("written_time_seconds", "gauge", "When this was written, since 1970.", wall_s)
    add("records", "gauge", "Lines and pages by what became of them, of this run and earlier ones.",
        *(({"outcome": outcome}, count) for outcome, count in sorted(outcomes.items())))  # fmt: skip
    one("records_total", "gauge", "All lines and pages; absent while nobody knows.", at.total)
    one("records_total_estimated", "gauge", "1 while records_total may still change.", at.is_estimate)
    one("records_left", "gauge", "Lines and pages without a record; absent while nobody knows.", at.left)
    one("time_left_seconds", "gauge", "Time that the rest will take at the present speed.", at.left_s)
    one("calls_total", "counter", "Calls of this run, retries included.", at.calls)
    one("retries_total", "counter", "Calls that were made again.", at.retries)
    one("refused_total", "counter", "Calls that the API refused as too many.", refused)
    one("rests_total", "counter", "Times that a call had to wait before it was tried again.", rests)
    one("files_total", "counter", "Files written.", files)
    one("bytes_total", "counter", "Bytes of their bodies.", at.bytes)
    add("responses_total", "counter", "Last answers of calls by status.",
        *(({"status": status}, count) for status, count in sorted(statuses.items())))  # fmt: skip
    one("calls_in_flight", "gauge", "Calls on their way.", at.in_flight)
    one("calls_allowed", "gauge", "Calls that may be on their way at once.", at.limit)
    one("calls_resting", "gauge", "Calls that wait to be tried again.", at.resting)
    if at.why is not None:
        add("limited_by", "gauge", "What keeps it from being faster: always 1.", ({"limit": at.why.limit.value}, 1))
    lines += _histogram(own, latency, latency_ms)
    return "\n".join(lines) + "\n"


def _histogram(own: Mapping[str, object], latency: Mapping[int, int], latency_ms: int) -> Iterator[str]:
    name = "apifetch_call_duration_seconds"
    yield f"# HELP {name} What the last attempt of each call took."
    yield f"# TYPE {name} histogram"
    within = [sum(n for bound, n in latency.items() if low < bound <= high)
              for low, high in zip((0, *_LE_MS), _LE_MS, strict=False)]  # fmt: skip
    for bound, count in zip(_LE_MS, accumulate(within), strict=True):
        yield f"{name}_bucket{_labels({**own, 'le': bound / 1000})} {count}"
    total = sum(latency.values())
    yield f"{name}_bucket{_labels({**own, 'le': '+Inf'})} {total}"
    yield f"{name}_sum{_labels(own)} {latency_ms / 1000!r}"
    yield f"{name}_count{_labels(own)} {total}"


def _labels(labels: Mapping[str, object]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(str(value))}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
