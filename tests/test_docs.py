"""README.md and docs/: every fenced block is run or checked, and everything that has a name is named.

A page's blocks share a folder, in order, with the lists of urls/. What a language means:
`sh` is run; a command may end with the exit code of failed lines, any other code is said: `# exit code 2`.
`text` stands in what the block before it printed. `python` is run; with `# name.py` in its first line it becomes that
file instead, and a block of classes becomes a module that a crawl at the end of the page uses. `sql` gives rows of
the ledger, `json` has the keys of a real document and the name of its URL, lists hold no bad line.
A block after `<!-- not run: reason -->` is left out; NOT_RUN lists them.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq
import pytest

from crawler import settings
from crawler.accounting import ExitCode
from crawler.arguments import ARGUMENTS, SETTINGS
from crawler.items import BadLine, Outcome
from crawler.sources import open_source
from tests.harness import ROOT, Crawl, Output, write_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.harness import ApiServer

PAGES: Final = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKING: Final = [*PAGES, ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
OUTPUT: Final = ROOT / "docs" / "output.md"
GENERATED: Final = ROOT / "docs" / "arguments.md"
WRITTEN_FOR: Final = "127.0.0.1:8765"
FAILED_LINES: Final = {ExitCode.NO_ANSWER, ExitCode.NOT_OK, ExitCode.INVALID}
"""Codes with which a command of the documentation may end without a word: the lists have lines that fail."""

NOT_RUN: Final = [
    ("README.md", "makes environments"),  # .ci/run does
    ("README.md", "needs a scrapyd"),  # these are done by tests/check/test_scrapyd.py
    ("deploying.md", "needs Docker"),  # which is not where the tests are
    ("deploying.md", "needs Docker"),
    ("index.md", "runs until it is stopped; the tests have one of their own"),
    ("lists.md", "needs an object store"),  # tests/check/test_object_lists.py has one
    ("object-stores.md", "needs an object store"),  # tests/check/test_objects.py has one
    ("object-stores.md", "needs an object store"),
    ("object-stores.md", "needs an object store"),
    ("object-stores.md", "needs an object store"),
    ("object-stores.md", "needs an object store"),
    ("progress.md", "a picture, compared by a test of its own"),  # tests/test_progress_bar.py
    ("python.md", "needs an installation"),  # tests/test_library.py calls what it would call
    ("scrapyd.md", "needs a scrapyd"),
    ("scrapyd.md", "needs a scrapyd"),
    ("scrapyd.md", "needs a scrapyd"),
    ("scrapyd.md", "needs two scrapyds"),
    ("shared-list.md", "needs a Redis server"),  # done by tests/check/test_crawl_shared.py
    ("shared-list.md", "needs a Redis server"),  # and by tests/check/test_crawl_shared_redis.py
    ("tutorial.md", "runs until it is stopped; the tests have one of their own"),
]
"""The only blocks that are left out: page and reason, in order."""

PROGRAMS: Final = ("jq", "sqlite3")

_FENCE: Final = re.compile(r"(?:^<!-- not run: (.+) -->\n)?^```(\w*)\n((?:.*\n)*?)```$", re.MULTILINE)
_COMPONENT: Final = re.compile(r'"(\w+)\.(\w+)": (\d+)')  # in the docstring of a class: where it goes

TRAP: Final = "trap 'echo $? >> .codes' ERR\n"


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. not_run: why not, None when it is run. line: of the page, from 1."""

    language: str
    text: str
    not_run: str | None
    line: int


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text("utf-8")
    found = []
    for match in _FENCE.finditer(text):
        not_run, language, body = match.groups()
        found.append(Block(language, body, not_run, text.count("\n", 0, match.start(3))))
    return found


def _parquet_here(path: Path, netloc: str) -> bytes:
    table = pq.read_table(path)
    at = table.schema.get_field_index("url")
    urls = [url.replace(WRITTEN_FOR, netloc) for url in table["url"].to_pylist()]
    out = io.BytesIO()
    pq.write_table(table.set_column(at, "url", [urls]), out)
    return out.getvalue()


