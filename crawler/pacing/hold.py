"""What keeps a host's next call from going at this moment: part of the answer to why it is not faster."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Hold(StrEnum):
    """In the way of a call."""

    WORKERS = "workers"  # as many are on their way as may be
    RATE = "rate"  # the user's
    HEADERS = "headers"  # the host's own count has come to its end
    ASKED = "asked"  # the host has refused, and said for how long
    REFUSED = "refused"  # the host has refused, and its pace was learned from it
    OUTAGE = "outage"  # nothing succeeds: one call at a time finds out whether it is over
    RETRIES = "retries"  # the budget for retries
    CREDENTIALS = "credentials"  # the host refuses them: they are read again, and one call at a time tries


class Held(NamedTuple):
    """Why, until when (seconds on pacing's clock), and which header or argument said so ("" for none)."""

    hold: Hold
    until_s: float
    said_by: str = ""
