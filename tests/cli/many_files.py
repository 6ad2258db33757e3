"""Memory does not grow with the number of files: a hundred thousand tiny ones through all that
looks at each, held against a bound. HOLDFAST_MANY_FILES=N takes another number, and
HOLDFAST_FILES_IN_ONE_DIRECTORY=N another number in each directory."""
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import PROGRAM, Background, Case, wait_until

COUNT = int(os.environ.get("HOLDFAST_MANY_FILES", "100000"))
IN_ONE_DIRECTORY = int(os.environ.get("HOLDFAST_FILES_IN_ONE_DIRECTORY", "5000"))
# What a command that opens a repository needs at least, most of it to derive the key.
ROOM_MIB = 24


def in_memory():
    """A place for files that costs no disk, where there is one with room."""
    place = Path("/dev/shm")
    fits = place.is_dir() and os.access(place, os.W_OK) and shutil.disk_usage(place).free > COUNT * 20_000
    return place if fits else None


class ManyFiles(Case):
    def setUp(self):
        super().setUp()
        place = in_memory()
        if place:
            shutil.rmtree(self.scratch)
            self.scratch = Path(tempfile.mkdtemp(prefix="holdfast-cli-", dir=place))
            self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
            self.config, self.repository, self.data = (self.scratch / name for name in ("holdfast.yaml", "repository", "data"))
        for number in range(COUNT):
            path = self.path_of(number)
            if number % IN_ONE_DIRECTORY == 0:
                path.parent.mkdir(parents=True)
            path.write_bytes(b"content of %d" % number)
        self.write_config(extra="retention: {keep_last: 1}\n")

    def path_of(self, number):
        return self.data / f"directory-{number // IN_ONE_DIRECTORY:05}" / f"file-{number:07}"

    def peak_mib(self, *words):
        """Of a command that ends well."""
        with open(self.scratch / "out", "wb") as out:
            process = subprocess.Popen([PROGRAM, "--config", self.config, "--quiet", *map(str, words)], stdout=out, stderr=out)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(process.returncode, 0, (self.scratch / "out").read_text()[-2000:])
        return usage.ru_maxrss // 1024

    def test_memory_is_bounded(self):
        bound = self.peak_mib("init") + ROOM_MIB
        out = self.scratch / "restored"
        peaks = {"backup": self.peak_mib("backup")}
        for number in range(0, COUNT, 100):
            self.path_of(number).write_bytes(b"changed")
        peaks["backup again"] = self.peak_mib("backup")
        # FUSE keeps something of each name that the kernel remembers.
        peaks["mount"] = self.listing_peak_mib() - COUNT * 200 // (1 << 20)
        for name, words in {"check": ["check", "--read-data"], "verify": ["verify"],
                            "dry run into nothing": ["restore", "--to", out, "--dry-run"],
                            "dry run into nothing as JSON": ["restore", "--to", out, "--dry-run", "--json"],
                            "restore": ["restore", "--to", out],
                            "restore over": ["restore", "--to", out, "--delta", "--remove-extra"],
                            "dry run": ["restore", "--to", out, "--delta", "--remove-extra", "--dry-run", "--json"],
                            "prune": ["prune", "--grace", "0s"], "prune again": ["prune", "--grace", "0s"]}.items():
            peaks[name] = self.peak_mib(*words)
        restored = sum(len(files) for _, _, files in os.walk(out))
        self.assertEqual(restored, COUNT)
        self.assertEqual({name: peak for name, peak in peaks.items() if peak > bound}, {}, f"the bound is {bound} MiB: {peaks}")

    def listing_peak_mib(self):
        """Of a mount of which each name was listed and looked at."""
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            return 0
        mountpoint = self.scratch / "mnt"
        mountpoint.mkdir()
        background = Background([PROGRAM, "--config", self.config, "mount", mountpoint], self.scratch / "mount.log")
        self.addCleanup(subprocess.run, ["fusermount3", "-uzq", mountpoint], check=False)
        self.addCleanup(background.process.kill)
        wait_until("the mount", lambda: background.process.poll() is not None or mountpoint.is_mount())
        self.assertIsNone(background.process.poll(), (self.scratch / "mount.log").read_text())
        served = mountpoint / "latest" / "data" / self.data.relative_to("/")
        count = 0
        for directory in sorted(served.iterdir()):
            with os.scandir(directory) as entries:
                count += sum(entry.stat(follow_symlinks=False).st_size > 0 for entry in entries)
        self.assertEqual(count, COUNT)
        status = Path(f"/proc/{background.process.pid}/status").read_text()
        peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
        self.assertEqual(background.end(signal.SIGTERM), 0, (self.scratch / "mount.log").read_text())
        return peak_kib // 1024


if __name__ == "__main__":
    unittest.main(verbosity=2)