class Reader:
    """Somebody who reads a page and does what it says, in a folder of their own."""

    def __init__(self, crawl: Crawl, api: ApiServer) -> None:
        self.crawl, self.api, self.folder = crawl, api, crawl.cwd
        self.printed: str | None = ""  # by the last block; None when that was not run
        self.missing: set[str] = set()
        self.classes: list[str] = []
        self.environment = crawl._environment(self.folder, "crawler.settings")
        programs = self.folder / ".programs"
        programs.mkdir()
        for name, command in (("scrapy", "-m scrapy"), ("python", "")):
            path = programs / name
            path.write_text(f'#!/bin/sh\nexec {sys.executable} {command} "$@"\n')
            path.chmod(0o755)
        self.environment["PATH"] = f"{programs}:{self.environment['PATH']}"
        (self.folder / "urls").mkdir()
        for path in (ROOT / "urls").iterdir():
            (self.folder / "urls" / path.name).write_bytes(self._here(path))

    def _here(self, path: Path) -> bytes:
        """A list that calls the API of the tests."""
        if path.suffix == ".parquet":
            return _parquet_here(path, self.api.netloc)
        packed = path.suffix == ".gz"
        data = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
        data = data.replace(WRITTEN_FOR.encode(), self.api.netloc.encode())
        return gzip.compress(data) if packed else data

    def do(self, block: Block) -> None:
        if block.language == "json":
            _check_name(json.loads(block.text))
        text = block.text.replace(WRITTEN_FOR, self.api.netloc)
        doing: dict[str, Callable[[str], None]] = {
            "sh": self.shell, "text": self.text, "python": self.python, "sql": self.sql, "json": self.json,
        }  # fmt: skip
        if block.language in doing:
            doing[block.language](text)
        else:
            assert block.language in {"txt", "csv", "tsv", "jsonl", "curl"}, f"nobody checks {block.language!r}"
            self.lines(text, block.language)

    def shell(self, text: str) -> None:
        missing = [name for name in PROGRAMS if re.search(rf"^{name} ", text, re.MULTILINE) and not shutil.which(name)]
        if missing:
            self.missing.update(missing)
            self.printed = None
            return
        said = set(map(int, re.findall(r"# exit code (\d+)", text)))
        codes = self.folder / ".codes"
        codes.write_text("")
        done = self._run(["bash", "-c", TRAP + text])
        failed = set(map(int, codes.read_text().split()))
        assert failed <= FAILED_LINES | said, self.printed
        assert failed >= said - {0}, self.printed
        assert done.returncode in {0, *failed}

    def python(self, text: str) -> None:
        tree = ast.parse(text)
        if name := re.match(r"# (\w+\.py)\n", text):
            (self.folder / name[1]).write_text(text)
        elif any(isinstance(node, ast.ClassDef) for node in tree.body):
            self.classes.append(text)
        else:
            assert self._run([sys.executable, "-c", text]).returncode == 0, self.printed

    def text(self, text: str) -> None:
        if self.printed is not None:
            for line in text.splitlines():
                assert line in self.printed

    def sql(self, text: str) -> None:
        assert [output for output in self._outputs() if output.rows(text)]

    def json(self, text: str) -> None:
        keys = _keys(json.loads(text))
        assert keys in [_keys(document) for document in self._documents()], keys

    def lines(self, text: str, kind: str) -> None:
        path = self.folder / f"example.{kind}"
        path.write_text(text)
        source = open_source(str(path))
        lines = source.next_batch(1000)
        source.close()
        assert lines
        assert [line for line in lines if isinstance(line, BadLine)] == []

    def use_classes(self) -> None:
        """Crawl with the spiders, pipelines and middlewares of the page."""
        if not self.classes:
            return
        spiders, parts = ["crawler.spiders"], {"ITEM_PIPELINES": "", "DOWNLOADER_MIDDLEWARES": ""}
        spider = "apifetch"
        for number, text in enumerate(self.classes):
            module = f"classes_{number}"
            if component := _COMPONENT.search(text):
                module, name, order = component.groups()
                kind = "ITEM_PIPELINES" if "process_item" in text else "DOWNLOADER_MIDDLEWARES"
                assert f"{kind} = " in text
                parts[kind] += f'"{module}.{name}": {order}, '
            elif name_line := re.search(r'^    name = "(\w+)"$', text, re.MULTILINE):
                spider = name_line[1]
                spiders.append(module)
            else:
                raise AssertionError(f"nobody can tell where it goes:\n{text}")
            (self.folder / f"{module}.py").write_text(text)
        lines = ["from crawler.settings import *", f"SPIDER_MODULES = {spiders}"]
        lines += [f"{kind} = {{{own}}}" for kind, own in parts.items()]
        write_list(self.folder / "used.py", lines)
        urls = [self.api.url("/items/1"), self.api.url("/pages/a/1?last=2")]
        result = self.crawl(urls, spider=spider, settings_module="used", out="out/used")
        assert result.returncode == 0
        assert result.summary["equation"]["followed"] == (len(spiders) > 1)

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, check=False, text=True, timeout=240,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.printed = done.stdout
        print(done.stdout)
        return done

    def _outputs(self) -> Iterator[Output]:
        return (Output(path.parent) for path in self.folder.glob("out/*/ledger.sqlite"))

    def _documents(self) -> Iterator[dict[str, Any]]:
        """Everything a run has written that is JSON."""
        for output in self._outputs():
            yield output.summary
            yield from (*output.lines("failed.jsonl"), *output.lines("invalid.jsonl"))
            yield from (*output.envelopes(), *output.envelopes("errors"))


