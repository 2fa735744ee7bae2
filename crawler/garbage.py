"""The garbage collector of a process that makes many small objects and few cycles. Owns when it looks."""

from __future__ import annotations

import gc


def collect_less() -> None:
    """Keep it from what lives as long as the process, and from looking too often: 5 % of the CPU of either process.

    A call makes some 100 objects and leaves no cycles but those of exceptions.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # default 700, 10, 10
