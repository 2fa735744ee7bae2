"""Small files are replaced whole or not at all, and leave nothing half-written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crawler.exceptions import StoreError
from crawler.store.exports import replacing

if TYPE_CHECKING:
    from pathlib import Path


def test_what_cannot_be_put_in_place_is_taken_away_again(tmp_path: Path) -> None:
    (tmp_path / "summary.json").mkdir()
    with pytest.raises(StoreError, match=r"cannot write .*summary\.json"), replacing(tmp_path / "summary.json") as file:
        file.write("new")
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]


def test_who_fails_in_the_middle_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "summary.json") as file:
        file.write(str(1 // 0))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"summary.json": "old"}
