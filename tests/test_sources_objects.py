"""Lists in object stores: their addresses, how they come, and Ctrl-C meanwhile. With a store in memory, or none."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("obstore", reason="pip install obstore")

from obstore.store import MemoryStore

from crawler.exceptions import ArgumentError, InterruptError, ListError, StoreError
from crawler.interrupting import heard_meanwhile, interrupted_at_once
from crawler.plan import absolute
from crawler.sources import download, is_remote, list_name, split_address
from crawler.store.objects.client import BREAKS, PART_BYTES, Client, NoObjectError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.harness import ApiServer, Crawl

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a-secret", "AWS_ALLOW_HTTP": "true"}


# Addresses


@pytest.mark.parametrize(
    ("urls", "bucket", "key", "name"),
    [
        ("s3://bucket/items.csv.gz", "s3://bucket", "items.csv.gz", "items"),
        ("s3://b.c-d/a/b c/é.jsonl", "s3://b.c-d", "a/b c/é.jsonl", "é"),
        ("S3://Bucket/key", "s3://Bucket", "key", "key"),
        ("gs://bucket/100%25&x=1#y.txt", "gs://bucket", "100%25&x=1#y.txt", "100_25_x_1_y"),
        ("az://container/a:b/c@d.parquet", "az://container", "a:b/c@d.parquet", "c_d"),
        ("s3://bucket/a[1]*.csv", "s3://bucket", "a[1]*.csv", "a_1"),
    ],
)
def test_a_key_is_taken_as_it_is_written(urls: str, bucket: str, key: str, name: str) -> None:
    assert is_remote(urls)
    assert split_address(urls) == (bucket, key)
    assert list_name(urls).rstrip("_") == name
    assert absolute(urls) == urls


@pytest.mark.parametrize(
    "urls",
    [
        "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://bucket/folder/", "s3://bucket/a//b",
        "s3://bucket/../b", "s3://bucket/./b", "s3://key:secret@bucket/b", "s3://bucket/b?token=secret",
        "s3://bucket/a\\b", "s3://bucket/a\nb",
    ],
)  # fmt: skip
def test_what_names_no_object(urls: str) -> None:
    with pytest.raises(ValueError, match="s3://bucket/key") as caught:
        split_address(urls)
    assert "secret" not in str(caught.value)


# How they come


@pytest.fixture
def client() -> Iterator[Client]:
    with closing(Client("s3://bucket", store=MemoryStore())) as client:
        yield client


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES])
def test_an_object_comes_whole_and_in_parts(client: Client, size: int) -> None:
    data = os.urandom(size)
    client.put("a/list", data)
    parts = [*client.parts("a/list")]
    assert b"".join(parts) == data
    assert max(map(len, parts)) <= PART_BYTES


def test_an_object_that_is_replaced_meanwhile_is_not_mixed(client: Client) -> None:
    client.put("list", b"a" * 3 * PART_BYTES)
    parts = client.parts("list")
    next(parts)
    client.put("list", b"b" * 3 * PART_BYTES)
    with pytest.raises(StoreError, match="cannot read s3://bucket/list: it was changed meanwhile"):
        next(parts)


def test_what_is_not_there_is_told_from_what_cannot_be_read(client: Client) -> None:
    with pytest.raises(NoObjectError, match=r"cannot read s3://bucket/list: .*not found"):
        next(client.parts("list"))


@pytest.mark.parametrize(
    ("environment", "urls", "words"),
    [
        ({}, "s3://missing/list.txt", "Object at location list.txt not found"),
        ({}, "s3://status/403", "privileges"),
        ({"AWS_ALLOW_HTTP": "false"}, "s3://items/1", "its endpoint is http:, which AWS_ALLOW_HTTP=true allows"),
    ],
)
def test_a_store_that_refuses_is_a_sentence(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], urls: str, words: str
) -> None:
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": api.origin, **environment}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ListError) as caught:
        download(urls, tmp_path)
    said = str(caught.value)
    assert said.startswith(f"{absolute(urls)}: the list cannot be downloaded: ")
    assert words in said
    assert "a-secret" not in said
    assert "\n" not in said
    assert list((tmp_path / "list").iterdir()) == []


def test_a_store_that_cannot_be_opened_is_the_lists(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"urls='az://container': expected .*Account must be specified"):
        download("az://container/list.txt", tmp_path)


def test_an_answer_that_breaks_off_is_asked_for_again(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": api.origin}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ListError, match=r"s3://cut/list\.txt: the list cannot be downloaded: "):
        download("s3://cut/list.txt", tmp_path)
    assert api.seen("/cut/") == {"/cut/list.txt": BREAKS}


def test_without_obstore_it_says_what_to_install(crawl: Crawl) -> None:
    (crawl.cwd / "obstore.py").write_text("raise ImportError")
    refused = crawl("s3://bucket/list.txt", out="out/list")
    assert refused.returncode == 2
    assert "obstore is missing: expected pip install obstore" in refused.stderr
    assert "Traceback" not in refused.stderr


# Ctrl-C


def test_a_value_or_an_error_comes_out_of_the_thread() -> None:
    assert heard_meanwhile(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        heard_meanwhile(lambda: 1 // 0)


def test_a_signal_is_heard_while_a_library_blocks() -> None:
    never = threading.Event()

    def block() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        never.wait()

    with pytest.raises(InterruptError, match="stopped by SIGTERM"), interrupted_at_once():
        heard_meanwhile(block)
    never.set()


def test_a_signal_while_the_list_is_downloaded(api: ApiServer, crawl: Crawl) -> None:
    """The store has taken the request, and says nothing."""
    env = {**ENVIRONMENT, "AWS_ENDPOINT_URL": api.origin, "AWS_TIMEOUT": "1h"}
    running = crawl("s3://hang/list.txt", out="out/hang", env=env, wait=False)
    running.wait_for(lambda: api.stats()["routes"].get("hang"))
    running.signal(signal.SIGINT)
    stopped = running.wait()
    assert stopped.returncode == 75
    assert "stopped by SIGINT" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert "panicked" not in stopped.stderr
    assert list((stopped.out / "list").iterdir()) == []
