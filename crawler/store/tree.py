"""The folder tree of an output directory, for whoever changes nothing: bodies read, names listed. Follows no link."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from crawler.exceptions import BodyError
from crawler.store.bodies import Tree
from crawler.store.files import LOCATION, open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FileReader(Tree):
    """Bodies as files (a `Tree`)."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def read(self, location: str) -> bytes:
        if LOCATION.fullmatch(location) is None:
            raise BodyError(f"{location!r} is no place of a body in {self._out}")
        fd = open_regular(self._out / location)
        with open(fd, "rb") as file:  # noqa: PTH123  # of a descriptor
            return file.read()

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        folders: list[str] = []
        others: list[str] = []
        for name, is_folder in self._scan(folder):
            (folders if is_folder else others).append(name)
        return folders, others

    def below(self, folder: str) -> Iterator[str]:
        for name, is_folder in self._scan(folder):
            if is_folder:
                yield from self.below(name)
            else:
                yield name

    def _scan(self, folder: str) -> Iterator[tuple[str, bool]]:
        """What is right below, as it comes: a folder may hold millions. Whether each is a folder."""
        path = self._out / folder
        if path.is_dir() and not path.is_symlink():
            with os.scandir(path) as entries:
                for entry in entries:
                    yield f"{folder}/{entry.name}", entry.is_dir(follow_symlinks=False)

    def is_there(self, name: str) -> bool:
        return (self._out / name).is_file()

    def close(self) -> None:
        """No file is open."""
