"""What each process is told, given what the whole was told: the same, but for its part and its shares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError
from crawler.fleet.shares import SHARED, divide
from crawler.items import Shard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.fleet.engine import Part

_SETTINGS: Final = {**SHARED, "rate": "APIFETCH_RATE", "redo": "APIFETCH_REDO", "out": "APIFETCH_OUT"}
"""By the name of an argument: what else may say it."""


def parts_of(whole: Part, values: Mapping[str, Any], count: int) -> list[Part]:
    """Give *count* parts, more than one. values: of all settings, typed. Raises ArgumentError for what has no parts."""
    if values["APIFETCH_REDO"].conditional:
        expected = (
            "another redo than changed: what has changed is told by the run that asks, and would be told in parts"
        )
        raise ArgumentError("redo", "changed", expected)
    parts = []
    for number, (arguments, settings) in enumerate(divide(values, count), 1):
        shard = Shard(number, count)
        alike = _alike(whole, *SHARED, *arguments)
        parts.append(
            replace(
                alike,
                shard=shard,
                arguments={**alike.arguments, **arguments, "shard": str(shard)},
                settings={**alike.settings, **settings},
            )
        )
    return parts


def gathering(whole: Part) -> Part:
    """Give the run that brings complete parts together: it takes their records over, and has no call to make."""
    alike = _alike(whole, "redo")  # each part has done that
    return replace(alike, arguments={**alike.arguments, "redo": "none"})


def _alike(whole: Part, *names: str) -> Part:
    """The same without what is said of *names*, and with the output by its one name, whatever the time is."""
    left_out = {"out", *names}
    settings = {_SETTINGS[name] for name in left_out}
    out = whole.where.replace("%", "%%")
    return replace(
        whole,
        arguments={name: said for name, said in whole.arguments.items() if name not in left_out} | {"out": out},
        settings={name: said for name, said in whole.settings.items() if name not in settings},
    )
