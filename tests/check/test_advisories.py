"""Known holes of what the lock file pins, as the index of packages tells them today."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.check


def test_nothing_that_is_pinned_has_a_known_hole() -> None:
    """Skipped where the index cannot be asked: then nothing is known, and CI has to tell."""
    done = subprocess.run(
        [
            sys.executable, "-m", "pip_audit", "--requirement", "requirements.lock", "--require-hashes", "--no-deps",
            "--disable-pip", "--format", "json", "--progress-spinner", "off", "--timeout", "10",
        ],
        cwd=PROJECT, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        pytest.skip(f"pip-audit cannot ask its index: {done.stderr.strip().splitlines()[-1:]}")
    holes = {package["name"]: [hole["id"] for hole in package["vulns"]] for package in packages if package.get("vulns")}
    assert holes == {}
    asked = [package for package in packages if "skip_reason" not in package]
    if len(asked) < len(packages):
        pytest.skip(f"the index here tells of {len(asked)} of {len(packages)} packages, none with a known hole")
