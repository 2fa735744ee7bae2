"""What an object store is called, and where on this machine a run keeps what belongs to it. Talks to nobody."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from crawler.exceptions import StoreError
from crawler.items import WHOLE
from crawler.store.exports import replacing
from crawler.store.shards import shards_in

if TYPE_CHECKING:
    from pathlib import Path

    from crawler.items import Shard

SCHEMES: Final = ("s3", "gs", "az")
"""Amazon's S3 and all that speaks its protocol; Google Cloud Storage; Azure Blob Storage."""

MARK: Final = "store.json"
"""The file of a directory whose bodies are in an object store; of each part of a list that has run there, one."""

_ADDRESS: Final = re.compile(r"(?:s3|gs|az)://[A-Za-z0-9][A-Za-z0-9._-]*(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._=+@,-]+)*/?")
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._=-]")


def is_object_store(text: str) -> bool:
    """Whether *text* is the URL of an object store, by its scheme."""
    return text.partition("://")[0].lower() in SCHEMES and "://" in text


def is_address(text: str) -> bool:
    """Whether *text* is `s3://bucket/prefix` or the like, with no keys, no query and no way out of the prefix."""
    return _ADDRESS.fullmatch(text) is not None


def fit(name: str) -> str:
    """A list's name as a part of a prefix."""
    return _UNFIT.sub("_", name)


def local_name(url: str) -> str:
    """The path of the working directory of *url*, below the one of all outputs."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}/{rest.rstrip('/')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a working directory says of itself, for a list or a part of it.

    url: its store's. holder: by which the store knows this directory again. token: of the run that holds the prefix, or
    held it last. killed: whether objects may be there that no row names. patience_s: for a store that is down.
    """

    url: str
    holder: str
    token: str = ""
    killed: bool = False
    patience_s: float = 120.0

    def write(self, directory: Path, shard: Shard = WHOLE) -> None:
        """Raises StoreError."""
        with replacing(directory / shard.file(MARK)) as file:
            json.dump(asdict(self), file)


def store_of(directory: Path) -> str | None:
    """The URL of the store that has the bodies of a directory, None where they are its own. Raises StoreError."""
    marks = (mark_of(directory, shard) for shard in shards_in(directory, MARK))
    return next((mark.url for mark in marks if mark is not None), None)


def mark_of(directory: Path, shard: Shard = WHOLE) -> Mark | None:
    """The mark of a directory, None where this part has not been. Raises StoreError."""
    path = directory / shard.file(MARK)
    try:
        said = json.loads(path.read_text("utf-8"))
        mark = Mark(**said)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise StoreError(f"cannot read {path}: {exc.strerror}") from exc
    except (ValueError, TypeError) as exc:
        raise StoreError(f"{path} is not what a run wrote: {exc}") from exc
    if not is_address(mark.url):
        raise StoreError(f"{path} names no object store: {mark.url!r:.100}")
    return mark
