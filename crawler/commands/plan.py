"""`scrapy plan FILE`: what a crawl of this list will take, before a call is spent.

Owns what is said to a person or a program. What a list asks for and how long that takes is decided in crawler.forecast.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scrapy.commands import ScrapyCommand
from scrapy.exceptions import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from crawler.forecast import Counted
    from crawler.forecast.probe import Probed

WORKERS: Final = (1, 20, 100)
TOP: Final = 10  # hosts that are shown


class Command(ScrapyCommand):
    requires_project = True
    requires_crawler_process = False

    def syntax(self) -> str:
        return "FILE [-a NAME=VALUE]... [--probe N] [--json]"

    def short_desc(self) -> str:
        return "Say what a list asks for, how long it will take and how much room, before a call is spent"

    def long_desc(self) -> str:
        return (
            "Read a list to its end and count it: lines, hosts, duplicates, bad lines, and what of it the ledger has "
            "already. With --probe, make some of its calls for real, and say how long all of them will take. FILE and "
            "-a are those of `scrapy crawl apifetch`."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        super().add_options(parser)
        parser.add_argument(
            "-a", dest="spargs", action="append", default=[], metavar="NAME=VALUE", help="as in `scrapy crawl`"
        )
        parser.add_argument("--probe", type=int, default=0, metavar="N", help="make N calls of the list for real")
        parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")
        parser.add_argument("--spider", default="apifetch", metavar="NAME", help="(default: apifetch)")

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from crawler.exceptions import ApiFetchError  # noqa: PLC0415  # every `scrapy` call loads this module

        arguments = dict(said.partition("=")[::2] for said in opts.spargs)
        if len(args) > 1 or not (args or "urls" in arguments) or opts.probe < 0:
            raise UsageError("say which list: scrapy plan urls/items.txt --probe 20", print_help=False)
        if args:
            arguments["urls"] = args[0]
        try:
            plan = self._plan(arguments, opts)
        except ApiFetchError as exc:
            sys.stderr.write(f"scrapy plan: {exc}\n")
            self.exitcode = 2
            return
        print(json.dumps(plan, indent=2, ensure_ascii=False) if opts.json else "\n".join(_told(plan)))

    def _plan(self, arguments: dict[str, str], opts: argparse.Namespace) -> dict[str, Any]:
        """Everything that is known, as --json has it. Raises ApiFetchError."""
        from scrapy.spiderloader import get_spider_loader  # noqa: PLC0415

        from crawler.forecast.probe import probe  # noqa: PLC0415
        from crawler.plan import output_directory  # noqa: PLC0415

        assert self.settings is not None
        loader = get_spider_loader(self.settings)
        if opts.spider not in loader.list():
            raise UsageError(
                f"no spider is called {opts.spider!r}; there is {', '.join(loader.list())}", print_help=False
            )
        spider: Any = loader.load(opts.spider)
        values = spider.read_arguments(self.settings, arguments)
        out = output_directory(values["APIFETCH_URLS"], values["APIFETCH_OUT"], values["APIFETCH_LOCAL"])
        counted = _counted(values, out, opts.probe)
        said = dict(text.partition("=")[::2] for text in opts.set)
        said_workers = values["CONCURRENT_REQUESTS"]
        workers = said_workers if isinstance(said_workers, int) else max(WORKERS)  # auto: what is right is found
        probed = None
        if counted.sample:
            probed = probe(counted.sample, arguments, said, spider=opts.spider, workers=workers)
        return _facts(values, out, counted, probed, workers)


def _counted(settings: Mapping[str, Any], out: Path, sample: int) -> Counted:
    from crawler.amounts import counted as amount  # noqa: PLC0415
    from crawler.exceptions import ListError  # noqa: PLC0415
    from crawler.forecast import count  # noqa: PLC0415
    from crawler.items import WHOLE  # noqa: PLC0415
    from crawler.plan import absolute, shape_of  # noqa: PLC0415
    from crawler.sources import download, is_remote, is_shared, members, open_list  # noqa: PLC0415
    from crawler.store.reading import standing  # noqa: PLC0415
    from crawler.telling import Telling  # noqa: PLC0415

    urls = settings["APIFETCH_URLS"]
    with ExitStack() as opened:
        if is_shared(urls):
            raise ListError(f"{absolute(urls)}: is shared: plan the FILE, and ask scrapy enqueue how far the list is")
        if is_remote(urls):
            from tempfile import TemporaryDirectory  # noqa: PLC0415

            folder = Path(opened.enter_context(TemporaryDirectory(prefix="apifetch-plan-")))
            urls = download(urls, folder, ca_file=settings["APIFETCH_CA_FILE"])
        source = open_list(urls, members(urls), shape_of(settings), limit=settings["APIFETCH_LIMIT"])
        opened.callback(source.close)
        telling = opened.enter_context(Telling(sys.stderr))
        try:
            return count(
                source,
                verdict=opened.enter_context(standing(out, settings["APIFETCH_REDO"])),
                hosts=settings["APIFETCH_HOSTS"],
                repeats=settings["APIFETCH_DUPLICATES"] == "fetch",
                sample=sample,
                shard=settings["APIFETCH_SHARD"] or WHOLE,
                tell=lambda counted: telling.say(lambda: f"{amount(counted.lines + counted.elsewhere, 'line')} read"),
            )
        except OSError as exc:
            raise ListError(f"{urls}: {exc}") from exc


def _facts(
    settings: Mapping[str, Any], out: Path, counted: Counted, probed: Probed | None, workers: int
) -> dict[str, Any]:
    from crawler.forecast.counting import shown  # noqa: PLC0415
    from crawler.secrets import mask_url  # noqa: PLC0415

    hosts = dict(counted.hosts.most_common(TOP))
    facts: dict[str, Any] = {
        "urls": mask_url(settings["APIFETCH_URLS"]), "out": str(out), "lines": counted.lines,
        "elsewhere": counted.elsewhere,
        "calls": counted.to_make, "new": counted.new, "again": counted.again, "stands": counted.stands,
        "duplicates": counted.duplicates, "duplicates_are_exact": not counted.about, "invalid": counted.invalid,
        "forbidden_host": counted.forbidden, "bad_lines": [shown(bad) for bad in counted.bad], "hosts": hosts,
        "more_hosts": len(counted.hosts) - len(hosts), "probe": None, "expected": None, "room": _free(out),
    }  # fmt: skip
    if probed is not None:
        facts["probe"] = {"calls": probed.calls, "outcomes": dict(probed.said)}
        facts["announced"] = {header: str(quota) for header, quota in probed.quotas.items()}
    if probed is not None and probed.measured is not None:
        _expect(facts, settings, counted, probed, sorted({*WORKERS, workers}))
    return facts


def _expect(
    facts: dict[str, Any], settings: Mapping[str, Any], counted: Counted, probed: Probed, workers: Sequence[int]
) -> None:
    """Add what the probe measured, and what follows from it."""
    from crawler.forecast import needs, seconds_at  # noqa: PLC0415

    measured = probed.measured
    assert measured is not None
    facts["probe"] |= {
        "p50_ms": round(measured.percentile_s(50) * 1000), "p95_ms": round(measured.percentile_s(95) * 1000),
        "attempts_per_call": round(measured.attempts, 2), "body_bytes": round(measured.body_bytes),
    }  # fmt: skip
    rate = settings["APIFETCH_RATE"]
    quotas = [*(rate.quotas if rate else ()), *probed.quotas.values()]
    facts["expected"] = []
    for number in workers:
        seconds, limit = seconds_at(number, counted.to_make, measured, quotas)
        facts["expected"].append({"workers": number, "seconds": round(seconds, 1), "limited_by": limit})
    need = needs(counted.to_make, measured, folders=256 ** settings["APIFETCH_FOLDER_LEVELS"])
    facts["room"] |= {"bytes": need.bytes, "inodes": need.inodes}


def _free(out: Path) -> dict[str, int | None]:
    """Of the file system that the output will be on. inodes: None where they are not counted (btrfs)."""
    there = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
    disk = os.statvfs(there)
    return {"free_bytes": disk.f_bavail * disk.f_frsize, "free_inodes": disk.f_favail if disk.f_files else None}


def _told(facts: Mapping[str, Any]) -> Iterator[str]:
    """The same for a person."""
    from crawler.amounts import about, counted, milliseconds, number, size  # noqa: PLC0415

    nearly = "" if facts["duplicates_are_exact"] else "about "
    elsewhere = f", and {counted(facts['elsewhere'], 'line')} of other parts" if facts["elsewhere"] else ""
    yield f"{facts['urls']}: {counted(facts['lines'], 'line')}{elsewhere}"
    yield f"  {counted(facts['calls'], 'call')} to make: {number(facts['new'])} new, {number(facts['again'])} again"
    yield f"  {number(facts['stands'])} of the ledger in {facts['out']} stand"
    yield f"  {nearly}{counted(facts['duplicates'], 'duplicate')}, {counted(facts['invalid'], 'bad line')}"
    if facts["forbidden_host"]:
        yield f"  {counted(facts['forbidden_host'], 'line')} for hosts that `hosts` does not name"
    yield from (f"    {bad}" for bad in facts["bad_lines"])
    for host, lines in facts["hosts"].items():
        yield f"  {host}: {counted(lines, 'line')}"
    if facts["more_hosts"]:
        yield f"  and {counted(facts['more_hosts'], 'more host')}"
    probe, room = facts["probe"], facts["room"]
    if probe is None:
        hint = "--probe 20 makes some calls, and tells how long all will take" if facts["calls"] else "Nothing to do"
        yield hint
        return
    said = ", ".join(f"{number(count)} {outcome}" for outcome, count in probe["outcomes"].items())
    yield f"Probe of {counted(probe['calls'], 'call')}: {said}"
    if facts["expected"] is None:
        yield "  no answer, so nothing can be said about the time"
        return
    latency = f"p50 {milliseconds(probe['p50_ms'])}, p95 {milliseconds(probe['p95_ms'])}"
    yield f"  latency {latency}; bodies of {size(probe['body_bytes'])}"
    for header, quota in facts["announced"].items():
        yield f"  announced by {header}: {quota}"
    yield "Expected, if the API is as fast with more calls at once:"
    for row in facts["expected"]:
        yield f"  {row['workers']:>4} workers: about {about(row['seconds'])}, limited by {row['limited_by']}"
    inodes = "any number" if room["free_inodes"] is None else number(room["free_inodes"])
    yield (
        f"Room: {size(room['bytes'])} of {size(room['free_bytes'])} free, "
        f"{number(room['inodes'])} files and folders of {inodes} free"
    )
    if room["bytes"] > room["free_bytes"] or (room["free_inodes"] or room["inodes"]) < room["inodes"]:
        yield "That is not enough: choose another -a out=..., or APIFETCH_FOLDER_LEVELS, or save=raw"
