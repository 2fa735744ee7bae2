"""The cases, as data: what is asked of the server, how often, and the figure that the case is about."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a plot shows. of: None when a run did not tell. text: a value as people read it."""

    title: str
    of: Callable[[Sample], float | None]
    text: Callable[[float], str]


CPU: Final = Figure(title="CPU for a call, in ms: less is better", of=lambda s: s.cpu_ms, text="{:.2f}".format)
RATE: Final = Figure(title="Calls a second after start-up: more is better", of=lambda s: s.per_s, text="{:,.0f}".format)
REACHED: Final = Figure(
    title="Speed after start-up, of workers / latency: more is better", of=lambda s: s.reached, text="{:.0%}".format
)
CONNECTIONS: Final = Figure(
    title="Connections opened: fewer is better", of=lambda s: s.served.connections, text="{:,.0f}".format
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A case. latency_ms: before each answer. disk: bodies go to a disk, else into memory.

    against: the client whose speed is 1 in the table.
    """

    name: str
    title: str
    calls: int
    workers: int = 20
    rounds: int
    latency_ms: int = 0
    disk: bool = False
    tls: bool = False
    http2: bool = False
    figure: Figure
    against: str = "apifetch"

    def with_calls(self, calls: int | None) -> Case:
        return replace(self, calls=calls) if calls else self

    def with_rounds(self, rounds: int | None) -> Case:
        return replace(self, rounds=rounds) if rounds else self


# Calls: enough that the fastest client runs for about a second, and the slowest for no more than a minute.
# Rounds: five where CPU is the figure, fewer where a run is mostly waiting and therefore steady.
CASES: Final = (
    Case(name="cpu", title="Answers at once, 20 workers, bodies into memory", calls=10_000, rounds=5, figure=CPU),
    Case(
        name="disk", title="Answers at once, 20 workers, bodies to disk", calls=10_000, rounds=3,
        disk=True, figure=RATE, against="aiohttp-uvloop",
    ),
    Case(
        name="latency20", title="Answers after 500 ms, 20 workers", calls=2_000,
        rounds=1,  # of 50 s for each client, nearly all of it waiting
        latency_ms=500, figure=REACHED,
    ),
    Case(
        name="latency500", title="Answers after 100 ms, 500 workers", calls=20_000, workers=500, rounds=3,
        latency_ms=100, figure=REACHED,
    ),
    Case(
        name="tls", title="Answers at once over TLS, HTTP/1.1, 20 workers", calls=10_000, rounds=3,
        tls=True, figure=CONNECTIONS,
    ),
    Case(
        name="http2", title="Answers at once over TLS, HTTP/2 offered, 20 workers", calls=10_000, rounds=3,
        tls=True, http2=True, figure=CONNECTIONS,
    ),
)  # fmt: skip

BY_DEFAULT: Final = ("cpu", "disk", "latency20", "latency500", "tls")
"""http2 says more about who speaks HTTP/2 than about speed: only when asked for."""
