"""The page as a whole: its frame, its order, and what stands at its top. Looks are in page.css, plots in page.js."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from crawler.accounting import ExitCode
from crawler.amounts import counted, duration, number, per_second, size
from crawler.items import NO_FAILURE
from crawler.meter import quantile_ms
from crawler.meter.bottleneck import SHORT
from crawler.report.markup import Markup, el, joined
from crawler.report.parts import bars, ms, time
from crawler.report.plots import drawn, plots
from crawler.report.shown import shard_of
from crawler.report.tables import failures, hosts, runs, settings, statuses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crawler.report.gather import Facts
    from crawler.report.markup import Child
    from crawler.report.shown import Shown

PLACE: Final = "crawler.report"

_MEANS: Final = {
    ExitCode.DONE: "Every line is done",
    ExitCode.BUG: "A bug: some lines have no record although nothing stopped the run",
    ExitCode.USAGE: "The list could not be read to its end",
    ExitCode.DISK: "The disk, or the object store, refused",
    ExitCode.CREDENTIALS: "The credentials were refused",
    ExitCode.NO_ANSWER: "Some lines got no usable answer; the same command again retries what may pass",
    ExitCode.NOT_OK: "Some lines were answered, but not ok",
    ExitCode.INVALID: "All is fetched but the lines that cannot be read",
    ExitCode.STOPPED: "Stopped before the end; the same command again goes on",
}


def page(facts: Facts, *, name: str, written_at: str) -> str:
    """Give the whole file. name: of the output directory. written_at: UTC, ISO 8601."""
    styles = _file("uplot.css") + _file("page.css")
    scripts = [_file("uplot.js"), _file("page.js")]
    body = joined(
        _header(facts, name),
        el("main",
           _figures(facts), _equation(facts), _why(facts), plots(facts), statuses(facts), failures(facts),
           hosts(facts), runs(facts), settings(facts)),
        _footer(facts, written_at),
    )  # fmt: skip
    head = joined(
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(scripts)),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{name}: report of run {facts.shown.run['id']}"),
        el("style", Markup(styles)),
    )
    end = joined(*(el("script", Markup(script)) for script in scripts)) if facts.curve is not None else Markup("")
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}\n{drawn(facts)}{end}</body></html>\n'


def _file(name: str) -> str:
    """A file that lies beside the code, in an egg too."""
    return files(PLACE).joinpath(name).read_text("utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """No network, and no script but ours: what a URL or an error might smuggle in does not run."""
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


_SHORT: Final = {limit.value: short for limit, short in SHORT.items()}


# The top


def _header(facts: Facts, name: str) -> Markup:
    run = facts.shown.run
    code = run["exit_code"]
    if code is None:
        state, means, kind = "no end yet", "It still runs, or it was killed; the same command again goes on", "warn"
    else:
        state, means = run["summary"].get("state", "ended"), _MEANS.get(ExitCode(code), "")
        kind = "good" if code == 0 else "warn" if code in {ExitCode.STOPPED, ExitCode.INVALID} else "bad"
    if run["stop_reason"]:
        means += f" ({run['stop_reason']})"
    began, ended = time(facts.shown.began), time(facts.shown.ended)
    when = f"{began} to {ended} UTC" if facts.shown.ended else f"since {began} UTC"
    return el(
        "header",
        el("div", el("h1", name), el("span", state, class_=f"pill {kind}"), class_="title"),
        el("p", means, f" · exit code {code}" if code is not None else "", class_="means"),
        el("p", f"{run['arguments'].get('urls') or 'a list'} · {_who(facts.shown)} · {when}", class_="quiet"),
    )


def _who(shown: Shown) -> str:
    """Which run, or which runs of which parts."""
    if not shown.parts:
        return f"run {shown.run['id']}"
    parts = {shard_of(part) for part in shown.parts}
    each = f" in {counted(len(shown.parts), 'run')}" if len(shown.parts) > len(parts) else ""
    end = "" if shown.run in shown.parts else f", brought together by run {shown.run['id']}"
    return f"{counted(len(parts), 'part')} of {(shard_of(shown.parts[0]) or '').partition('/')[2]}{each}{end}"


def _figures(facts: Facts) -> Markup:
    """The numbers that people look for first."""
    sums, this = _sums(facts), facts.work
    latency = facts.curve.latency if facts.curve is not None else {}
    failed = sums["failed"] + sums["invalid"]
    tiles = [
        ("ok", number(sums["ok"]), "good"),
        ("failed or invalid" if sums["invalid"] else "failed", number(failed), "bad" if failed else None),
        ("left", number(sums["left"]), "warn" if sums["left"] else None),
        ("calls per second", per_second(this["calls_per_s"]) if this else "unknown", None),
        ("half took at most", ms(quantile_ms(latency, 0.5)), None),
        ("95 % took at most", ms(quantile_ms(latency, 0.95)), None),
        ("bodies", size(facts.bytes), None),
        ("time", duration(this["seconds"]) if this else "unknown", None),
    ]
    shown = (el("div", el("b", value, class_=kind), el("span", label), class_="tile") for label, value, kind in tiles)
    return el("section", *shown, class_="tiles")


def _sums(facts: Facts) -> Mapping[str, Any]:
    """The equation, else what the ledger has now: after a run that was killed nobody counted what is left."""
    if facts.equation is not None:
        return facts.equation
    done = facts.outcomes
    failed = sum(count for outcome, count in done.items() if outcome not in NO_FAILURE)
    return {
        "lines": "unknown", "followed": 0, "ok": done["ok"], "failed": failed, "invalid": done["invalid"],
        "duplicate": done["duplicate"], "erased": done["erased"], "left": "unknown",
    }  # fmt: skip


def _equation(facts: Facts) -> Markup:
    sums = _sums(facts)
    parts = [("ok", "good"), ("failed", "bad"), ("invalid", "bad2"), ("duplicate", "same"), ("left", "rest")]
    parts[4:4] = [("erased", "same")] if sums.get("erased") else []
    parts += [("elsewhere", "same")] if "elsewhere" in sums else []
    total = sum(sums[part] for part, _ in parts if isinstance(sums[part], int))
    strip = [
        el("i", class_=kind, style=f"flex-grow:{sums[part] / total:.6f}", title=f"{part}: {number(sums[part])}")
        for part, kind in parts
        if isinstance(sums[part], int) and sums[part]
    ]
    right: list[Child] = []
    for part, kind in parts:
        right += [" = " if part == "ok" else " + ", el("span", f"{number(sums[part])} {part}", class_=f"key {kind}")]
    left = f"{number(sums['lines'])} lines"
    if sums["followed"]:
        left += f" + {number(sums['followed'])} followed"
    kept = facts.work["kept"] if facts.work else 0
    return el(
        "section",
        el("h2", "What became of every line"),
        el("div", *strip, class_="strip") if total else None,
        el("p", left, *right, class_="equation"),
        el("p", f"{counted(kept, 'earlier ok record')} stood, since fetching again failed", class_="quiet")
        if kept
        else None,
        el("p", "Over the list as it was at the end of the run, whichever run did the work.", class_="quiet"),
    )


def _why(facts: Facts) -> Markup | None:
    found = facts.shown.bottleneck()
    if not found:
        return None
    shares = list(found["shares"].items())
    return el(
        "section",
        el("h2", "Why was it not faster?"),
        el("p", found["sentence"], ".", class_="verdict"),
        bars([(_SHORT.get(name, name), f"{share:.0%} of the time", share) for name, share in shares if share >= 0.005]),
    )


# The end


def _footer(facts: Facts, written_at: str) -> Markup:
    versions = ", ".join(f"{name} {version}" for name, version in facts.shown.run["versions"].items())
    return el("footer", f"Written {time(written_at)} UTC · {versions} · plots: uPlot 1.6.32 (MIT)")
