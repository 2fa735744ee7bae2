"""`scrapy demo`, as `make demo` runs it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOBODY = "http://127.0.0.1:1"
"""A proxy that answers no call."""

TIMEOUT_S = 400


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout as far as the demo looks at it."""
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = crawler.settings\n")
    (tmp_path / "crawler").symlink_to(ROOT / "crawler")
    shutil.copytree(ROOT / "urls", tmp_path / "urls")
    return tmp_path


def start(cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """The demo in a folder, with little of the tests' own environment."""
    return subprocess.Popen(
        [sys.executable, "-m", "scrapy", "demo"],
        cwd=cwd, env={"PATH": os.environ["PATH"], **environment}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def demo(cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(cwd, **environment)
    stdout, stderr = process.communicate(timeout=TIMEOUT_S)
    print(stdout, stderr)  # pytest shows it when the test fails
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def test_the_demo_fetches_its_list_and_the_commands_it_shows_work(project: Path) -> None:
    """In any folder of the project, behind a proxy, over what an earlier demo left."""
    folder = project / "deep" / "er"
    (folder / "out/demo/items").mkdir(parents=True)
    (folder / "out/demo/demo.txt").touch()
    (folder / "out/demo/items/ledger.sqlite").write_text("of an earlier demo")
    result = demo(folder, http_proxy=NOBODY, HTTP_PROXY=NOBODY)
    assert result.returncode == 0
    assert "43 bodies are on disk, 6 of them at the second attempt (503 before); 3 are missing (404)" in result.stdout
    assert "Nothing to do: every line has its record" in result.stderr
    looks = result.stdout.partition("Have a look:\n\n")[2].splitlines()
    assert looks
    for line in looks:
        look = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
        assert (look.returncode, look.stderr) == (0, ""), line
        assert look.stdout, line


def test_without_the_lists_the_demo_makes_one(project: Path) -> None:
    shutil.rmtree(project / "urls")
    result = demo(project)
    assert result.returncode == 0
    assert "30 bodies are on disk, 10 of them at the second attempt (503 before); 10 are missing" in result.stdout


def test_what_comes_out_otherwise_than_it_should_is_one_sentence_and_exit_code_1(project: Path) -> None:
    # What is refused once is then left to the second run.
    (project / "mine.py").write_text("from crawler.settings import *\nRETRY_TIMES = 0\n")
    (project / "scrapy.cfg").write_text("[settings]\ndefault = mine\n")
    result = demo(project)
    assert result.returncode == 1
    assert "/flaky/1 became ('ok', 200, 1), expected ('ok', 200, 2)" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_folder_that_is_not_the_demos_is_left_alone(project: Path) -> None:
    (project / "out/demo").mkdir(parents=True)
    (project / "out/demo/thesis.txt").touch()
    result = demo(project)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "The demo did not come out as it should: out/demo is there, but not of an earlier demo: move it away"
    ]
    assert (project / "out/demo/thesis.txt").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_demo_leaves_no_process(project: Path, number: signal.Signals) -> None:
    (project / "mine.py").write_text("from crawler.settings import *\nAPIFETCH_RATE = '1/s'\n")  # so that it lasts
    (project / "scrapy.cfg").write_text("[settings]\ndefault = mine\n")
    process = start(project)
    assert process.stdout is not None
    assert process.stderr is not None
    address = re.search(r"http://127.0.0.1:(\d+)", process.stdout.readline())
    assert address
    assert "Fetching" in process.stderr.readline()
    process.send_signal(number)
    _, stderr = process.communicate(timeout=TIMEOUT_S)  # returns when nobody holds the pipes: neither crawl nor API
    assert process.returncode == 1
    assert stderr.splitlines()[-1] == "The demo was stopped"
    assert "left" in stderr.splitlines()[-3]  # the crawl's accounting: it ended in good order
    assert "Traceback" not in stderr
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", int(address[1])))
