"""What a limit on the whole is for each of several processes: shares that add up to it, and differ by one at most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from crawler.values import AtMost

if TYPE_CHECKING:
    from collections.abc import Mapping

SHARED: Final = {
    "workers": "CONCURRENT_REQUESTS",
    "per_host": "CONCURRENT_REQUESTS_PER_DOMAIN",
    "max_calls": "APIFETCH_MAX_CALLS",
    "workers_max": "APIFETCH_WORKERS_MAX",
}
"""What is divided: by the name of its argument, or of the setting that has none."""


def shares(whole: int, count: int) -> list[int]:
    """Divide *whole* by *count*; the first ones have one more."""
    each, odd = divmod(whole, count)
    return [each + (number < odd) for number in range(count)]


def most_parts(values: Mapping[str, Any]) -> tuple[int, str] | None:
    """Give how many processes these settings can be divided among at the most, one worker each, and what limits it."""
    limits = [(values[setting], name) for name, setting in SHARED.items() if values[setting] is not None]
    found = [(int(limit), name) for limit, name in limits if name != "workers_max" or _is_auto(values)]
    return min(found) if found else None


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
    return each


def _is_auto(values: Mapping[str, Any]) -> bool:
    return isinstance(values[SHARED["workers"]], AtMost)
