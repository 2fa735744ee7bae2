"""A host that asks for a rest in the middle of a run: what the other hosts of the list get meanwhile.

    python -m tests.proofs.resting [--rest 5] [--per-host 10]

The lines of three hosts take turns. Each host answers after LATENCY_S; one call of the first is refused with
`Retry-After`. The others' calls during that rest are compared with those of a run in which nobody asks for one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.harness import write_list
from tests.proofs.peers import ours
from tests.scripted import Heard, Says, Scripted

HOSTS: Final = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
LATENCY_S: Final = 0.1
BEFORE_S: Final = 4.0
"""From the first call to the rest: time enough to be at full speed."""

SHARE: Final = 0.95
"""Of their calls without a rest: the least that the others make, since two runs are never quite equal."""


@dataclass(slots=True)
class Api:
    """rest_s: what the first host asks for once; None: nothing. heard: when calls came, by host."""

    rest_s: float | None
    asks_s: float = 0.0
    has_asked: bool = False
    heard: dict[str, list[float]] = field(default_factory=lambda: {host: [] for host in HOSTS})

    def __call__(self, heard: Heard) -> Says:
        self.asks_s = self.asks_s or heard.at_s + BEFORE_S
        if heard.host == HOSTS[0] and heard.at_s >= self.asks_s and not self.has_asked:
            self.has_asked, self.asks_s = True, heard.at_s
            if self.rest_s is not None:
                return Says(429, {"Retry-After": f"{self.rest_s:g}"})
        self.heard[heard.host].append(heard.at_s)
        return Says(after_s=LATENCY_S)

    def calls(self, host: str, for_s: float) -> int:
        """How many came within so long after it was asked; those on their way then not counted."""
        from_s = self.asks_s + LATENCY_S
        return sum(from_s <= at_s < self.asks_s + for_s for at_s in self.heard[host])


def run(rest_s: float | None, for_s: float, per_host: int) -> Api:
    """Fetch a list that is long enough for what is before, meanwhile and a little longer. Raises AssertionError."""
    api = Api(rest_s)
    each = round((BEFORE_S + for_s + 2.0) * per_host / LATENCY_S)
    with tempfile.TemporaryDirectory() as folder, Scripted(api, addresses=HOSTS) as server:
        lines = (server.url(f"/{n}", host) for n in range(each) for host in range(len(HOSTS)))
        items = write_list(Path(folder) / "items.txt", lines)
        saved = ours(str(per_host * len(HOSTS)), per_host=per_host).fetch(items, Path(folder), 120 + 5 * for_s)
    assert saved == (each * len(HOSTS), 0, 0), saved
    return api


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rest", type=float, default=5.0, help="seconds")
    parser.add_argument("--per-host", type=int, default=10)
    options = parser.parse_args()
    without, with_ = run(None, options.rest, options.per_host), run(options.rest, options.rest, options.per_host)
    early = with_.calls(HOSTS[0], options.rest)
    is_kept = not early
    for host in HOSTS[1:]:
        calls, of = with_.calls(host, options.rest), without.calls(host, options.rest)
        is_kept &= calls >= SHARE * of
        print(
            f"{host}: {calls:,} calls while {HOSTS[0]} rests for {options.rest:g} s, {of:,} without: {calls / of:.2f}"
        )
    load = os.getloadavg()[0]
    print(f"{early} calls to the one that rests; load {load:.1f}; {'kept' if is_kept else 'NOT KEPT'}: {SHARE} of them")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
