"""Many bombs at once take no more memory than the budget of bodies. Whatever else sends too much: tests.proofs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.proofs.hostile_memory import MIB, above_small, greedy

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.check

BUDGET_BYTES: Final = 32 * MIB
MAX_BYTES: Final = 8 * MIB


@pytest.mark.skipif(sys.platform != "linux", reason="this system does not say how much memory a process has")
def test_bombs_take_no_more_memory_than_bodies_may(tmp_path: Path) -> None:
    behaviours = greedy("bomb")
    above, _base, bound = above_small(
        tmp_path, behaviours, times=8, workers=50, budget_bytes=BUDGET_BYTES, max_bytes=MAX_BYTES
    )
    assert above[0] <= bound
