"""The sections with plots: what stands around them, and the numbers that page.js draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crawler.amounts import counted
from crawler.meter import BOUNDS_MS, quantile_ms
from crawler.report.markup import Markup, data, el, joined
from crawler.report.parts import ms

if TYPE_CHECKING:
    from crawler.report.gather import Facts


def drawn(facts: Facts) -> Markup:
    """The numbers, for the script; nothing when there is nothing to draw."""
    if facts.curve is None:
        return Markup("")
    return el("script", data(facts.curve.columns() | _distribution(facts)), type="application/json", id="data")


def plots(facts: Facts) -> Markup | None:
    if facts.curve is None:
        return el("section", el("h2", "Calls over time"), el("p", "No call was made.", class_="quiet"))
    sums, step = facts.curve.sums, facts.curve.step_s
    said = [
        counted(sums["calls"], "call"),
        counted(sums["retries"], "retry", "retries"),
        f"{counted(sums['refused'], 'call')} refused (429, 503 and the like)",
        counted(sums["rests"], "rest"),
    ]
    each = "All parts together. " if facts.shown.parts else ""
    each += f"A point is {counted(step, 'second')}. " if step > 1 else ""
    return joined(
        el("section", el("h2", "Calls per second"),
           el("p", f"{each}{', '.join(said)}.", class_="quiet"),
           el("div", id="calls", class_="plot")),
        el("section", el("h2", "Latency over time"),
           el("p", "What the last attempt of each call took: half, 95 and 99 of 100 took no longer.", class_="quiet"),
           el("div", id="latency", class_="plot")),
        el("section", el("h2", "Latency, all calls"),
           el("p", _percentiles(facts), class_="quiet"),
           el("div", id="distribution", class_="plot low")),
        el("noscript", el("p", "The plots need JavaScript.", class_="quiet")),
    )  # fmt: skip


def _percentiles(facts: Facts) -> str:
    assert facts.curve is not None
    parts = (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("most", 1.0))
    return ", ".join(f"{name} {ms(quantile_ms(facts.curve.latency, part))}" for name, part in parts)


def _distribution(facts: Facts) -> dict[str, list[int]]:
    """All buckets from the first to the last that hold something, the empty ones between them too."""
    assert facts.curve is not None
    held = facts.curve.latency
    low, high = min(held, default=1), max(held, default=1)
    bounds = sorted(held.keys() | {bound for bound in BOUNDS_MS if low <= bound <= high})
    return {"bounds": bounds, "held": [held[bound] for bound in bounds]}
