"""Runs of every kind, ended at random moments in every way: more of them than the quick tests have time for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.proofs.kills import Trial, run_trial, trials

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer

pytestmark = pytest.mark.check


@pytest.mark.parametrize("trial", trials("all", kills=50, lines=5000, seed=11), ids=lambda trial: trial.kind)
def test_nothing_is_lost_torn_or_doubled(api: ApiServer, tmp_path: Path, trial: Trial) -> None:
    run_trial(trial, api, tmp_path)
