"""What a run is asked to do: the arguments, checked and typed, in plain values."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from crawler.credentials import Secrets
from crawler.items import WHOLE, Shard
from crawler.pacing import Policy
from crawler.secrets import mask_url
from crawler.sources import STDIN, Shape, SharedAddress, is_shared, is_url, list_name
from crawler.store.ledgers import ledgers
from crawler.store.objects.address import fit, is_object_store, local_name, store_of
from crawler.store.space import Floor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from crawler.accounting import Tolerates
    from crawler.addresses import Rule
    from crawler.store.files import Durability
    from crawler.store.hold import Remote
    from crawler.store.resume import RedoRule

ANY_NUMBER: Final = 1_000_000
"""Workers where their number is not limited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run, as its owner reads it from the settings.

    urls: the list, as the argument has it. shape: how its lines become calls. ca_file: for a list that is
    downloaded; None: as found in the environment. identity: the arguments that change what is fetched.
    arguments, versions: for the record. levels: folder levels below responses/ and errors/.
    workers: calls at once in all. policy: what holds for every host. max_calls: None for any number. floor: what must
    stay free on the output's disk.
    secrets: the values of `${NAME}`. addresses: which ones may be called.
    key_header: what APIFETCH_IDEMPOTENCY_KEY says, "" for nothing. shard: the part of the list. packed: `pack=jsonl`.
    lease_s: how long a worker of a shared list is taken to be alive without a word. shared_patience_s: how long such a
    list is waited for at the start.
    remote: the object store that gets the bodies, None where they stay in *out*.
    """

    urls: str
    out: Path
    shape: Shape
    limit: int | None
    raw: bool
    redo: RedoRule
    redo_text: str
    number_duplicates: bool
    tolerance: Tolerates
    durability: Durability
    levels: int
    identity: Mapping[str, str | None]
    arguments: Mapping[str, Any]
    versions: Mapping[str, str]
    workers: int = 20
    policy: Policy = field(default_factory=lambda: Policy(per_host=20))
    max_calls: int | None = None
    floor: Floor = field(default_factory=Floor)
    key_header: str = ""
    secrets: Secrets = field(default_factory=lambda: Secrets((), environ={}))
    addresses: Rule = "list"
    ca_file: str | None = None
    shard: Shard = WHOLE
    packed: bool = False
    lease_s: float = 30.0
    shared_patience_s: float = 120.0
    remote: Remote | None = None

    @property
    def takes_inodes(self) -> bool:
        """Whether each record may be a file of its own on the output's disk."""
        return not self.packed and self.remote is None

    @property
    def path(self) -> str:
        """The list by its one name: the folder without links, `-` for stdin, a URL without its secrets."""
        return absolute(self.urls)

    @property
    def shown(self) -> str:
        """The list as people see it."""
        return absolute(self.urls) if is_url(self.urls) else self.urls


def shape_of(settings: Mapping[str, Any]) -> Shape:
    """How the lines of the list become calls, by checked settings."""
    return Shape(
        format=settings["APIFETCH_FORMAT"],
        column=settings["APIFETCH_COLUMN"],
        template=settings["APIFETCH_TEMPLATE"],
        method=settings["APIFETCH_METHOD"],
        data=settings["APIFETCH_DATA"],
        typed=any(name.lower() == "content-type" for name, _ in settings["APIFETCH_HEADERS"] or ()),
    )


def absolute(urls: str) -> str:
    """A list's one name, whatever the folder in which the command runs."""
    if is_shared(urls):
        return str(SharedAddress.of(urls))
    if is_url(urls):
        return mask_url(urls)
    path = Path(urls)
    return urls if urls == STDIN else str(path.parent.resolve() / path.name)


def output(urls: str, out: str, local: str = "out") -> tuple[Path, str | None]:
    """Where a list's results go: a directory, and the object store that has the bodies, None for the directory itself.

    *out* with its fields filled in. The directory of an object store is below *local*. A list in an output directory
    stays there, unless *out* names one directory whatever the list is called. Raises StoreError.
    """
    if urls != STDIN and not is_url(urls) and "%(name)s" in out and ledgers(Path(urls).parent):
        directory = Path(urls).parent
        return directory, store_of(directory)
    name, started = list_name(urls), time.strftime("%Y-%m-%dT%H-%M-%S")
    if is_object_store(out):
        url = (out % {"name": fit(name), "time": started}).rstrip("/")
        return Path(local) / local_name(url), url
    directory = Path(out % {"name": name, "time": started})
    return directory, store_of(directory)


def output_directory(urls: str, out: str, local: str = "out") -> Path:
    """The directory alone."""
    return output(urls, out, local)[0]
