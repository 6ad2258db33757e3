"""Shared memory that outlives the processes that made it.

A PostgreSQL ended by SIGKILL leaves one System V segment, and a file of /dev/shm for each
POSIX one, which only a next start on the same data directory frees. Where the directory is
deleted instead, nobody would, and a machine has 4096 segments.
"""
import subprocess
from pathlib import Path


class SharedMemory:
    """What `processes` map, to be freed when they are gone."""

    def __init__(self, processes):
        self.segments, self.files = set(), set()
        for pid in processes:
            # proc(5): address, permissions, offset, device, inode, path. The inode of a
            # System V segment is its identifier.
            try:
                maps = Path(f"/proc/{pid}/maps").read_text()
            except OSError:  # it has ended by itself
                continue
            for words in map(str.split, maps.splitlines()):
                if len(words) > 5 and words[5].startswith("/SYSV"):
                    self.segments.add(words[4])
                elif len(words) > 5 and words[5].startswith("/dev/shm/PostgreSQL."):
                    self.files.add(words[5])

    def free(self):
        for segment in self.segments:
            subprocess.run(["ipcrm", "-m", segment], check=False, stderr=subprocess.DEVNULL)  # or it is gone
        for file in self.files:
            Path(file).unlink(missing_ok=True)
