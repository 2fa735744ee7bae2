"""What a limit on the whole is for each of several processes: shares that add up to it, and differ by one at most."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError
from crawler.values import AtMost
from crawler.values.parts import MOST

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.pacing.rate import Rate

SHARED: Final = {
    "workers": "CONCURRENT_REQUESTS",
    "per_host": "CONCURRENT_REQUESTS_PER_DOMAIN",
    "max_calls": "APIFETCH_MAX_CALLS",
    "workers_max": "APIFETCH_WORKERS_MAX",
    "bodies": "APIFETCH_BODIES_IN_FLIGHT_BYTES",
}
"""What is divided: by the name of its argument, or of the setting that has none."""

LEAST: Final = {"bodies": 2**20}
"""What a process needs of it: else one."""


def shares(whole: int, count: int) -> list[int]:
    """Divide *whole* by *count*; the first ones have one more."""
    each, odd = divmod(whole, count)
    return [each + (number < odd) for number in range(count)]


def most_parts(values: Mapping[str, Any]) -> tuple[int, str] | None:
    """Give how many processes these settings can be divided among at the most, one worker each, and what limits it."""
    limits = {name: values[setting] for name, setting in SHARED.items() if values[setting] is not None}
    found = [
        (int(limit) // LEAST.get(name, 1), name if name in {"workers", "per_host", "max_calls"} else SHARED[name])
        for name, limit in limits.items()
        if name != "workers_max" or _is_auto(values)
    ]
    return min(found) if found else None


def count_of(said: str, values: Mapping[str, Any], auto: tuple[int, str]) -> tuple[int, str]:
    """Say how many parts, at least one, and no more than can have a share each; and why. Raises ArgumentError.

    said: what --processes was given; auto: what that is worth, and why.
    """
    if said == "auto":
        count, why = auto
    elif said.isascii() and said.isdigit() and 1 <= int(said) <= MOST:
        count, why = int(said), "as you said"
    else:
        raise ArgumentError("--processes", said, f"auto, or a whole number from 1 to {MOST:,}")
    most = most_parts(values)
    return (count, why) if most is None or count <= most[0] else (most[0], f"so that each has its share of {most[1]}")


def divide(values: Mapping[str, Any], count: int) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Give each process's own -a and -s, which take the place of what was said of SHARED.

    values: of all settings, typed. count: no more than most_parts says.
    """
    each: list[tuple[dict[str, str], dict[str, str]]] = [({}, {}) for _ in range(count)]
    workers, per_host = values[SHARED["workers"]], values[SHARED["per_host"]]
    told = {"max_calls": values[SHARED["max_calls"]]}
    told["workers"] = None if _is_auto(values) else int(workers)
    told["per_host"] = None if per_host == int(workers) else per_host
    for name, whole in told.items():
        for (arguments, _), share in zip(each, shares(whole or 0, count), strict=True):
            if whole is not None:
                arguments[name] = str(share)
    if _is_auto(values):
        for (arguments, settings), share in zip(each, shares(int(workers), count), strict=True):
            arguments["workers"] = "auto"
            settings[SHARED["workers_max"]] = str(share)
    for (_, settings), share in zip(each, shares(values[SHARED["bodies"]], count), strict=True):
        settings[SHARED["bodies"]] = str(share)
    if (rate := values["APIFETCH_RATE"]) is not None and values["APIFETCH_SHARED_RATE"] == "off":
        for arguments, _ in each:
            arguments["rate"] = rate_of_each(rate, count)
    return each


def rate_of_each(rate: Rate, count: int) -> str:
    """Give the rate for each of several that know nothing of each other: together never more than *rate*."""
    said = []
    for quota in rate.quotas:
        calls = quota.calls // count
        window_s = quota.window_s if calls else math.ceil(quota.window_s * count / quota.calls)
        said.append(f"{max(1, calls)}/{window_s}s")
    return ",".join(said)


def _is_auto(values: Mapping[str, Any]) -> bool:
    return isinstance(values[SHARED["workers"]], AtMost)
