"""What the program is built from: pinned by hash, newer than holes that are known, and what libcurl is good enough."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from crawler.wire.curl.version import ABLE, MENDED, Version, is_able, warning_of

PROJECT = Path(__file__).parent.parent

FLOORS = {
    "scrapy": ("2.14.2", "GHSA-cwxj-rr6w-m6w7: a server's Referrer-Policy named a callable of Python's"),
    "twisted": ("26.4.0", "CVE-2026-42304"),
    "aiohttp": ("3.14.3", "CVE-2026-69243; Scrapy imports it"),
}
"""Package -> the version that mended a known hole. `make check` asks the index of advisories for all others."""

LOCKS = ("requirements.lock", "requirements-dev.lock")


def pins(lock: str) -> dict[str, tuple[str, int]]:
    """Package -> its version and how many hashes it has."""
    text = (PROJECT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = {}
    for line in lines:
        match = re.match(r"([A-Za-z0-9._-]+)==([0-9][^ ;]*)", line)
        assert match is not None, line
        found[match[1].lower()] = match[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", line))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_is_pinned_by_hash(lock: str) -> None:
    found = pins(lock)
    assert len(found) > 20
    assert [name for name, (_, hashes) in found.items() if not hashes] == []


@pytest.mark.parametrize("name", FLOORS)
def test_what_is_pinned_is_newer_than_the_holes_that_are_known(name: str) -> None:
    version, hole = FLOORS[name]
    pinned, _ = pins("requirements.lock")[name]
    assert numbers(pinned) >= numbers(version), hole


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"[0-9]+", version)]


@pytest.mark.parametrize(
    ("version", "able", "warned"),
    [
        ((7, 79, 1), False, True), ((7, 86, 9), False, True), (ABLE, True, True), ((8, 4, 0), True, True),
        ((8, 20, 99), True, True), (MENDED, True, False), ((8, 23, 0), True, False), ((9, 0, 0), True, False),
    ],
)  # fmt: skip
def test_an_old_libcurl_is_refused_or_warned_of(version: Version, able: bool, warned: bool) -> None:
    warning = warning_of(version)
    assert is_able(version) is able
    assert (warning is not None) is warned
    assert warning is None or ("CVE-2026-8932" in warning and ".".join(map(str, version)) in warning)
