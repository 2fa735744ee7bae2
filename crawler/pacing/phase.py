"""What the window of `workers=auto` is doing.

Owns: the names; when one follows another, auto decides.
"""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """What the window is doing."""

    RISE = auto()  # one call more for each answer, until latency rises
    HOLD = auto()  # as many as are served at once, and a few
    UP = auto()  # some more, for a round: are there more slots?
    DOWN = auto()  # fewer, for a round: what is the latency of an idle host?
