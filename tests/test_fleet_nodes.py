"""What is decided about parts on servers, as tables; with real ones in check/test_scrapyd_fleet.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crawler.exceptions import ArgumentError
from crawler.fleet.elsewhere import check_paths, is_here, where
from crawler.fleet.nodes import GONE, End, Node, choose, end_of
from crawler.fleet.server import Server
from crawler.items import Shard

if TYPE_CHECKING:
    from pathlib import Path


def test_a_part_has_a_home_and_goes_to_the_idlest_when_that_is_gone() -> None:
    nodes = [Node(), Node(shards={Shard(2, 4)}), Node()]
    assert [choose(nodes, Shard(number, 4)) for number in (1, 2, 3, 4)] == [0, 1, 2, 0]
    nodes[0].misses = GONE
    assert choose(nodes, Shard(1, 4)) == 2
    nodes[0].misses = GONE - 1
    assert choose(nodes, Shard(1, 4)) == 0
    for node in nodes:
        node.misses = GONE
    assert choose(nodes, Shard(1, 4)) is None


LOG = """\
2026-11-25 09:11:30 [apifetch] INFO: 8 lines = 4 ok + 0 failed + 0 invalid + 0 duplicate + 0 left + 4 elsewhere
2026-11-25 09:11:30 [apifetch] INFO: Exit code 75: stopped before the end; go on (shutdown). Results: /data/out
2026-11-25 09:11:31 [scrapy.core.engine] INFO: Spider closed (shutdown)
"""


@pytest.mark.parametrize(
    ("log", "end"),
    [
        ("", None),
        ("2026-11-25 09:11:30 [apifetch] INFO: Fetching http://a/Exit into /data/out\n", None),
        (LOG, End(LOG.splitlines()[1], 75, "shutdown", "/data/out")),
        (f"{LOG}\nExit code 0: done. Results: /a b", End("Exit code 0: done. Results: /a b", 0, None, "/a b")),
        ("Exit code 69: nothing was requested\n", End("Exit code 69: nothing was requested", 69, None, None)),
    ],
)  # fmt: skip
def test_the_end_that_a_log_tells_of(log: str, end: End | None) -> None:
    assert end_of(log) == end


@pytest.mark.parametrize("url", ["a:6800", "ftp://a", "http://", "http://a:port", "http://a/?x=1"])
def test_what_is_no_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ArgumentError, match="the address of a scrapyd"):
        Server(url, environ={})
    with pytest.raises(ArgumentError) as caught:
        Server("http://user:secret-word@a:port", environ={})
    assert "secret-word" not in str(caught.value)


def test_a_server_is_shown_without_its_credentials() -> None:
    assert Server("https://user:secret@[::1]:6800/prefix/", environ={}).shown == "https://[::1]:6800/prefix"


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ({"urls": "list.txt", "out": "/out"}, "urls"),
        ({"urls": "/list.txt"}, "out"),
        ({"urls": "https://a/list.txt", "out": "out"}, "out"),
        ({"urls": "/list.txt", "out": "/out/%(time)s"}, "out"),
        ({"urls": "/list.txt", "out": "/out", "data": "@body.json"}, "data"),
        ({"urls": "/list.txt", "out": "/out", "env_file": "env"}, "env_file"),
    ],
)
def test_what_other_machines_cannot_find_is_refused(said: dict[str, str], name: str) -> None:
    values: dict[str, Any] = {"APIFETCH_OUT": "out/%(name)s", "APIFETCH_ENV_FILE": None}
    values |= {f"APIFETCH_{key.upper()}": value for key, value in said.items()}
    with pytest.raises(ArgumentError, match=f"^{name}="):
        check_paths(said, values, {})


def test_results_are_here_when_the_very_line_that_was_served_ends_the_log_here(tmp_path: Path) -> None:
    end = End("12:00:00 Exit code 0: done", 0, None, str(tmp_path))
    ends = {Shard(1, 2): (Server("http://a", environ={}), end)}
    assert not is_here(ends)
    log = tmp_path / "run-1-of-2.log"
    log.write_text("12:00:01 Exit code 0: done\n")
    assert not is_here(ends)
    log.write_text("11:59:59 begun\n12:00:00 Exit code 0: done\n")
    assert is_here(ends)
    assert next(where(ends)) == f"part 1/2 is in {tmp_path} on a (http://a)"
