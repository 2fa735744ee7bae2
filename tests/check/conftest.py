"""An object store of one's own, for the tests that need a real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crawler.store.objects.address import fit
from tests.weed import Weed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import Crawl
    from tests.prefix import Prefix


@pytest.fixture(scope="session")
def weed(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Weed]:
    with Weed(tmp_path_factory.mktemp("weed")) as weed:
        yield weed


@pytest.fixture
def prefix(weed: Weed, tmp_path: Path, crawl: Crawl, request: pytest.FixtureRequest) -> Iterator[Prefix]:
    from tests.prefix import Prefix  # noqa: PLC0415  # needs obstore

    with pytest.MonkeyPatch.context() as patch:
        for name, value in weed.environment.items():
            patch.setenv(name, value)
        yield Prefix(weed, fit(request.node.name), tmp_path, crawl)
