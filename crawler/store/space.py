"""How much room the disk has left, and whether that is enough to go on. Asks the file system; knows no run."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Floor:
    """What must stay free on the output's disk. 0: any number will do."""

    min_bytes: int = 0
    min_inodes: int = 0

    def shortage(self, fd: int, *, waiting_bytes: int = 0, waiting_files: int = 0) -> str | None:
        """What is too little on the disk of an open file, for a person; None while there is enough.

        waiting_bytes, waiting_files: what is still to be written there, which counts as if it were.

        A file system that counts no inodes (btrfs) has enough of them. Quotas are not asked: they refuse the
        write, which ends the run too.
        """
        disk = os.statvfs(fd)
        # What is left for those who are not root.
        free_bytes, free_files = disk.f_bavail * disk.f_frsize - waiting_bytes, disk.f_favail - waiting_files
        if self.min_bytes and free_bytes < self.min_bytes:
            least = f"APIFETCH_MIN_FREE_BYTES={self.min_bytes}"
            return f"{max(0, free_bytes) // 2**20:,} MiB free on its disk, less than {least}"
        if self.min_inodes and disk.f_files and free_files < self.min_inodes:
            least = f"APIFETCH_MIN_FREE_INODES={self.min_inodes}"
            return f"room for {max(0, free_files):,} more files on its disk, less than {least}"
        return None
