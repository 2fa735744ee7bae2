"""Fixtures of every test: the demo API, the crawl command, and an environment that says nothing."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.harness import ApiServer, Crawl, strict_environment
from tests.mounts import mount_fixture  # noqa: F401  # the fixture `mount`
from tests.nursery import AVAILABLE, Nursery
from tests.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

settings.register_profile(
    "any machine", parent=settings.get_profile("default"), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")  # which others use as well, or which stalls for a second

SPEAKING = ("SCRAPY_", "APIFETCH_", "AWS_", "PYTHONWARNINGS", "JOB_COMPLETION_INDEX")
"""Variables, or how they begin, that would change what a crawl does."""

PATIENT = {"APIFETCH_RETRY_BASE_S": 0.02, "APIFETCH_RETRY_CAP_S": 0.1, "DOWNLOAD_TIMEOUT": 600}
"""Settings of every crawl: retries rest, but nobody has to wait for them; no call ends because the machine stalls."""

CA_FILES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


@pytest.fixture(scope="session", autouse=True)
def hermetic() -> Iterator[None]:
    """No test sees the machine's proxies, certificates, credentials or settings, nor that Ctrl-C is ignored here."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what a shell runs in the background; it is inherited
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name.startswith(SPEAKING) or name in CA_FILES:
                patch.delenv(name)
        yield


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server with an append-only file; a test that uses it says `needs_redis`."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        yield server


@pytest.fixture(scope="session")
def api_process(hermetic: None) -> Iterator[ApiServer]:
    """One process for each worker of pytest-xdist."""
    with ApiServer() as server:
        yield server


@pytest.fixture
def api(api_process: ApiServer) -> ApiServer:
    """The demo API, which has seen nothing yet."""
    api_process.reset()
    return api_process


@pytest.fixture(scope="session")
def nursery(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery | None]:
    """One for each worker of pytest-xdist."""
    if not AVAILABLE:
        yield None
        return
    started = Nursery(strict_environment(tmp_path_factory.mktemp("nursery")))
    yield started
    started.close()


@pytest.fixture
def crawl(tmp_path: Path, nursery: Nursery | None) -> Iterator[Crawl]:
    """The crawl command in tmp_path."""
    crawl = Crawl(tmp_path, settings=PATIENT, nursery=nursery)
    yield crawl
    crawl.close()
