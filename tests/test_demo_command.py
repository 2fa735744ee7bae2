"""`scrapy demo`, as `make demo` runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def demo(cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SCRAPY_SETTINGS_MODULE": "crawler.settings"}
    command = [sys.executable, "-m", "scrapy", "demo"]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=90)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout as far as the demo looks at it."""
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = crawler.settings\n")
    shutil.copytree(ROOT / "urls", tmp_path / "urls")
    return tmp_path


def test_the_demo_fetches_its_list_and_shows_where_to_look_twice_over(project: Path) -> None:
    for _ in range(2):
        result = demo(project)
        assert result.returncode == 0, result.stderr
        assert "As it should be: 43 bodies are on disk" in result.stdout
        assert "Nothing to do" in result.stderr
    assert len(list((project / "out/demo/items/responses").rglob("*.json"))) == 43
    summary = json.loads((project / "out/demo/items/summary.json").read_text())
    assert summary["equation"]["failed"] == 3


def test_without_the_lists_the_demo_makes_one(tmp_path: Path) -> None:
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = crawler.settings\n")
    result = demo(tmp_path)
    assert result.returncode == 0, result.stderr
    assert "As it should be: 30 bodies are on disk, 10 are not there" in result.stdout
