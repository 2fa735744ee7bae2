"""System calls that fail, under the real command: a few of each kind, where strace is there to make them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from tests.proofs.torture import Rack, choose
from tests.test_power_cuts import why_not_traced

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer

pytestmark = pytest.mark.check


def test_nothing_is_lost_for_a_call_that_fails(api: ApiServer, tmp_path: Path) -> None:
    if (why := why_not_traced()) is not None:
        pytest.skip(why)
    rack = Rack(api, tmp_path)
    breaches = {point: rack.try_out(point)[1] for point in choose(rack.points(), 24, random.Random(5))}
    assert {point: wrong for point, wrong in breaches.items() if wrong} == {}
