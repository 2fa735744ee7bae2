"""metrics.prom read again: by whoever adds up several runs. Knows the format of crawler.meter.metrics, and no file."""

from __future__ import annotations

import re
from typing import Final

_SAMPLE: Final = re.compile(
    r'apifetch_(?P<name>\w+)\{list="(?:\\.|[^"\\])*"(?:,\w+="(?P<label>[^"\\]*)")?\} (?P<value>\S+)'
)

Samples = dict[str, dict[str, float]]
"""Metric -> value of its own label, "" where it has none -> number."""


def samples(text: str) -> Samples:
    """Give what *text* says; what is no sample is passed over."""
    found: Samples = {}
    for line in text.splitlines():
        if sample := _SAMPLE.fullmatch(line):
            found.setdefault(sample["name"], {})[sample["label"] or ""] = float(sample["value"])
    return found
