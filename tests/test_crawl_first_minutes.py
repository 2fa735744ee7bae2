"""The first minutes: whatever is missing or misspelt, the answer is a sentence or two that say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crawler.arguments import ARGUMENTS
from crawler.commands.crawl import Command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.harness import Crawl


def _nothing(_: Path) -> None:
    pass


def _file(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (_nothing, {}, "urls is missing: expected a list: scrapy crawl apifetch -a urls=FILE (a URL per line"),
        (_nothing, {"urls": "a.txt", "worker": 3}, "worker='3': expected an argument that exists (did you mean -a wor"),
        (_file("items.txt", b"http://x/"), {"urls": "item.txt"}, "item.txt: no such file; the path counts from the "),
        (_file("items.txt", b"http://x/"), {"urls": "item.txt"}, "(did you mean items.txt?)"),
        (_file("a.csv", b"id,link\n1,http://x/\n"), {"urls": "a.csv"}, "Say column=link, which holds URLs"),
        (_file("a.csv", b"id,name\n1,b\n"), {"urls": "a.csv"}, "or make URLs of them: template='https://.../{id}'"),
        (lambda folder: (folder / "d").mkdir(), {"urls": "d"}, "d: no list in this folder; it is empty. Names of"),
        (_nothing, {"urls": "*.csv"}, "*.csv: no file matches this pattern"),
        (_file("a.txt", b"<!DOCTYPE html>\n<html>"), {"urls": "a.txt"}, "a.txt: is a web page (HTML or XML), perhaps"),
        (_file("a.txt", b"\n<!-- x -->\n<html lang=sv>"), {"urls": "a.txt"}, "a.txt: is a web page"),
        (_file("a.txt", b"%PDF-1.7\n"), {"urls": "a.txt"}, "a.txt: is a PDF document: copy its URLs into a text file"),
        (_file("a.csv", b"PK\x03\x04\x14\x00"), {"urls": "a.csv"}, "a.csv: is a zip archive (Excel's files are such)"),
    ],
)  # fmt: skip
def test_a_beginner_is_told_what_to_do(
    crawl: Crawl, make: Callable[[Path], object], arguments: dict[str, Any], words: str
) -> None:
    make(crawl.cwd)
    result = crawl(**arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not (crawl.cwd / "out").exists()


def test_an_empty_list_is_done_and_says_so(crawl: Crawl) -> None:
    (crawl.cwd / "a.txt").write_text("# nothing yet\n")
    result = crawl("a.txt")
    assert result.returncode == 0
    assert "The list has no lines: it is empty, or holds comments alone" in result.stderr


def test_the_help_of_crawl_has_every_argument(capsys: pytest.CaptureFixture[str]) -> None:
    from scrapy.cmdline import ScrapyArgumentParser  # noqa: PLC0415
    from scrapy.settings import Settings  # noqa: PLC0415

    command = Command()
    command.settings = Settings()
    parser = ScrapyArgumentParser()
    command.add_options(parser)
    shown = parser.format_help()
    for row in ARGUMENTS:
        assert f"\n  {row.name:<11} " in shown
