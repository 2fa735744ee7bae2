"""The hostile server again: all of it over TLS, and with Scrapy's own handler, whose differences are declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.audit import audit
from tests.harness import STOCK_HANDLER, Crawl
from tests.hostile.stock import ENDLESS, RACES, STOCK, can_try
from tests.hostile.table import BEHAVIOURS
from tests.hostile.trial import HostileProcess, Trial, marked, try_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.behaviour import Behaviour

pytestmark = [pytest.mark.check, pytest.mark.xdist_group("hostile")]

TRIED: Final = [behaviour for behaviour in BEHAVIOURS if can_try(behaviour)]


@pytest.fixture(scope="module")
def over_tls(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    crawl = Crawl(tmp_path_factory.mktemp("tls"))
    with HostileProcess("--tls") as server:
        yield try_out(crawl, server, BEHAVIOURS)
    crawl.close()


@pytest.fixture(scope="module")
def with_stock_handler(hermetic: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trial]:
    crawl = Crawl(tmp_path_factory.mktemp("stock"))
    with HostileProcess() as server:
        # Twisted trusts whom OpenSSL trusts.
        yield try_out(crawl, server, TRIED, STOCK_HANDLER, env={"SSL_CERT_FILE": server.ca_file})
    crawl.close()


@pytest.mark.parametrize("behaviour", marked(BEHAVIOURS))
def test_tls_changes_no_outcome(over_tls: Trial, behaviour: Behaviour) -> None:
    over_tls.check(behaviour)


def test_the_run_over_tls_ends_as_any_other_with_failures_does(over_tls: Trial) -> None:
    audit(over_tls.result, 4)


@pytest.mark.parametrize("behaviour", marked(TRIED))
def test_scrapys_own_handler_differs_where_it_is_declared_to(with_stock_handler: Trial, behaviour: Behaviour) -> None:
    with_stock_handler.check_stock(behaviour)


def test_the_run_with_scrapys_own_handler_loses_nothing(with_stock_handler: Trial) -> None:
    audit(with_stock_handler.result, 4)


def test_every_declared_difference_is_one_of_a_behaviour() -> None:
    outcomes = {behaviour.name: behaviour.outcome for behaviour in BEHAVIOURS}
    assert {*STOCK, *ENDLESS, *RACES} <= outcomes.keys()
