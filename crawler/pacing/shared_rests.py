"""What a host asks one of several processes to wait, the others wait, too: it is written where all of them look.

Owns: whose a rest is: what a host asks for, it asks of those who come with the same credentials. Knows no file: what
all can see is changed by a function that comes in.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from crawler.pacing.shared import Shared

RESTS: Final = "rests of hosts"
"""Under which name rests are known: no host is called so."""

LOOK_S: Final = 0.1
"""How often it is looked whether another process was asked to wait: one look for all hosts."""

LONGEST_S: Final = 31 * 86_400.0
"""A rest that is longer is none that this program has noted."""


class SharedRests:
    """What hosts have asked of any process that comes with the same credentials. who: stands for those."""

    def __init__(self, shared: Shared, who: str = "") -> None:
        self._shared, self._wall = shared, shared.wall
        self._who = who
        self._words: dict[str, list[Any]] = {}  # as we saw them last: seconds since 1970, and the header
        self._untold: dict[str, list[Any]] = {}
        self._look_s = -math.inf
        self._told: dict[str, list[Any]] | None = None  # what was told, and is not known to count

    def tell(self, host: str, now_s: float, *, until_s: float, by: str) -> None:
        """Let all others know what a host asks for."""
        self._untold[f"{host} {self._who}"] = [self._wall(until_s), by]
        self._look(now_s)

    def word(self, host: str, now_s: float) -> tuple[float, str]:
        """Give until when a host asked any of us to wait, and by which header; a time that is past for nothing."""
        if now_s >= self._look_s:
            self._look(now_s)
        wall_s, by = self._words.get(f"{host} {self._who}", (-math.inf, ""))
        return wall_s - self._wall(now_s) + now_s, by

    def _look(self, now_s: float) -> None:
        """Read what there is, and write what is to be told; when somebody else is at it, the next time."""
        self._look_s = now_s + LOOK_S
        if self._told is not None:
            counts = self._shared.answer(RESTS)
            if counts is None:
                return
            if counts:
                self._untold = {name: word for name, word in self._untold.items() if word != self._told.get(name)}
            self._told = None
        wall_s = self._wall(now_s)
        seen: dict[str, list[Any]] = {}

        def change(state: dict[str, Any]) -> None:
            seen.clear()
            seen.update({name: word for name, word in state.items() if _is_word(word, wall_s)})
            for name, word in self._untold.items():
                seen[name] = max(word, seen.get(name, word))
            state.clear()
            state.update(seen)

        counts = self._shared.exchange(RESTS, change)
        if counts:
            self._words, self._untold = seen, {}
        elif counts is None:
            self._told = dict(self._untold)


def _is_word(word: Any, wall_s: float) -> bool:
    """Whether that is a rest that is not over."""
    is_pair = isinstance(word, list) and len(word) == 2 and isinstance(word[1], str)
    return is_pair and isinstance(word[0], float) and wall_s < word[0] <= wall_s + LONGEST_S
