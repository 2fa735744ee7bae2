"""An API that takes so many calls a second and refuses the rest: how near to its limit a run comes, and how rudely.

    python -m tests.proofs.limits [--lines 20000] [--per-s 200] [--workers 20,auto] [--nginx] [--peers 6000]

The server is a leaky bucket (nginx's limit_req with a small burst), once with `Retry-After: 1` and once
without; with --nginx it is nginx itself, where that is installed. Every line has to end as ok, at nine tenths of the
limit: by the time in which the server has not asked to stay away, and, where the list is as long as 20,000 lines are at
200 a second, by the whole time, rests and the search for the limit included. With --peers, what people use instead
fetches so many lines from the same server; `make bench` makes the environment that it needs.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_left
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.harness import write_list
from tests.proofs.peers import ours, peers, table
from tests.scripted import OK, Heard, Says, Scripted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.proofs.peers import Contender, Saved

BURST: Final = 10
"""Calls that the bucket holds, as in many an nginx."""

GOODPUT: Final = 0.9
"""Of the limit: the least that has to be served."""

LONG_S: Final = 100.0
"""What a list has to take at the limit to be judged by the whole time: finding the limit costs a few rests, however
long the list is."""

ASKED_S: Final = 1.0
"""Retry-After of a refusal: what it costs is the server's own choice."""

REFUSED: Final = 0.02
"""Of the calls after SETTLED_S: the most that may be refused."""

SETTLED_S: Final = 5.0
"""What finding the limit may take."""

LATENCY_S: Final = 0.02


SAYS_NO: Final = b'{"error": "too many requests"}'

