"""An output as a command names it: a directory, or the URL of an object store.

Owns where its ledger is to be found: in the directory; in the working directory of this machine, where that was the
last to write; else in the store, from where it is brought. Who changes something holds the output as a run does.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crawler.exceptions import ArgumentError, OtherListError, StoreError
from crawler.items import Shard
from crawler.store.exports import SUMMARY
from crawler.store.hold import holding
from crawler.store.ledger import NAME
from crawler.store.objects.address import Mark, is_address, is_object_store, local_name, mark_of, store_of
from crawler.store.reading import identity, in_parts, open_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crawler.store.hold import Hold
    from crawler.store.objects.client import Client


def place_of(named: str, local: str) -> tuple[Path, str | None]:
    """The directory of an output on this machine, and the URL of its store, None for the directory itself.

    local: below which working directories are. Raises ArgumentError for a URL that is none of an object store.
    """
    if not is_object_store(named):
        return Path(named), store_of(Path(named))
    if not is_address(named):
        raise ArgumentError("OUT", named, "a directory, or s3://bucket/prefix")
    url = named.rstrip("/")
    return Path(local) / local_name(url), url


@contextmanager
def held(named: str, local: str) -> Iterator[Hold]:
    """Hold an output that is there, its ledger in the directory. Raises as `Hold.take`, and OtherListError for none."""
    directory, url = place_of(named, local)
    if url is None:
        with open_ledger(directory):  # before the lock: a directory that is none is not to be made one
            pass
    else:
        with closing(_client(url)) as client:
            _refuse(url, client.names())
    with holding(directory, url) as hold:
        yield hold


def refuse_packs(directory: Path, what: str) -> None:
    """Raise OtherListError for packs in an object store, of which no line is rewritten. what: would be done to them."""
    url = store_of(directory)
    with open_ledger(directory) as db:
        packed = identity(db).get("pack")
    if url is not None and packed:
        raise OtherListError(
            f"the bodies of {url} are packed (pack={packed}): packs in an object store cannot be {what}; copy the "
            "prefix to a directory, without store.json, and do it there"
        )


@contextmanager
def to_read(named: str, local: str) -> Iterator[Path]:
    """A directory with the latest ledger of an output, or of its parts no more than is told of them.

    For whoever changes nothing. What is raised in it names the output as it was named.
    """
    directory, url = place_of(named, local)
    if url is None or not is_object_store(named):
        yield directory
        return
    with ExitStack() as opened:
        client = opened.enter_context(closing(_client(url)))
        if not _is_latest(client, directory):
            directory = Path(opened.enter_context(tempfile.TemporaryDirectory())) / (url.rpartition("/")[2])
            _bring(client, directory)
        try:
            yield directory
        except (OtherListError, StoreError, LookupError) as exc:
            raise type(exc)(str(exc).replace(str(directory), url)) from exc


def _is_latest(client: Client, directory: Path) -> bool:
    """Whether the ledger in a working directory is the latest: no other directory has had the lease since."""
    from crawler.store.objects.lease import NAME as LEASE  # noqa: PLC0415  # for those who have obstore
    from crawler.store.objects.lease import read  # noqa: PLC0415

    mark = mark_of(directory)
    if mark is None or not (directory / NAME).is_file():
        return False
    there = read(client, LEASE)
    return there is not None and there[0].holder == mark.holder


def _bring(client: Client, directory: Path) -> None:
    """Have the ledger here. Of parts the summaries, and that there are ledgers, which nobody reads as they are."""
    directory.mkdir()
    Mark(url=client.url, holder="").write(directory)
    names = client.names()
    for shard in Shard.among(names, NAME):
        if not shard.is_part:
            client.fetch(NAME, directory / NAME)
            continue
        (directory / shard.file(NAME)).touch()
        client.fetch(shard.file(SUMMARY), directory / shard.file(SUMMARY))


def _refuse(url: str, names: set[str]) -> None:
    """Raise OtherListError where there is no ledger of a whole list."""
    shards = Shard.among(names, NAME)
    if parts := [shard for shard in shards if shard.is_part]:
        raise in_parts(url, parts)
    if not shards:
        raise OtherListError(f"{url}: expected an output, with a {NAME} in it")


def _client(url: str) -> Client:
    from crawler.store.objects.client import AT_START_S, Client  # noqa: PLC0415  # for those who have obstore

    return Client(url, patience_s=AT_START_S)


def put(named: str, local: str, path: Path) -> str:
    """Put a file that was made of an output to where its bodies are; gives where it is then. Raises StoreError."""
    _, url = place_of(named, local)
    if url is None:
        return os.fspath(path)
    with closing(_client(url)) as client:
        client.put(path.name, path)
    return f"{url}/{path.name}"
