"""Closed parts written anew: where a line is to be erased for good, or a frame is damaged and nobody needs it.

Owns how that is done so that a kill at any point leaves the part as it was or as it shall be: beside it, then renamed.
No frame moves, so that no row has to: what is gone leaves a skippable frame (RFC 8878, 3.1.2), which readers pass over.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from crawler.exceptions import BodyError, StoreError
from crawler.items import uuid_text
from crawler.store.files import PARTIAL, full_sync, sync, write_all
from crawler.store.parts import HARDER, Spot, check_name, frames, line_start, pack, skipped, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from crawler.store.ledger import Ledger
    from crawler.store.place import Place

FORMER: Final = ".old"
"""What a part was, until it is overwritten."""

_BLOCK: Final = bytes(1 << 20)
_LIVE: Final = "SELECT location FROM calls WHERE location GLOB ? AND outcome IS NOT NULL"


def shred(place: Place, name: str) -> bool:
    """Overwrite a file with zeros and remove it; whether there was one. Raises StoreError."""
    try:
        # No link is followed; a pipe does not keep us waiting.
        fd = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.fd)
    except FileNotFoundError:
        return False
    except OSError:
        fd = -1  # a link, or what may not be written: it goes as it is
    try:
        if fd >= 0:
            left = os.fstat(fd).st_size
            while left > 0:
                left -= os.write(fd, _BLOCK[:left])
            os.fsync(fd)
        os.unlink(name, dir_fd=place.fd)
    except OSError as exc:
        raise StoreError(f"cannot erase {place.directory / name}: {exc.strerror}") from exc
    finally:
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
    return True


def erase_lines(place: Place, ledger: Ledger, uuids: Collection[bytes]) -> int:
    """Overwrite every line of these calls, older answers too, with blanks; how many there were.

    Reads all parts. Raises StoreError, also when a part is damaged: then nobody can tell what is in it.
    """
    wanted = frozenset(line_start(uuid_text(uuid)) for uuid in uuids)
    erased = 0
    for (name,) in ledger.query("SELECT name FROM packs"):
        for ending in (PARTIAL, FORMER):  # of an erasure that was killed
            shred(place, name + ending)
        data = _read(place, name)
        if data is None:
            continue
        changes = {}
        count = 0
        try:
            for at, size in frames(data):
                lines = unpack(data[at : at + size]).splitlines(keepends=True)
                blank = [line[:46] in wanted for line in lines]
                if any(blank):
                    count += sum(blank)
                    left = [
                        b" " * (len(line) - 1) + b"\n" if gone else line
                        for line, gone in zip(lines, blank, strict=True)
                    ]
                    changes[at] = _fitted(left, size)
        except ValueError as exc:
            raise StoreError(f"{place.directory / name} is damaged, so nothing can be erased: {exc}") from exc
        if changes:
            _replace(place, name, _changed(data, changes))
            ledger.write("UPDATE packs SET lines = lines - ? WHERE name = ?", (count, name))
            erased += count
    return erased


def keep_live(place: Place, ledger: Ledger, name: str) -> None:
    """Leave in a part the frames to which rows point, in their places. Raises StoreError."""
    spots = {Spot.parse(location)[1:3] for (location,) in ledger.query(_LIVE, (f"{name}#*",))}
    data = _read(place, name)
    if not spots:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=place.fd)
        ledger.write("DELETE FROM packs WHERE name = ?", (name,))
        return
    if data is None:
        return
    written, lines = bytearray(), 0
    for at, size in sorted(spots):
        if at > len(written):
            written += skipped(at - len(written))
        frame = data[at : at + size]
        written += frame
        with suppress(ValueError):  # a row whose call nobody can tell still points there
            lines += sum(not line.isspace() for line in unpack(frame).splitlines())
    if written != data:
        _replace(place, name, bytes(written))
    ledger.write("UPDATE packs SET bytes = ?, lines = ? WHERE name = ?", (len(written), lines, name))


def _fitted(lines: list[bytes], size: int) -> bytes:
    """A frame with these lines, and a skippable one behind it, in just as many bytes. Raises ValueError."""
    for level in HARDER:
        frame = pack(lines, level)
        if len(frame) == size:
            return frame
        if len(frame) + len(skipped(0)) <= size:
            return frame + skipped(size - len(frame))
    raise ValueError(f"what is left does not fit {size} bytes")


def _changed(data: bytes, changes: Mapping[int, bytes]) -> bytes:
    changed = bytearray(data)
    for at, piece in changes.items():
        changed[at : at + len(piece)] = piece
    return bytes(changed)


def _read(place: Place, name: str) -> bytes | None:
    """A whole part; None when it is not there. Raises StoreError."""
    try:
        check_name(name)
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.fd)
        with open(fd, "rb") as file:  # noqa: PTH123  # of a descriptor
            return file.read()
    except FileNotFoundError:
        return None
    except BodyError as exc:
        raise StoreError(str(exc)) from exc
    except OSError as exc:
        raise StoreError(f"cannot read {place.directory / name}: {exc.strerror}") from exc


def _replace(place: Place, name: str, data: bytes) -> None:
    folder, root = name.rpartition("/")[0], place.fd
    try:
        with suppress(FileNotFoundError):
            os.unlink(name + PARTIAL, dir_fd=root)
        fd = os.open(name + PARTIAL, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666, dir_fd=root)
        try:
            write_all(fd, data)
            full_sync(fd)
        finally:
            os.close(fd)
        os.link(name, name + FORMER, src_dir_fd=root, dst_dir_fd=root, follow_symlinks=False)
        os.rename(name + PARTIAL, name, src_dir_fd=root, dst_dir_fd=root)
        sync(root, folder)
    except OSError as exc:
        raise StoreError(f"cannot rewrite {place.directory / name}: {exc.strerror}") from exc
    shred(place, name + FORMER)
