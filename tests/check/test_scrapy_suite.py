"""Scrapy's own download handler tests, run against libcurl's handler."""

from __future__ import annotations

import pytest

from tests.contracts.scrapy_suite import run

pytestmark = [pytest.mark.check, pytest.mark.timeout(900)]


def test_the_handler_meets_scrapys_contract() -> None:
    assert run([]) == 0
