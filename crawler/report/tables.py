"""The sections with tables: what came out, what failed, by host, the runs, the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crawler.amounts import counted, duration, number, size
from crawler.report.markup import el
from crawler.report.parts import bars, ms, time
from crawler.report.shown import shard_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from crawler.report.gather import Facts, Failure, HostSum
    from crawler.report.markup import Markup


def statuses(facts: Facts) -> Markup:
    outcomes = _parts(facts.outcomes.most_common())
    by_status = _parts(sorted(facts.statuses.items()))
    return el(
        "section",
        el("div", el("h2", "Outcomes"), bars(outcomes)),
        el("div", el("h2", "HTTP statuses"), bars(by_status)),
        class_="halves",
    )


def _parts(counts: Sequence[tuple[object, int]]) -> list[tuple[str, str, float]]:
    """Rows of bars: each count, and its part of all."""
    total = max(1, sum(count for _, count in counts))
    return [(str(name), number(count), count / total) for name, count in counts]


def failures(facts: Facts) -> Markup | None:
    if not facts.failures:
        return None
    more = facts.failures_in_all - len(facts.failures)
    return el(
        "section",
        el("h2", "What failed"),
        *map(_failure, facts.failures),
        el("p", f"And {counted(more, 'kind')} more; the ledger has all of them.", class_="quiet") if more else None,
    )


def _failure(failure: Failure) -> Markup:
    """A group with its example."""
    what = f"{failure.outcome} {failure.status}" if failure.status is not None else failure.outcome
    where = f"line {failure.line}: " if failure.line is not None else ""
    title = el("b", what), el("span", number(failure.count), class_="count"), el("span", failure.error, class_="error")
    parts = [el("summary", *title), el("p", where, el("code", failure.url), class_="url")]
    if failure.location:
        parts.append(el("p", "Its answer: ", el("code", failure.location), class_="url"))
    if failure.curl:
        copy = el("button", "Copy", type="button", class_="copy")
        parts.append(el("div", copy, el("pre", failure.curl), class_="curl"))
    return el("details", *parts, open="")


def hosts(facts: Facts) -> Markup | None:
    if not facts.hosts:
        return None
    more = facts.hosts_in_all - len(facts.hosts)
    titles = _titles("host", "records", "ok", "not ok", "mean", "bodies")
    return el(
        "section",
        el("h2", "Hosts"),
        el("div", el("table", titles, *map(_host, facts.hosts), class_="grid"), class_="wide"),
        el("p", f"And {counted(more, 'host')} more with fewer records.", class_="quiet") if more > 0 else None,
    )


def _titles(first: str, *others: str) -> Markup:
    """The head of a table of numbers; the first column is text."""
    return el("tr", el("th", first, scope="col"), *(el("th", title, scope="col", class_="number") for title in others))


def _host(host: HostSum) -> Markup:
    ok = host.outcomes["ok"]
    cells = [number(host.calls), number(ok), number(host.calls - ok), ms(host.mean_ms), size(host.bytes)]
    return el("tr", el("th", host.host, scope="row"), *(el("td", cell, class_="number") for cell in cells))


def runs(facts: Facts) -> Markup:
    more = facts.runs_in_all - len(facts.runs)
    rows = (el("tr", *_run(run), class_="this" if run["id"] in facts.shown.ids else None) for run in facts.runs)
    titles = _titles("run", "began (UTC)", "calls", "time", "exit code", "stopped by")
    return el(
        "section",
        el("h2", "Runs"),
        el("div", el("table", titles, *rows, class_="grid"), class_="wide"),
        el("p", f"And {counted(more, 'earlier run')}.", class_="quiet") if more else None,
    )


def _run(run: Mapping[str, Any]) -> Iterator[Markup]:
    this = run["summary"].get("run", {})
    shard = shard_of(run)
    yield el("th", f"{run['id']}, part {shard}" if shard else str(run["id"]), scope="row")
    yield el("td", time(run["started_at"]), class_="number")
    yield el("td", number(this["calls"]) if this else "", class_="number")
    yield el("td", duration(this["seconds"]) if this else "", class_="number")
    yield el("td", "none" if run["exit_code"] is None else str(run["exit_code"]), class_="number")
    yield el("td", run["stop_reason"] or "", class_="number")


def settings(facts: Facts) -> Markup:
    arguments = {name: value for name, value in facts.shown.run["arguments"].items() if value is not None}
    rows = [*arguments.items(), ("durability", facts.shown.run["durability"])]
    pairs = (el("tr", el("th", name, scope="row"), el("td", el("code", str(value)))) for name, value in rows)
    return el("section", el("h2", "Settings"), el("table", *pairs, class_="pairs"))