HEADING: Final = (
    "without `Retry-After`", "lines", "ok", "error pages saved as data", "given up", "calls refused", "ok a second",
    "seconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Figures:
    """What a run did. times: of all calls at the server, seconds since the first; refused: of those refused."""

    who: Contender
    lines: int
    saved: Saved
    times: list[float]
    refused: list[float]
    asked_s: float

    @property
    def seconds(self) -> float:
        return self.times[-1]

    @property
    def away_s(self) -> float:
        """Seconds in which the server had asked not to be called."""
        away_s, until_s = 0.0, 0.0
        for at_s in self.refused:
            away_s += max(0.0, at_s + self.asked_s - max(at_s, until_s))
            until_s = max(until_s, at_s + self.asked_s)
        return away_s

    @property
    def per_s(self) -> float:
        """Lines a second by the whole time."""
        return self.saved.ok / self.seconds

    @property
    def asked_per_s(self) -> float:
        """Lines a second by the time in which the server had not asked to stay away."""
        return self.saved.ok / (self.seconds - self.away_s)

    @property
    def late_share(self) -> float:
        """The refused share of the calls that came later than SETTLED_S."""
        after = len(self.times) - bisect_left(self.times, SETTLED_S)
        return (len(self.refused) - bisect_left(self.refused, SETTLED_S)) / max(after, 1)

    def is_kept(self, per_s: float) -> bool:
        """Whether it is what is promised of us; per_s: the server's limit."""
        judged_per_s = self.per_s if self.lines >= LONG_S * per_s else self.asked_per_s
        is_polite = self.late_share <= REFUSED and judged_per_s >= GOODPUT * per_s
        return is_polite and self.saved.ok == self.lines and not self.saved.exit_code

    def text(self) -> str:
        ok = self.saved.ok
        rests = f", {self.away_s:.1f} s of which it was asked to stay away: {self.asked_per_s:.1f}/s in the others"
        return (
            f"{self.who.title}: {ok:,} of {self.lines:,} ok in {self.seconds:.1f} s ({self.per_s:.1f}/s)"
            f"{rests if self.who.is_ours else ''}; {len(self.times):,} calls, "
            f"{len(self.refused):,} refused ({len(self.refused) / len(self.times):.2%}), "
            f"{self.late_share:.2%} of those after {SETTLED_S:g} s"
        )

    def row(self) -> list[str]:
        """Of a table, under HEADING."""
        ok, wrong, _ = self.saved
        refused = f"{len(self.refused):,} of {len(self.times):,} ({len(self.refused) / len(self.times):.1%})"
        counts = [f"{count:,}" for count in (self.lines, ok, wrong, self.lines - ok - wrong)]
        return [self.who.title, *counts, refused, f"{self.per_s:.1f}", f"{self.seconds:.1f}"]


class Leaky:
    """Answers as a leaky bucket does. retry_after: whether a refusal says how long."""

    def __init__(self, per_s: float, *, retry_after: bool) -> None:
        self.refused: list[float] = []
        self._per_s = per_s
        self._headers = {"Retry-After": f"{ASKED_S:g}"} if retry_after else {}
        self._level, self._at_s = 0.0, time.monotonic()
        self._lock = threading.Lock()

    def __call__(self, heard: Heard) -> Says:
        self._level = max(0.0, self._level - (heard.at_s - self._at_s) * self._per_s)
        self._at_s = heard.at_s
        if self._level > BURST:
            self.refused.append(heard.at_s)
            return Says(429, self._headers, SAYS_NO)
        self._level += 1
        return Says(after_s=LATENCY_S)


def own(who: Contender, folder: Path, options: argparse.Namespace, *, retry_after: bool) -> Figures:
    """A run against the server of this module."""
    bucket = Leaky(options.per_s, retry_after=retry_after)
    with Scripted(bucket) as server:
        lines, saved = fetch(who, folder, options, server.origins[0])
        times = [heard.at_s for heard in server.heard]
    return figures(who, lines, saved, times, bucket.refused, retry_after=retry_after)


def nginx(who: Contender, folder: Path, options: argparse.Namespace, *, retry_after: bool) -> Figures:
    """A run against nginx; its log says when what came, to the millisecond."""
    with running_nginx(folder, options, retry_after=retry_after) as origin:
        lines, saved = fetch(who, folder, options, origin)
    log = [line.split() for line in (folder / "access.log").read_text().splitlines()]
    times = sorted(float(at_s) for at_s, _ in log)
    refused = sorted(float(at_s) for at_s, status in log if status == "429")
    return figures(who, lines, saved, times, refused, retry_after=retry_after)


def figures(
    who: Contender, lines: int, saved: Saved, times: list[float], refused: list[float], *, retry_after: bool
) -> Figures:
    first_s = times[0]
    times, refused = [at_s - first_s for at_s in times], [at_s - first_s for at_s in refused]
    return Figures(who, lines, saved, times, refused, ASKED_S if retry_after else 0.0)


def fetch(who: Contender, folder: Path, options: argparse.Namespace, origin: str) -> tuple[int, Saved]:
    """Have somebody fetch as many lines as are theirs."""
    lines = options.lines if who.is_ours else options.peers
    items = write_list(folder / "items.txt", (f"{origin}/{n}" for n in range(lines)))
    return lines, who.fetch(items, folder, 300 + 3 * lines / options.per_s)


@contextmanager
def running_nginx(folder: Path, options: argparse.Namespace, *, retry_after: bool) -> Iterator[str]:
    with Scripted(lambda _: OK) as probe:
        port = int(probe.origins[0].rpartition(":")[2])  # free a moment later
    header = f"add_header Retry-After {ASKED_S:g} always;" if retry_after else ""
    (folder / "nginx.conf").write_text(f"""\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  log_format short '$msec $status'; access_log {folder}/access.log short;
  limit_req_zone $server_port zone=all:1m rate={options.per_s}r/s; limit_req_status 429;
  server {{
    listen 127.0.0.1:{port};
    error_page 429 = @refused;
    location @refused {{ internal; {header} default_type application/json; return 429 '{SAYS_NO.decode()}'; }}
    location / {{ limit_req zone=all burst={BURST} nodelay; root {folder}/www; try_files /item.json =404; }}
  }}
}}
""")
    (folder / "www").mkdir()
    (folder / "www" / "item.json").write_text('{"here": true}')
    with subprocess.Popen(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]) as process:
        try:
            deadline_s = time.monotonic() + 10
            while not (folder / "nginx.pid").exists() and time.monotonic() < deadline_s:
                time.sleep(0.01)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=20_000)
    parser.add_argument("--per-s", type=int, default=200)
    parser.add_argument("--workers", default="20,auto", help="numbers, or auto, one after the other")
    parser.add_argument("--nginx", action="store_true")
    parser.add_argument("--peers", type=int, nargs="?", const=6_000, metavar="LINES")
    options = parser.parse_args()
    if options.nginx and not shutil.which("nginx"):
        print("nginx is not installed")
        return 2
    contenders = [*map(ours, options.workers.split(",")), *(peers() if options.peers else ())]
    good, tables = True, []
    for retry_after in (False, True):
        rows = []
        for who in contenders:
            with tempfile.TemporaryDirectory() as folder:
                found = (nginx if options.nginx else own)(who, Path(folder), options, retry_after=retry_after)
            kept = found.is_kept(options.per_s) or not who.is_ours
            good &= kept
            rows.append(found.row())
            print(f"{'with' if retry_after else 'without'} Retry-After: {found.text()}{'' if kept else ' NOT KEPT'}")
            sys.stdout.flush()
        first, *others = HEADING
        tables.append(table([first.replace("without", "with") if retry_after else first, *others], rows))
    print("", *tables, sep="\n\n", end="\n\n")
    least = math.ceil(GOODPUT * options.per_s)
    whole = "" if options.lines >= LONG_S * options.per_s else " without the rests asked for"
    goal = f"all ok, at least {least}/s{whole}, refused at most {REFUSED:.0%} after {SETTLED_S:g} s"
    print(f"{'kept' if good else 'NOT KEPT'}: {goal}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
