"""Lists of several files, packed and on the web, through the real command, and again after they were edited."""

from __future__ import annotations

import gzip
import lzma
from typing import TYPE_CHECKING, Any

from tests.audit import audit
from tests.harness import write_list

if TYPE_CHECKING:
    from tests.harness import ApiServer, Crawl


def test_a_pattern_is_one_list_whose_records_say_their_file(api: ApiServer, crawl: Crawl) -> None:
    folder = crawl.cwd / "lists"
    folder.mkdir()
    one = "".join(f"{api.url(f'/items/{n}')}\n" for n in range(5)) + "bad\n"
    (folder / "1.txt.gz").write_bytes(gzip.compress(one.encode()))
    two = f"url,id\n{api.url('/items/0')},again\n{api.url('/items/7')},k\n" + "\n" * 3 + "bad,\n"
    (folder / "2.csv.xz").write_bytes(lzma.compress(two.encode()))
    paths = {number: str(folder / name) for number, name in ((1, "1.txt.gz"), (2, "2.csv.xz"), (3, "3.txt"))}

    first = crawl("lists/*.*")
    audit(first, 65)
    assert first.out.name == "lists"
    found = {(row["source"], row["line"], row["outcome"]) for row in first.rows()}
    assert found == {
        *((paths[1], line, "ok") for line in range(1, 6)),
        (paths[1], 6, "invalid"),
        (paths[2], 2, "duplicate"),
        (paths[2], 3, "ok"),
        (paths[2], 7, "invalid"),
    }
    [duplicate] = first.rows("select error from records where outcome = 'duplicate'")
    assert duplicate["error"] == f"the same call as line 1 of {paths[1]}"
    assert {(row["source"], row["line"]) for row in first.lines("invalid.jsonl")} == {(paths[1], 6), (paths[2], 7)}
    assert {(each["source"], each["line"]) for each in first.envelopes()} >= {(paths[1], 5), (paths[2], 3)}
    assert "lists/*.* (2 files) into out/lists" in first.stderr

    again = crawl("lists/*.*")
    audit(again, 65)
    assert again.summary["run"]["calls"] == 0
    assert "has 9 lines of this list that stand" in again.stderr

    # One more at the end, one line less in the middle: its duplicate has lost its first, and stands for itself.
    write_list(folder / "3.txt", [api.url("/items/9"), api.url("/items/7")])
    (folder / "1.txt.gz").write_bytes(gzip.compress(one.partition("\n")[2].encode()))
    edited = crawl("lists/*.*")
    audit(edited, 65)
    assert edited.summary["run"]["calls"] == 1
    rows = edited.rows("select source, line, outcome, url from records where outcome in ('ok', 'duplicate')")
    assert {(row["source"], row["line"], row["outcome"], row["url"].rpartition("/")[2]) for row in rows} == {
        *((paths[1], line, "ok", str(line)) for line in range(1, 5)),
        (paths[2], 2, "ok", "0"),
        (paths[2], 3, "ok", "7"),
        (paths[3], 1, "ok", "9"),
        (paths[3], 2, "duplicate", "7"),
    }


def test_a_list_on_the_web_is_one_like_any_other(api: ApiServer, crawl: Crawl) -> None:
    def put(*numbers: int) -> str:
        text = "".join(f"{api.url(f'/items/{n}')}\n" for n in numbers)
        return api.put_bytes("items.txt", text.encode(), "text/plain")

    url = put(1, 2).replace("//", "//me:s3cret-word@") + "?token=s3cret-word"
    first = crawl(url, out="out/web")
    audit(first, 0)
    assert (first.out / "list" / "items.txt").exists()
    assert (
        first.summary["urls"]
        == first.rows()[0]["source"]
        == api.url("/bytes/items.txt?token=***").replace("//", "//me:***@")
    )
    assert crawl(url, out="out/web").summary["run"]["calls"] == 0
    put(3, 2)
    edited = crawl(url, out="out/web")
    audit(edited, 0)
    assert edited.summary["run"]["calls"] == 1
    for path in first.out.rglob("*"):
        assert not path.is_file() or b"s3cret-word" not in path.read_bytes(), path
    assert "s3cret-word" not in first.stderr + edited.stderr


def test_a_list_of_ids_becomes_a_list_of_posts_and_goes_on_after_a_failure(api: ApiServer, crawl: Crawl) -> None:
    write_list(crawl.cwd / "ids.csv", ["id,name,status", 'a/b,"Å ""1""",200', "c,d,404", ",e,200"])
    how: dict[str, Any] = {
        "template": api.url("/status/{status}?id={id}"),
        "data": '{"id": {id}, "says": "Hello, {name}", "status": {status:number}}',
        "headers": {"X-Trace": "1"},
    }
    first = crawl("ids.csv", **how)
    audit(first, 8)
    assert {row["key"]: (row["method"], row["outcome"], row["url"]) for row in first.rows()} == {
        "a/b": ("POST", "ok", api.url("/status/200?id=a%2Fb")),
        "c": ("POST", "http_error", api.url("/status/404?id=c")),
        None: ("GET", "invalid", ",e,200"),
    }
    [failed] = first.lines("failed.jsonl")
    assert failed["body"] == '{"id": "c", "says": "Hello, d", "status": 404}'
    assert failed["headers"] == {"Content-Type": ["application/json"]}

    # failed.jsonl says all of a call itself; other arguments would call something else.
    again = crawl(first.out / "failed.jsonl", redo="failed", out="out/ids")
    assert (again.returncode, again.summary["run"]["calls"]) == (8, 1)
    other = crawl("ids.csv", **how | {"data": None})
    assert other.returncode == 2
    assert "was begun with data={" in other.stderr
    assert "you gave no data" in other.stderr
