"""How many calls at once: a number, or `auto`, which stands for one that is found."""

from __future__ import annotations

from typing import Final

from crawler.values.kinds import Kind, whole

AUTO: Final = "auto"


class AtMost(int):
    """A number that is only the most there may be, since what is right is found: `workers=auto`, to Scrapy a number."""


_NUMBER: Final = whole(1, 10_000)


def _workers(value: object) -> int | str:
    return AUTO if value == AUTO or isinstance(value, AtMost) else int(_NUMBER.parse(value))


WORKERS: Final = Kind(_workers, f"{_NUMBER.expected}, or {AUTO}")
"""Gives a number or AUTO; whoever knows the most that is tried makes an AtMost of that."""