def _keys(document: dict[str, Any]) -> list[list[str]]:
    """The keys in order, and those within the parts of a summary that are always the same."""
    return [list(document), *(list(document[name]) for name in ("equation", "run") if name in document)]


def _check_name(document: dict[str, Any]) -> None:
    """An envelope's name is that of its URL."""
    if "uuid" in document:
        assert document["uuid"] == str(uuid.uuid5(uuid.NAMESPACE_URL, document["url"]))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_so(page: Path, api: ApiServer, crawl: Crawl) -> None:
    reader = Reader(crawl, api)
    for block in blocks_of(page):
        if block.not_run is None:
            print(f"\n{page.name}:{block.line}")  # pytest shows it when the test fails
            reader.do(block)
    reader.use_classes()
    if reader.missing:
        pytest.skip(f"all is so but the blocks that need {', '.join(sorted(reader.missing))}, which is not here")


def test_the_blocks_that_are_not_run_are_these() -> None:
    left_out = [(page.name, block.not_run) for page in PAGES for block in blocks_of(page) if block.not_run]
    assert sorted(left_out) == sorted(NOT_RUN)
    comments = sum(page.read_text("utf-8").count("<!-- not run") for page in PAGES)
    assert comments == len(NOT_RUN)  # one that stands before no block leaves nothing out


def test_what_is_sent_to_scrapyd_is_an_argument() -> None:
    """Its blocks are not run, but a field that we do not know would be refused."""
    known = {"project", "spider", "job", "setting", *(row.name for row in ARGUMENTS)}
    text = "".join(page.read_text("utf-8") for page in PAGES)
    fields = set(re.findall(r" -d (\w+)=", text))
    assert {"urls", "out", "setting"} <= fields <= known
    assert set(re.findall(r"setting=([A-Z_]+)=[a-z]", text)) <= {row.setting for row in (*ARGUMENTS, *SETTINGS)}


def test_every_fence_is_a_block_with_a_language() -> None:
    for page in PAGES:
        fences = len(re.findall("^ *```", page.read_text("utf-8"), re.MULTILINE))
        assert fences == 2 * len(blocks_of(page)), page
        assert all(block.language for block in blocks_of(page)), page


def test_every_link_leads_somewhere() -> None:
    for page in LINKING:
        for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text("utf-8")):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), (page.name, link)
            assert not anchor or anchor in _anchors(target), (page.name, link)


