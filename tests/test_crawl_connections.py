"""Connections are kept for the next call: a run opens as many as it has workers, and shakes hands as often."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.audit import audit
from tests.gate import Gate
from tests.hostile.certificates import Signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Crawl

CALLS: Final = 2_000
WORKERS: Final = 20

STOCK: Final = {"APIFETCH_HTTP_HANDLER": "scrapy.core.downloader.handlers.http11.HTTP11DownloadHandler"}


@pytest.mark.parametrize("handler", [{}, STOCK], ids=["libcurl", "stock"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_run_opens_no_more_connections_than_it_has_workers(
    crawl: Crawl, tmp_path: Path, handler: dict[str, str], *, tls: bool
) -> None:
    """All workers call at once at first, so that none of them could do with another's connection."""
    authority = Signed.make("authority", authority=True)
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(authority.chain)
    context = Signed.make("good", issuer=authority).context(tmp_path) if tls else None
    # full: nobody is answered before each worker has its connection
    with Gate(full=WORKERS, fillings=1, context=context) as gate:
        urls = [f"{gate.origins[0]}/items/{n}" for n in range(CALLS)]
        settings = {**handler, "APIFETCH_CA_FILE": ca_file, "RETRY_TIMES": 0}
        result = crawl(urls, workers=WORKERS, settings=settings, env={"SSL_CERT_FILE": str(ca_file)})
    audit(result, 0)
    assert gate.requests.total() == CALLS
    assert gate.peak == WORKERS
    assert gate.connections == WORKERS
