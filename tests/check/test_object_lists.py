"""Lists in a real object store: SeaweedFS on loopback."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.harness import PATIENCE_S, Output
from tests.scrapyd_server import Scrapyd, deploy
from tests.weed import KEYS, needs_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import ApiServer, Crawl, CrawlResult
    from tests.prefix import Prefix
    from tests.weed import Weed

pytest.importorskip("obstore", reason="pip install obstore")

from crawler.exceptions import ListError
from crawler.sources import Shape, download, open_source
from crawler.store.objects.client import PART_BYTES, Client
from tests.prefix import alike

pytestmark = needs_store

URLS = ["http://127.0.0.1/1", "http://127.0.0.1/2"]
TEXT = "".join(f"{url}\n" for url in URLS).encode()


def parquet() -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as pq  # noqa: PLC0415  # optional

    file = io.BytesIO()
    pq.write_table(pyarrow.table({"url": URLS}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("key", "data"),
    [
        ("items.txt", TEXT),
        ("no name", TEXT),
        ("a b/é+&%20.txt.gz", gzip.compress(TEXT)),
        ("items.csv.bz2", bz2.compress(b"url\n" + TEXT)),
        ("items.tsv.xz", lzma.compress(b"id\turl\n1\thttp://127.0.0.1/1\n2\thttp://127.0.0.1/2\n")),
        ("items.jsonl", b"".join(b'{"url": "%s"}\n' % url.encode() for url in URLS)),
        ("items.curl", b"".join(b"curl %s\n" % url.encode() for url in URLS)),
        ("items.parquet", None),
        ("large.txt", b"#" * 100 + b"\n" + b" " * 3 * PART_BYTES + b"\n" + TEXT),
    ],
    ids=["txt", "first line", "a key to encode", "csv", "tsv", "jsonl", "curl", "parquet", "parts"],
)
def test_a_list_of_any_format_comes_as_it_is(prefix: Prefix, tmp_path: Path, key: str, data: bytes | None) -> None:
    prefix.client.put(key, data if data is not None else parquet())
    path = download(f"{prefix.url}/{key}", tmp_path)
    with closing(open_source(path, Shape())) as source:
        entries = [entry for batch in iter(lambda: source.next_batch(10), []) for entry in batch]
    assert [getattr(entry, "url", None) for entry in entries] == URLS


def test_it_is_resumed_and_a_changed_one_is_a_list_that_was_edited(
    api: ApiServer, crawl: Crawl, prefix: Prefix
) -> None:
    def fetch() -> CrawlResult:
        return crawl(f"{prefix.url}/lists/items.csv.gz", env=prefix.environment, settings=settings)

    lines = ["id,url", *(f"{n},{api.url(f'/items/{n}')}" for n in range(30))]
    settings = {"APIFETCH_FOLDER_LEVELS": 0}
    prefix.client.put("lists/items.csv.gz", gzip.compress("\n".join(lines).encode()))
    assert fetch().returncode == 0
    again = fetch()
    assert "Nothing to do" in again.stderr
    assert again.out.name == "items"
    prefix.client.put(
        "lists/items.csv.gz", gzip.compress("\n".join([lines[0], f"new,{api.url('/items/new')}", *lines[1:]]).encode())
    )
    edited = fetch()
    assert edited.summary["equation"]["ok"] == 31
    assert api.seen("/items/") == {f"/items/{n}": 1 for n in [*range(30), "new"]}
    assert KEYS["AWS_SECRET_ACCESS_KEY"] not in edited.stderr + (edited.out / "run.log").read_text()


def test_a_job_of_scrapyds_finds_it_by_scrapyds_environment(api: ApiServer, prefix: Prefix, tmp_path: Path) -> None:
    prefix.client.put("lists/items.txt", "\n".join(api.url(f"/items/{n}") for n in range(20)).encode())
    with closing(Scrapyd(tmp_path / "scrapyd")) as scrapyd:
        deploy(scrapyd, tmp_path / "tree")
        scrapyd.schedule("job", urls=f"{prefix.url}/lists/items.txt", out=tmp_path / "out")
        log = scrapyd.wait_for_end("job")
        assert Output(tmp_path / "out").summary["equation"]["ok"] == 20, log
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in log
        scrapyd.schedule("refused", urls=f"{prefix.url}/lists/", out=tmp_path / "refused")
        assert "urls='s3://bucket/" in scrapyd.wait_for_end("refused")


def test_it_and_the_output_may_both_be_in_the_store_and_each_part_reads_it(
    api: ApiServer, crawl: Crawl, prefix: Prefix, tmp_path: Path
) -> None:
    lines = [api.url(f"/items/{n}") for n in range(40)]
    prefix.client.put("lists/items.txt", "\n".join(lines).encode())
    urls = f"{prefix.url}/lists/items.txt"
    stored = crawl(
        urls, out=f"{prefix.url}/out", env=prefix.environment, settings={"APIFETCH_LOCAL": tmp_path / "local"}
    )
    assert "Exit code 0" in stored.stderr

    parts = [crawl(urls, out="parts", shard=f"{part}/2", env=prefix.environment, wait=False) for part in (1, 2)]
    assert [running.wait().returncode for running in parts] == [0, 0]
    whole = crawl(urls, out="parts", env=prefix.environment)
    assert whole.returncode == 0
    assert len(alike(whole.rows())) == 40
    planned = crawl.scrapy("plan", urls, "-a", "out=parts", **prefix.environment)
    assert b"40 of the ledger in parts stand" in planned.stdout


@pytest.mark.parametrize(
    ("where", "environment", "words"),
    [
        ("s3://bucket/nothing.txt", {}, "NoSuchKey: The specified key does not exist."),
        ("s3://nobucket/items.txt", {}, "NoSuchBucket: The specified bucket does not exist"),
        ("s3://bucket/items.txt", {"AWS_SECRET_ACCESS_KEY": "another-secret"}, "SignatureDoesNotMatch: "),
        ("s3://bucket/items.txt", {"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId: "),
        ("s3://bucket/items.txt", {"AWS_SKIP_SIGNATURE": "true"}, "AccessDenied: Access Denied."),
    ],
    ids=["key", "bucket", "signature", "keys", "public"],
)
def test_what_the_store_refuses_is_a_sentence(
    crawl: Crawl, prefix: Prefix, where: str, environment: dict[str, str], words: str
) -> None:
    refused = crawl(where, out="refused", env={**prefix.environment, **environment})
    assert refused.returncode == 2
    assert f"{where}: the list cannot be downloaded: {words}" in refused.stderr
    assert "another-secret" not in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_store_that_is_away_is_waited_for_and_then_told(prefix: Prefix, weed: Weed, tmp_path: Path) -> None:
    weed.stop()
    try:
        with pytest.raises(ListError, match="the list cannot be downloaded: "):
            download(f"{prefix.url}/items.txt", tmp_path)
    finally:
        weed.start()


def test_an_object_comes_whole_through_an_outage(prefix: Prefix, weed: Weed) -> None:
    data = os.urandom(5 * PART_BYTES)
    prefix.client.put("large", data)
    with closing(Client(prefix.url, patience_s=PATIENCE_S)) as client:
        parts = client.parts("large")
        came = [next(parts)]
        weed.stop()
        starting = threading.Thread(target=weed.start)
        starting.start()
        came += parts
        starting.join()
    assert b"".join(came) == data
