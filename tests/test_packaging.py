"""What leaves the checkout: the egg, the locks, and what `make` says to a machine that is not ready."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

import crawler

PROJECT = Path(__file__).parent.parent
RANGES = {
    "requirements.txt": "requirements.lock",
    "requirements-extra.txt": "requirements-dev.lock",
    "requirements-dev.txt": "requirements-dev.lock",
}


@pytest.fixture(scope="module")
def egg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The egg as scrapyd-deploy builds it, from a copy: building litters the tree."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("crawler", "tests"):
        shutil.copytree(PROJECT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "requirements.txt", "scrapy.cfg", "LICENSE"):
        shutil.copy(PROJECT / name, tree)
    subprocess.run(
        [sys.executable, "setup.py", "--quiet", "bdist_egg", "--dist-dir", "dist"],
        cwd=tree, check=True, capture_output=True,
    )  # fmt: skip
    (egg,) = (tree / "dist").iterdir()
    return egg


def test_the_egg_holds_every_file_of_the_package_and_no_other(egg: Path) -> None:
    """Data files too: a page template left out would only be missed on the server."""
    tree = egg.parent.parent
    expected = {str(path.relative_to(tree)) for path in (tree / "crawler").rglob("*") if path.is_file()}
    shipped = {name for name in ZipFile(egg).namelist() if not name.endswith((".pyc", "/"))}
    assert {name for name in shipped if not name.startswith("EGG-INFO/")} == expected


def test_the_egg_says_its_version_its_needs_and_its_settings(egg: Path) -> None:
    about = ZipFile(egg).read("EGG-INFO/PKG-INFO").decode()
    assert f"\nVersion: {crawler.__version__}\n" in about
    assert about.count("\nRequires-Dist: ") == len(ranges("requirements.txt"))
    assert "settings = crawler.settings" in ZipFile(egg).read("EGG-INFO/entry_points.txt").decode()


# What deploy/ has


def test_the_image_is_made_of_files_that_are_there_and_runs_as_nobody_special() -> None:
    steps = (PROJECT / "deploy" / "Dockerfile").read_text().splitlines()
    copied = [line.split()[1] for line in steps if line.startswith("COPY ")]
    assert copied
    assert [name for name in copied if not (PROJECT / name).exists()] == []
    let_in = (PROJECT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in copied} == {line for line in let_in if line.startswith("!")}
    assert [line for line in steps if line.startswith("USER ")] == ["USER 10001"]


@pytest.mark.parametrize("extra", [[], ["obstore", "redis", "pyarrow", "warcio"]])
def test_the_image_takes_extras_at_the_versions_that_are_tested(extra: list[str], tmp_path: Path) -> None:
    """The step is run where there is a newer one of each, too."""
    steps = (PROJECT / "deploy" / "Dockerfile").read_text().splitlines()
    (step,) = [line.removeprefix("RUN ") for line in steps if line.startswith("RUN ") and "$EXTRA" in line]
    versions = {name: locked("requirements-dev.lock")[name] for name in extra}
    for name, tested in versions.items():
        for version in (*tested, "99"):
            make_wheel(tmp_path, name, version)
    pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_TARGET": str(tmp_path / "installed")}
    path = f"{Path(sys.executable).parent}:{os.defpath}"
    subprocess.run(["sh", "-c", step], cwd=PROJECT, check=True, env={"PATH": path, "EXTRA": " ".join(extra), **pip})
    installed = [path.name.removesuffix(".dist-info") for path in (tmp_path / "installed").glob("*.dist-info")]
    assert sorted(installed) == sorted(f"{name}-{version}" for name in extra for version in versions[name])


def make_wheel(folder: Path, name: str, version: str) -> None:
    """A wheel of nothing but its name."""
    about = f"{name}-{version}.dist-info"
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_the_job_of_kubernetes_has_as_many_pods_as_the_list_has_parts() -> None:
    manifest = (PROJECT / "deploy" / "kubernetes-job.yaml").read_text()
    (completions,) = re.findall(r"completions: (\d+)", manifest)
    assert re.findall(r"shard=auto/(\d+)", manifest) == [completions]


# The lists of requirements


def ranges(name: str) -> list[Requirement]:
    """The requirements of a .txt file, those of the files that it includes left out."""
    lines = (PROJECT / name).read_text().splitlines()
    return [Requirement(line.split("  #")[0]) for line in lines if line and line[0] not in "#-"]


def locked(name: str) -> dict[str, set[str]]:
    """The versions of each package that a .lock file holds: several, where markers choose."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==([^\s;]+)", (PROJECT / name).read_text(), re.MULTILINE):
        versions.setdefault(package, set()).add(version)
    return versions


@pytest.mark.parametrize("name", RANGES)
def test_every_requirement_has_a_range_and_a_reason(name: str) -> None:
    lines = (PROJECT / name).read_text().splitlines()
    bare = [line for line in lines if line and line[0] not in "#-" and "  # " not in line]
    assert bare == []
    assert [str(requirement) for requirement in ranges(name) if not requirement.specifier] == []


@pytest.mark.parametrize(("name", "lock"), RANGES.items())
def test_the_lock_was_made_from_the_ranges(name: str, lock: str) -> None:
    versions = locked(lock)
    stale = [
        str(requirement)
        for requirement in ranges(name)
        if not any(requirement.specifier.contains(v) for v in versions.get(requirement.name.lower(), ()))
    ]
    assert stale == []


def test_tests_run_on_the_versions_that_users_get() -> None:
    dev = locked("requirements-dev.lock")
    assert {name: dev.get(name) for name in locked("requirements.lock")} == locked("requirements.lock")


@pytest.mark.parametrize("lock", RANGES.values())
def test_a_lock_has_hashes_and_names_no_index(lock: str) -> None:
    text = (PROJECT / lock).read_text()
    assert "--hash=sha256:" in text
    assert re.findall(r"^\s*--(?!hash=sha256:).*|.*https?://.*|.*file:.*", text, re.MULTILINE) == []


# What make says


@pytest.mark.parametrize(("version", "found"), [("3.9.2", "{python} is Python 3.9.2"), (None, "there is no {python}")])
def test_make_names_a_python_that_will_not_do(version: str | None, found: str, tmp_path: Path) -> None:
    """One sentence: what is wanted, what was found, how to name another. Nothing is installed."""
    shutil.copy(PROJECT / "Makefile", tmp_path)
    (tmp_path / "requirements-dev.lock").touch()
    python = tmp_path / "somepython"
    if version:  # answers the Makefile's two questions: which version, and (by exit code) is it enough
        python.write_text(f"#!/bin/sh\ncase $2 in *print*) echo {version};; *) exit 1;; esac\n")
        python.chmod(0o755)
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of the `make test` that this test may run under
    run = subprocess.run(
        ["make", f"PYTHON={python}", "test"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in outer},
        capture_output=True,
        text=True,
        check=False,
    )
    expected = f"apifetch needs Python 3.11 or newer, but {found.format(python=python)}; name another: make"
    assert (run.returncode, run.stderr.splitlines()[0]) == (2, f"{expected} PYTHON=python3.12 test")
    assert not (tmp_path / ".venv").exists()
