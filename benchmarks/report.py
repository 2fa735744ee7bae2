"""From samples to medians, and from those to Markdown. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.cases import Case
    from benchmarks.clients import Client
    from benchmarks.samples import Failure, Sample

Of = Callable[["Sample"], float | None]

OURS: Final = "apifetch"
NOTHING: Final = "–"  # noqa: RUF001  # a dash, as in printed tables
MB: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A case that was run. server: its title. samples: of all clients."""

    case: Case
    server: str
    samples: Sequence[Sample]
    failures: Sequence[Failure]

    def of(self, client: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.client == client]

    def median(self, client: str, of: Of) -> float | None:
        return _median([of(sample) for sample in self.of(client)])

    def ratio(self, client: str, of: Of, *, to: str) -> float | None:
        """The median over the rounds of what a client has, to what another has in the same round."""
        other = {sample.round: of(sample) for sample in self.of(to)}
        ratios = []
        for sample in self.of(client):
            mine, its = of(sample), other.get(sample.round)
            ratios.append(mine / its if mine is not None and its else None)
        return _median(ratios)


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a case's table. cell: of a client."""

    title: str
    cell: Callable[[Ran, str], str]


def report(rans: Sequence[Ran], clients: Sequence[Client], facts: Mapping[str, str], notes: Sequence[str]) -> str:
    """Give the whole report. notes: sentences about what was left out, and why."""
    parts = ["# Benchmarks", *(_section(ran, clients) for ran in rans), _legend()]
    if notes:
        parts.append("## Notes\n\n" + "\n".join(f"- {note}" for note in notes))
    parts.append("## Versions\n\n" + "\n".join(f"- {name}: {value}" for name, value in facts.items()))
    return "\n\n".join(parts) + "\n"


def _section(ran: Ran, clients: Sequence[Client]) -> str:
    case = ran.case
    rounds = max((sample.round for sample in ran.samples), default=0)
    lines = [
        f"## {case.name}: {case.title}",
        "",
        f"{case.calls:,} calls, {rounds} interleaved round{'s' * (rounds != 1)}, medians; server: {ran.server}.",
        "",
        *_table(ran, [client for client in clients if ran.of(client.name)]),
        *(f"\n{failure.client} failed in round {failure.round}: {failure.reason}" for failure in ran.failures),
    ]
    return "\n".join(lines)


def _table(ran: Ran, clients: Sequence[Client]) -> Iterator[str]:
    columns = list(_columns(ran.case))
    yield "| client | " + " | ".join(column.title for column in columns) + " |"
    yield "| --- |" + " ---: |" * len(columns)
    for client in clients:
        cells = [column.cell(ran, client.name) for column in columns]
        yield f"| {client.title} | " + " | ".join(cells) + " |"


def _columns(case: Case) -> Iterator[Column]:
    yield _column("CPU a call, ms", lambda s: s.cpu_ms, "{:.3f}".format, spread=True)
    yield _ratio("CPU to ours", lambda s: s.cpu_ms, OURS)
    yield _column("after start-up", lambda s: s.further_cpu_ms, "{:.3f}".format)
    yield _column("wall, s", lambda s: s.run.wall_s, "{:.1f}".format)
    yield _column("start-up, s", lambda s: s.startup_s, "{:.2f}".format)
    yield _column("calls/s", lambda s: s.per_s, "{:,.0f}".format, spread=True)
    yield _ratio(f"speed to {'ours' if case.against == OURS else case.against}", lambda s: s.per_s, case.against)
    if case.latency_ms:
        yield _column("of workers / latency", lambda s: s.reached, "{:.1%}".format)
    if not case.latency_ms:
        yield _column("connections", lambda s: s.served.connections, "{:,.0f}".format)
    if case.tls:
        yield _column("full handshakes", lambda s: s.served.handshakes, "{:,.0f}".format)
        yield _column("resumed", lambda s: s.served.resumed, "{:,.0f}".format)
    yield _column("peak, MB", lambda s: s.run.largest_bytes / MB, "{:.0f}".format)
    yield _column("all processes", lambda s: _scaled(s.run.all_bytes), "{:.0f}".format)
    yield _column("client busy", lambda s: s.client_busy, "{:.0%}".format)
    yield _column("server busy", lambda s: s.server_busy, "{:.0%}".format)


def _column(title: str, of: Of, text: Callable[[float], str], *, spread: bool = False) -> Column:
    """spread: show the least and the most beside the median, where rounds differ."""

    def cell(ran: Ran, client: str) -> str:
        values = [value for sample in ran.of(client) if (value := of(sample)) is not None]
        if not values:
            return NOTHING
        least, most = text(min(values)), text(max(values))
        around = f" ({least} to {most})" if spread and least != most else ""
        return text(median(values)) + around

    return Column(title=title, cell=cell)


def _ratio(title: str, of: Of, to: str) -> Column:
    def cell(ran: Ran, client: str) -> str:
        ratio = ran.ratio(client, of, to=to)
        return NOTHING if ratio is None else f"{ratio:.2f}x"

    return Column(title=title, cell=cell)


def _legend() -> str:
    return """\
CPU is user and system time of all of a client's processes; the server's is not in it. "After start-up" is without
what the same client needs for a list of one URL. "Start-up" is the wall time of that list, without what the server
waited; "calls/s" are over the rest. Ratios are medians of the rounds' own ratios, since the machine's speed may change
between rounds. "Peak" is the largest process's, "all processes" the sum of each one's peak. "Client busy" is in cores
(100% is one); "server busy" is of each server process: near 100% the server would be the limit."""


def _scaled(size_bytes: int | None) -> float | None:
    return None if size_bytes is None else size_bytes / MB


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
