"""Connections are kept for the next call: a run opens as many as it has workers, and shakes hands as often."""

from __future__ import annotations

from subprocess import PIPE
from typing import TYPE_CHECKING, Final

import pytest

from tests.audit import audit
from tests.gate import Gate
from tests.harness import STOCK_HANDLER
from tests.hostile.certificates import Signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Crawl

CALLS: Final = 2_000
WORKERS: Final = 20


@pytest.mark.parametrize(
    "handler", [pytest.param({}, id="libcurl"), pytest.param(STOCK_HANDLER, id="stock", marks=pytest.mark.check)]
)
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


def test_a_host_that_hangs_up_is_not_called_over_each_connection_that_was_kept(crawl: Crawl) -> None:
    """libcurl sends a GET again where a kept connection has died, on the next of them: six calls for one."""
    with Gate(full=WORKERS, fillings=1) as gate:
        running = crawl("-", wait=False, stdin=PIPE, workers=WORKERS, out="out", settings={"RETRY_TIMES": 2})
        assert running.process.stdin is not None
        running.process.stdin.write("".join(f"{gate.origins[0]}/items/{n}\n" for n in range(WORKERS)).encode())
        running.process.stdin.flush()
        running.wait_for(lambda: len(running.output.rows()) == WORKERS)
        running.process.stdin.write(f"{gate.origins[0]}/broken/0\n".encode())
        running.close_stdin()
        retries = audit(running.wait(), 4)["run"]["retries"]
    assert retries >= 2
    assert gate.connections == WORKERS + retries, "each retry has one of its own"
    assert gate.requests["/broken/0"] <= 6 + retries
