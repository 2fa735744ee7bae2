"""So many power cuts, over histories of both durable levels, and of `process` without the power going.

python -m tests.proofs.powercuts --cuts 100_000
python -m tests.proofs.powercuts --cuts 5_000 --durability strict --lines 40 --seed 3
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.proofs.powercuts.history import History
from tests.proofs.powercuts.trial import Outcomes, prove

LEVELS = ("batch", "strict", "process")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=10_000)
    parser.add_argument("--durability", choices=[*LEVELS, "all"], default="all")
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume-every", type=int, default=100, help="of so many distinct states, one is run on")
    parser.add_argument("--packed", action="store_true", help="bodies in packs (`pack=jsonl`)")
    given = parser.parse_args()
    levels = LEVELS if given.durability == "all" else (given.durability,)
    total = Outcomes()
    began_s = time.monotonic()
    for at, level in enumerate(levels):
        history = History(durability=level, lines=given.lines, seed=given.seed + at, packed=given.packed)
        found = prove(history, cuts=given.cuts // len(levels), seed=given.seed, resume_every=given.resume_every)
        print(
            f"{history}: {found.operations} operations, {found.cuts} cuts, {found.distinct} distinct states, "
            f"{found.resumed} run to their end, {len(found.breaches)} breaches",
            flush=True,
        )
        for breach in found.breaches:
            print(breach)
        for name in ("operations", "cuts", "distinct", "resumed", "breaches"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
    print(
        f"{total.cuts} power cuts (seed {given.seed}), {total.distinct} distinct states, {total.resumed} run to their "
        f"end, in {time.monotonic() - began_s:.0f} s: "
        + (f"{len(total.breaches)} breaches" if total.breaches else "0 acknowledged records lost, 0 torn files")
    )
    return int(bool(total.breaches))


if __name__ == "__main__":
    sys.exit(main())
