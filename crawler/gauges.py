"""What is read off a run: for the meter, for who watches, for summary.json. Reads only, decides nothing."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from crawler.items import Outcome
from crawler.meter import Moment, Progress
from crawler.meter.length import length
from crawler.meter.metrics import metrics_text
from crawler.sources import list_name

if TYPE_CHECKING:
    from crawler.meter import Verdict
    from crawler.run import Run

HOSTS_SHOWN: Final = 20


def moment(run: Run, *, cpu: float, now_s: float) -> Moment:
    """Give what a look sees. cpu: see Moment; now_s: on pacing's clock."""
    traffic = run.traffic
    return Moment(
        in_flight=traffic.in_flight,
        limit=traffic.limit(run.plan.workers),
        ceiling=traffic.ceiling(run.plan.workers),
        ready=traffic.ready,
        held=traffic.held,
        held_by=traffic.held_by(now_s) if traffic.held else None,
        resting=traffic.resting,
        has_room=run.recording.has_room,
        is_read=run.tally.read_to_end,
        is_cut=traffic.is_cut,
        is_down=traffic.is_down,
        is_found=traffic.is_found,
        knob="workers" if traffic.ceiling(run.plan.workers) == run.plan.workers else "per_host",
        cpu=cpu,
    )


def progress(run: Run, *, wall_s: float) -> Progress:
    """Give how far it is. wall_s: seconds since 1970."""
    tally, traffic, meter = run.tally, run.traffic, run.meter
    done = tally.outcomes
    lines, is_estimate = length(
        read=tally.lines_read if tally.read_to_end else run.source.count,
        is_read=tally.read_to_end,
        estimate=run.source.lines_about,
        former=run.former_lines,
        limit=run.plan.limit,
    )
    if lines is not None and run.plan.shard.is_part:
        lines, is_estimate = (tally.own_lines, False) if tally.read_to_end else (lines // run.plan.shard.count, True)
    calls_per_s, bytes_per_s = meter.speeds(wall_s)
    at = Progress(
        name=_name(run),
        ok=done[Outcome.OK],
        failed=tally.failed + done[Outcome.INVALID],
        duplicate=done[Outcome.DUPLICATE],
        total=None if lines is None else lines + tally.followed_total,
        is_estimate=is_estimate,
        calls=tally.calls,
        calls_per_s=calls_per_s,
        bytes=tally.bytes,
        bytes_per_s=bytes_per_s,
        latency=meter.latency_now(wall_s),
        in_flight=traffic.in_flight,
        limit=traffic.limit(run.plan.workers),
        retries=tally.retries,
        resting=traffic.resting,
        why=why_now(run, wall_s=wall_s),
        is_stopping=run.stopping.begun.is_set(),
    )
    return at if at.left is None else at.with_time_left(meter.left_s(at.left, wall_s))


def _name(run: Run) -> str:
    """What it is called beside others: each part of a list is a run of its own."""
    name, shard = list_name(run.plan.urls), run.plan.shard
    return f"{name} {shard}" if shard.is_part else name


def why_now(run: Run, *, wall_s: float) -> Verdict | None:
    """Say why it is not faster, now."""
    return run.meter.why_now(wall_s, refused=run.traffic.refused, pace_per_s=run.traffic.pace_per_s)


def metrics(run: Run, *, wall_s: float, exit_code: int | None = None) -> str:
    """Give the text of metrics.prom. exit_code: None while it runs."""
    tally = run.tally
    return metrics_text(
        progress(run, wall_s=wall_s),
        list_name=_name(run),
        began_s=run.meter.began_s,
        wall_s=wall_s,
        exit_code=exit_code,
        rests=run.traffic.rests,
        files=tally.files,
        refused=run.traffic.refused,
        statuses=tally.statuses,
        outcomes={outcome.value: count for outcome, count in tally.outcomes.items()},
        latency=run.meter.latency,
        latency_ms=run.meter.latency_ms,
    )


def counts(run: Run, seconds: float) -> dict[str, Any]:
    """Give the numbers of summary.json, of a run that has lasted so long, and what it was asked to do."""
    return {
        "equation": run.tally.equation(),
        "run": {**run.tally.summary(seconds, rests=run.traffic.rests), "retry_budget": run.traffic.retry_budget()},
        "changes": None,
        "bottleneck": bottleneck(run, seconds),
        "hosts": learned(run),
        "arguments": dict(run.plan.arguments),
        "versions": dict(run.plan.versions),
    }


def bottleneck(run: Run, seconds: float) -> dict[str, Any] | None:
    """Give why it was not faster, for summary.json; None when nobody looked, or no call was made."""
    traffic, calls = run.traffic, run.tally.calls
    why = run.meter.why(calls / seconds, refused=traffic.refused, pace_per_s=traffic.pace_per_s)
    if why is None or not calls:
        return None
    return {"limit": why.limit.value, "sentence": why.sentence, "shares": run.meter.shares}


def learned(run: Run) -> dict[str, dict[str, float | None]]:
    """Give what the first hosts have taught, for summary.json: a list of a million hosts must not fill it."""
    return {
        host: {"workers": profile.limit, "calls_per_s": profile.per_s and round(profile.per_s, 3)}
        for host, profile in islice(run.traffic.profiles().items(), HOSTS_SHOWN)
    }
