"""What all runs of a user know of a host: files that are theirs alone, changed by one at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crawler.machine import Board, state_folder
from tests.harness import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from crawler.machine import Board
board = Board.open(Path(sys.argv[1]))
def change(state):
    state["by"] = "another"
    print("holding", flush=True)
    time.sleep(600)
board.exchange("h", change)
"""


def opened(folder: Path) -> Board:
    board = Board.open(folder)
    assert board is not None
    return board


def known(board: Board, host: str) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []
    assert board.exchange(host, lambda state: seen.append(dict(state)))
    return seen[0]


def test_what_one_writes_the_other_reads(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "hosts"), opened(tmp_path / "hosts")
    assert one.exchange("h", lambda state: state.update(a=1))
    assert (known(other, "h"), known(other, "elsewhere")) == ({"a": 1}, {})
    one.exchange("h", lambda state: state.clear())
    assert known(other, "h") == {}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "hosts").iterdir()} == {0o600}
    one.close()


def test_all_have_the_clock_of_the_first_since_boot_whoever_sets_the_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(tmp_path / "hosts"), opened(tmp_path / "hosts")
    first = one.steady_clock("a")
    assert abs(first(time.monotonic()) - time.time()) < 600
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    assert other.steady_clock("a")(100.0) == first(100.0)
    assert other.steady_clock("b")(100.0) - first(100.0) == pytest.approx(-86_400, abs=600)


def test_while_another_is_at_it_nobody_waits_and_a_kill_gives_it_free(tmp_path: Path) -> None:
    board = opened(tmp_path)
    board.exchange("h", lambda state: state.update(a=1))
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"holding\n"
        assert not board.exchange("h", lambda _: pytest.fail("it is not ours"))
        holder.kill()
        holder.wait()
    assert known(board, "h") == {"a": 1}


@pytest.mark.parametrize("text", [b"", b"nothing\n", b"[1]\n", b"\xff\n", b'{"a": 1'])
def test_what_cannot_be_read_is_nothing(tmp_path: Path, text: bytes) -> None:
    board = opened(tmp_path)
    board.exchange("h", lambda state: state.update(a=1))
    (path,) = tmp_path.iterdir()
    path.write_bytes(text)
    assert known(board, "h") == {}


def test_links_and_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    assert Board.open(tmp_path / "link") is None
    real.chmod(0o777)
    assert Board.open(real) is None
    real.chmod(0o700)
    board = opened(real)
    board.exchange("h", lambda state: state.update(a=1))
    board.close()
    (path,) = real.iterdir()
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert known(opened(real), "h") == {}


def test_where_there_is_no_place_there_is_none(tmp_path: Path) -> None:
    assert state_folder({}) is None
    assert state_folder({"HOME": "/h"}) == Path("/h/.local/state/apifetch/hosts")
    assert state_folder({"HOME": "/h", "XDG_STATE_HOME": "/s"}) == Path("/s/apifetch/hosts")
    assert state_folder({"XDG_STATE_HOME": "not/absolute"}) is None
    assert Board.open(None) is None
    (tmp_path / "file").write_bytes(b"")
    assert Board.open(tmp_path / "file") is None
