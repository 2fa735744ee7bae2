"""Three times the records need no more memory, in any format: a smaller run of tests/proofs/exports.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.proofs.exports import prove
from tests.stored import MEMORY


@pytest.mark.check
@pytest.mark.timeout(600)  # half a minute of CPU, in a dozen processes
def test_an_export_and_a_check_are_streams() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        assert prove([10_000, 30_000], Path(folder)) == 0  # 10,000 fill the caches and a row group
