"""An API that is out of order in the middle of a run: what is asked of it meanwhile, what is lost, how soon it is over.

    python -m tests.proofs.outage [--workers 20,auto] [--how 503,hangs-up,silent,refuses] [--seconds 15] [--peers]

The server has SLOTS of 0.1 s. After those that were on their way at most one call comes a second while it lasts; within
BACK_S after it as many calls are served as before; every line is ok. Connections that are refused are counted by their
SYN packets, which takes a raw socket, so that way is left out where there is no right to one.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import os
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.harness import write_list
from tests.pacing_world import most_in
from tests.proofs.peers import ours, peers, table
from tests.scripted import HANG_UP, Heard, Says, Scripted

if TYPE_CHECKING:
    from tests.proofs.peers import Contender, Saved

SLOTS: Final = 40
LATENCY_S: Final = 0.1

BEFORE_S: Final = 8.0
"""From the first call to the outage: time enough to be at full speed."""

BACK_S: Final = 10.0
BACK: Final = 0.9
"""Of the speed before: what counts as full speed."""

LOOK_S: Final = 2.0
"""Over which a speed is counted."""

NOTICED_S: Final = 0.5
"""After a call has failed, those that left before are there too."""

SILENT_S: Final = 3.0
"""`timeout` of a run against a server that says nothing."""

BY_THE_WAY: Final = 30
"""Calls that leave while the first ones fail, besides those on their way."""

WAYS: Final = ("503", "hangs-up", "silent", "refuses")

HEADING: Final = ("lines", "ok", "error pages saved as data", "given up", "calls meanwhile")
"""Of a table, after how long it lasted."""


@dataclass(slots=True)
class Api:
    """SLOTS and a queue, but for a time. served: when calls came that were; meanwhile: when others did."""

    how: str
    seconds: float
    began_s: float = 0.0
    served: list[float] = field(default_factory=list)
    meanwhile: list[float] = field(default_factory=list)
    server: Scripted = field(init=False)
    _free_at: list[float] = field(default_factory=lambda: [0.0] * SLOTS)

    def __call__(self, heard: Heard) -> Says:
        if not self.began_s:
            self.began_s = heard.at_s + BEFORE_S
            if self.how == "refuses":
                asyncio.get_running_loop().call_later(BEFORE_S, self._refuse)
        if self.began_s <= heard.at_s < self.began_s + self.seconds and self.how != "refuses":
            self.meanwhile.append(heard.at_s)
            if self.how == "silent":
                return Says(after_s=3_600.0)
            return HANG_UP if self.how == "hangs-up" else Says(503, body=b'{"error": "unavailable"}')
        self.served.append(heard.at_s)
        ends_s = max(heard.at_s, heapq.heappop(self._free_at)) + LATENCY_S
        heapq.heappush(self._free_at, ends_s)
        return Says(after_s=ends_s - heard.at_s)

    def _refuse(self) -> None:
        threading.Thread(target=self._count_syns, daemon=True).start()
        self.server.refuse(self.seconds)

    def _count_syns(self) -> None:
        port = int(self.server.origins[0].rpartition(":")[2])
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
            raw.settimeout(0.05)
            while (now_s := time.monotonic()) < self.began_s + self.seconds:
                try:
                    packet = raw.recv(128)
                except TimeoutError:
                    continue
                tcp = packet[4 * (packet[0] & 0x0F) :]  # behind the header of IP
                if int.from_bytes(tcp[2:4]) == port and tcp[13] & 0x12 == 0x02:  # SYN without ACK
                    self.meanwhile.append(now_s)


@dataclass(frozen=True, slots=True)
class Figures:
    """first: calls until the outage could be known of. most: of the later ones in a second. back_s: None for never."""

    who: Contender
    api: Api
    lines: int
    saved: Saved
    first: int
    later: int
    most: int
    before_per_s: float
    after_per_s: float
    back_s: float | None

    @property
    def is_kept(self) -> bool:
        is_whole = self.saved.ok == self.lines and not self.saved.exit_code
        is_polite = self.most <= 1 and self.first <= SLOTS * 1.5 + BY_THE_WAY
        is_back = self.back_s is not None and self.back_s + LOOK_S <= BACK_S
        return is_whole and is_polite and is_back and self.later > 0

    def text(self) -> str:
        back = "never" if self.back_s is None else f"after {self.back_s:.1f} s"
        return (
            f"{self.api.how}, {self.who.title}: {self.saved.ok:,} of {self.lines:,} ok; {self.first} calls until it "
            f"could be known, {self.later} later, at most {self.most} in a second; {self.before_per_s:.0f}/s before, "
            f"{BACK:.0%} of it {back}, {self.after_per_s:.0f}/s {BACK_S:g} s after it"
        )

    def row(self) -> list[str]:
        ok, wrong, _ = self.saved
        counts = (self.lines, ok, wrong, self.lines - ok - wrong, self.first + self.later)
        return [self.who.title, *(f"{count:,}" for count in counts)]


def measure(who: Contender, how: str, per_s: float, seconds: float) -> Figures:
    """Let somebody fetch a list that is long enough for what is before and after, at that many calls a second."""
    api = Api(how, seconds)
    lines = round(per_s * (BEFORE_S + BACK_S + 3 * LOOK_S))
    with tempfile.TemporaryDirectory() as folder, Scripted(api) as api.server:
        items = write_list(Path(folder) / "items.txt", (api.server.url(f"/{n}") for n in range(lines)))
        saved = who.fetch(items, Path(folder), 120 + 3 * seconds)
    known_s = api.began_s + NOTICED_S + (SILENT_S if how == "silent" else 0.0)
    later = [at_s for at_s in api.meanwhile if at_s >= known_s]
    ends_s = api.began_s + seconds
    before_per_s = per_second(api.served, api.began_s - LOOK_S)
    starts = (ends_s + tenth / 10 for tenth in range(600))
    back_s = next((at_s - ends_s for at_s in starts if per_second(api.served, at_s) >= BACK * before_per_s), None)
    return Figures(
        who, api, lines, saved,
        first=len(api.meanwhile) - len(later),
        later=len(later),
        most=most_in(later, 0.99),
        before_per_s=before_per_s,
        after_per_s=per_second(api.served, ends_s + BACK_S),
        back_s=back_s,
    )  # fmt: skip


def per_second(times: list[float], from_s: float) -> float:
    return sum(from_s <= at_s < from_s + LOOK_S for at_s in times) / LOOK_S


def contenders(how: str, workers: str) -> list[tuple[Contender, float]]:
    """Runs of ours, and how many calls a second each makes where all is well."""
    given = {"timeout": SILENT_S} if how == "silent" else {}
    per_s = [SLOTS if each == "auto" else min(int(each), SLOTS) for each in workers.split(",")]
    return [(ours(each, **given), at_once / LATENCY_S) for each, at_once in zip(workers.split(","), per_s, strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="20,auto", help="numbers, or auto, one after the other")
    parser.add_argument("--how", default=",".join(WAYS))
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--peers", action="store_true", help="what people use instead, too, against 503")
    options = parser.parse_args()
    is_kept, rows = True, []
    for how in options.how.split(","):
        if how == "refuses" and os.geteuid() != 0:
            print("refuses: left out, there is no right to a raw socket")
            continue
        runs = contenders(how, options.workers)
        if options.peers and how == "503":
            runs += [(peer, 20 / LATENCY_S) for peer in peers()]
        for who, per_s in runs:
            found = measure(who, how, per_s, options.seconds)
            is_kept &= found.is_kept or not who.is_ours
            rows += [found.row()] if how == "503" else []
            note = "" if found.is_kept or not who.is_ours else " NOT KEPT"
            print(f"{found.text()}; load {os.getloadavg()[0]:.1f}{note}", flush=True)
    if options.peers:
        print("", table((f"{options.seconds:g} s of 503", *HEADING), rows), "", sep="\n")
    print(f"{'kept' if is_kept else 'NOT KEPT'}: all ok, at most a call a second, full speed within {BACK_S:g} s")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
