"""What is particular to parts on other machines: what they can be told, and where their results are in the end."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.exceptions import ArgumentError
from crawler.fleet.shares import rate_of_each
from crawler.store.exports import RUN_LOG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from crawler.fleet.engine import Part
    from crawler.fleet.nodes import End
    from crawler.fleet.server import Server
    from crawler.items import Shard

_READABLE: Final = frozenset({"DEBUG", "INFO"})
_TAIL_BYTES: Final = 16 * 1024


def check_paths(arguments: Mapping[str, str], values: Mapping[str, Any], settings: Mapping[str, str]) -> None:
    """Raises ArgumentError for what would mean something else, or nothing, on another machine."""
    for name, is_needed in (("urls", True), ("out", True), ("env_file", False)):
        said = values[f"APIFETCH_{name.upper()}"]
        is_said = name in arguments or f"APIFETCH_{name.upper()}" in settings
        if (is_needed or said) and not (is_said and ("://" in said or Path(said).is_absolute())):
            raise ArgumentError(name, said, "an absolute path, since it is the servers'")
    for name in ("data", "headers", "params"):
        said = arguments.get(name, "")
        if said.startswith("@") and not Path(said[1:]).is_absolute():
            raise ArgumentError(name, said, "the absolute path of a file, since it is the servers'")
    if "%(time)s" in values["APIFETCH_OUT"]:
        raise ArgumentError("out", values["APIFETCH_OUT"], "no %(time)s, or a job would not find what another one left")
    level = settings.get("LOG_LEVEL", "INFO")
    if level not in _READABLE:
        raise ArgumentError("LOG_LEVEL", level, "INFO or DEBUG: jobs on other machines are followed by their logs")


def share_rate(part: Part, values: Mapping[str, Any], servers: Sequence[Server]) -> Part:
    """Give a part its machine's share of the rate: only runs on one machine keep to one together."""
    machines, rate = len({server.host for server in servers}), values["APIFETCH_RATE"]
    if rate is None or machines == 1 or values["APIFETCH_SHARED_RATE"] == "off":  # which every part has its share of
        return part
    settings = {name: said for name, said in part.settings.items() if name != "APIFETCH_RATE"}
    return replace(part, arguments={**part.arguments, "rate": rate_of_each(rate, machines)}, settings=settings)


def is_here(ends: Mapping[Shard, tuple[Server, End]]) -> bool:
    """Whether all parts lie on this machine: their logs end here with the very lines that the servers showed."""
    for shard, (_, end) in ends.items():
        if end.out is None:
            return False
        try:
            with (Path(end.out) / shard.file(RUN_LOG)).open("rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - _TAIL_BYTES))
                if end.line not in log.read().decode(errors="replace").splitlines():
                    return False
        except OSError:
            return False
    return True


def where(ends: Mapping[Shard, tuple[Server, End]]) -> Iterator[str]:
    """Say which part is where, and what to do with them."""
    for shard, (server, end) in sorted(ends.items(), key=lambda each: each[0].number):
        what = f"part {shard}" if shard.is_part else "the whole list"
        yield f"{what} is in {end.out} on {server.host} ({server.shown})"
    run = "run the list there once, without parts: scrapy crawl apifetch -a urls=... -a out=..."
    if all(shard.is_part for shard in ends):
        is_one = len({(server.host, end.out) for server, end in ends.values()}) == 1
        yield run if is_one else f"copy these directories together into one on a local disk, then {run}"