def test_the_index_leads_to_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    assert {page.name for page in PAGES[1:]} - set(re.findall(r"\]\(([\w-]+\.md)\)", index)) == {"index.md"}


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_everything_that_has_a_name_is_explained() -> None:
    text = "".join(page.read_text("utf-8") for page in PAGES)
    by_hand = "".join(page.read_text("utf-8") for page in PAGES if page != GENERATED)
    missing = [row.name for row in ARGUMENTS if not re.search(rf"`{row.name}[`=]", by_hand)]
    missing += [row.name for row in (*ARGUMENTS, *SETTINGS) if f"| `{row.name}` |" not in text]
    output = OUTPUT.read_text("utf-8")
    missing += [outcome.value for outcome in Outcome if f"\n| `{outcome.value}` |" not in output]
    missing += [f"exit code {code.value}" for code in ExitCode if f"\n| {code.value} |" not in output]
    code = "".join(path.read_text("utf-8") for path in (ROOT / "crawler").rglob("*.py"))
    stats = set(re.findall(r'"(apifetch/\w+)"', code))
    assert stats
    missing += [stat for stat in stats if f"`{stat}`" not in by_hand]
    assert missing == []


DROPPING: Final = """
from crawler.settings import *

ITEM_PIPELINES = {"dropping.Dropping": 300}
"""

DROPPING_PIPELINE: Final = """
from scrapy.exceptions import DropItem


class Dropping:
    def process_item(self, item):
        if item.url.endswith("/items/2"):
            raise DropItem("not this one")
        return item
"""


def test_the_page_of_stats_has_all_that_a_crawl_ends_with_and_no_others(crawl: Crawl, api: ApiServer) -> None:
    write_list(crawl.cwd / "dropping_settings.py", [DROPPING])
    write_list(crawl.cwd / "dropping.py", [DROPPING_PIPELINE])
    urls = [*map(api.url, ("/items/1", "/items/2", "/fail/3"))]
    result = crawl(
        urls,
        retries=1,
        settings={"STATS_DUMP": True},
        options=["-o", "feed.jsonl"],
        settings_module="dropping_settings",
    )
    seen = set(re.findall(r"^[ {]'([^']+)': ", result.stderr.partition("Dumping Scrapy stats")[2], re.MULTILINE))
    page = (ROOT / "docs" / "stats.md").read_text("utf-8")
    cells = " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE))
    named = set(re.findall(r"`([^`]+)`", cells))
    families = tuple(name.removesuffix("...") for name in named if name.endswith("/..."))
    assert {name for name in seen if name not in named and not name.startswith(families)} == set()
    never = {name for name in named if not any(stat.startswith(name.removesuffix("...")) for stat in seen)}
    assert never == {"httpcompression/response_count", "httpcompression/response_bytes"}  # no answer is compressed here
    code = (ROOT / "crawler" / "wire" / "decompression.py").read_text("utf-8")
    assert all(f'"{name}"' in code for name in never)


def test_the_page_of_settings_has_every_default_in_order() -> None:
    tree = ast.parse((ROOT / "crawler" / "settings.py").read_text("utf-8"))
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    assigned = sorted((node.lineno, node.id) for node in names)
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", page, re.MULTILINE)
    assert [name for name, _ in rows] == [name for _, name in assigned]
    for name, said in rows:
        value = getattr(settings, name, None)  # what depends on the machine may be absent
        if isinstance(value, int) and name != "DOWNLOAD_MAXSIZE":  # that one is said in MiB
            assert said.strip("`") == str(value), name


def test_the_page_of_output_names_all_that_a_run_writes(crawl: Crawl, api: ApiServer) -> None:
    """Files, columns, and the fields of envelopes and summary: all of them, and no others."""
    text, damaged = api.put_bytes("text", b"a", "text/plain"), api.put_bytes("damaged", b"\xff")
    result = crawl([api.url("/items/1"), text, damaged, api.url("/missing/1"), "no call"])
    written = {path.name for path in result.out.iterdir()}
    assert _listed("The folder") >= written
    assert _listed("The ledger") == set(result.rows()[0])
    envelopes = [*result.envelopes(), *result.envelopes("errors")]
    assert _listed("The envelope") == {name for envelope in envelopes for name in envelope}
    assert _listed("summary.json") == set(result.summary) | {"fleet"}  # which only a fleet writes


def _listed(section: str) -> set[str]:
    """What stands in backticks in the first cells of a section's tables; folders without their slash."""
    text = OUTPUT.read_text("utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return set(re.findall(r"`([\w.]+)/?`", " ".join(cells)))
