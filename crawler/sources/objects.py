"""A list in an object store: its address, and its bytes. What is said to a store is `store.objects.client`'s.

Keys are written as they are, without percent-encoding, as the stores' own tools have it.
"""

from __future__ import annotations

import re
from contextlib import closing
from typing import TYPE_CHECKING, Final

from crawler.exceptions import ListError, StoreError
from crawler.interrupting import heard_meanwhile
from crawler.secrets import mask_url

if TYPE_CHECKING:
    from collections.abc import Generator

_ADDRESS: Final = re.compile(r"([A-Za-z0-9]+)://([A-Za-z0-9][A-Za-z0-9._-]*)/([^\x00-\x1f\x7f\\?]+)")


def split_address(urls: str) -> tuple[str, str]:
    """The bucket's URL, and the key of the list in it. Raises ValueError for what names no object."""
    found = _ADDRESS.fullmatch(urls)
    if found is None or not {"", ".", ".."}.isdisjoint(found[3].split("/")):
        raise ValueError("in an object store it is one object, s3://bucket/key, with no credentials and no query")
    return f"{found[1].lower()}://{found[2]}", found[3]


def object_pieces(urls: str) -> Generator[bytes]:
    """The bytes of the list, as they come. Raises ListError, and ArgumentError without obstore."""
    from crawler.store.objects.client import AT_START_S, Client  # noqa: PLC0415  # for those who have obstore

    bucket, key = split_address(urls)
    with closing(Client(bucket, patience_s=AT_START_S, argument="urls")) as client:
        parts = client.parts(key)
        try:
            while (data := heard_meanwhile(lambda: next(parts, None))) is not None:
                yield data
        except StoreError as exc:
            why = str(exc).removeprefix(f"cannot read {bucket}/{key}: ")
            raise ListError(f"{mask_url(urls)}: the list cannot be downloaded: {why}") from exc
