"""The mounted points: names, metadata, ranges, and a clean end."""
import os
import signal
import subprocess
import unittest
from pathlib import Path

from harness import PROGRAM, REFUSED, Background, Case, contents, wait_until


@unittest.skipUnless(os.access("/dev/fuse", os.R_OK | os.W_OK), "there is no FUSE here that this account may use")
class Mount(Case):
    def setUp(self):
        super().setUp()
        self.make_stack()
        os.symlink("a.txt", self.data / "link")
        os.setxattr(self.data / "a.txt", "user.note", b"value")
        (self.data / os.fsdecode(b"not utf-8 \xff")).write_text("x")
        for number in range(500):
            (self.data / f"many{number}").write_text(str(number))
        (self.data / "large").write_bytes(os.urandom(20_000_000))
        self.holdfast("backup")
        self.mountpoint = self.scratch / "mnt"
        self.mountpoint.mkdir()

    def mount(self):
        background = Background([PROGRAM, "--config", self.config, "mount", self.mountpoint], self.scratch / "mount.log")
        self.addCleanup(subprocess.run, ["fusermount3", "-uzq", self.mountpoint], check=False)
        self.addCleanup(background.process.kill)
        wait_until("the mount", lambda: background.process.poll() is not None or self.mountpoint.is_mount())
        self.assertIsNone(background.process.poll(), (self.scratch / "mount.log").read_text())
        return background

    def test_browse(self):
        background = self.mount()
        self.assertEqual(sorted(path.name for path in self.mountpoint.iterdir()), ["latest", "points"])
        self.assertEqual(len(list((self.mountpoint / "points").iterdir())), 2)
        served = self.mountpoint / "latest" / "data" / self.data.relative_to("/")
        self.assertEqual(contents(self.data), contents(served))
        for name in ("a.txt", "sub", "sub/b.bin"):
            ours, theirs = (self.data / name).stat(), (served / name).stat()
            for field in ("st_mode", "st_uid", "st_gid", "st_mtime_ns"):
                self.assertEqual(getattr(ours, field), getattr(theirs, field), (name, field))
        self.assertEqual((self.data / "large").stat().st_size, (served / "large").stat().st_size)
        self.assertEqual(os.getxattr(served / "a.txt", "user.note"), b"value")
        with open(served / "large", "rb") as theirs, open(self.data / "large", "rb") as ours:
            for offset, length in ((0, 1), (4_194_300, 9000), (19_999_990, 100), (12_345_678, 1_000_000)):
                theirs.seek(offset)
                ours.seek(offset)
                self.assertEqual(ours.read(length), theirs.read(length))
        with self.assertRaises(FileNotFoundError):
            (served / "nothing").stat()
        with self.assertRaises(OSError):
            (served / "a.txt").write_text("no")
        self.assertEqual(background.end(signal.SIGTERM), 0, (self.scratch / "mount.log").read_text())
        self.assertFalse(self.mountpoint.is_mount())

    def test_unmounting_ends_it(self):
        background = self.mount()
        subprocess.run(["fusermount3", "-u", self.mountpoint], check=True)
        self.assertEqual(background.process.wait(30), 0)

    def test_in_the_background(self):
        report = self.holdfast("mount", "-d", self.mountpoint, "--json").json()
        self.addCleanup(subprocess.run, ["fusermount3", "-uzq", self.mountpoint], check=False)
        self.assertTrue(self.mountpoint.is_mount())
        self.assertEqual(len(os.listdir(self.mountpoint / "points")), 2)
        subprocess.run(["fusermount3", "-u", self.mountpoint], check=True)
        gone = Path(f"/proc/{report['pid']}/cmdline")
        wait_until("the process's end", lambda: not gone.exists() or gone.read_bytes() == b"")

    def test_refusals(self):
        self.holdfast("mount", self.scratch / "nowhere", expect=4)
        self.holdfast("mount", self.config, expect=2)
        empty = self.data / "empty"
        empty.mkdir()
        for place, says in ((self.data, "is not empty: what is in it would be hidden"),
                            (empty, f"lies in {self.data}, which component data protects")):
            for words in (["-d"], []):
                self.assertIn(says, self.holdfast("mount", *words, place, expect=REFUSED).err)
        self.holdfast("mount", "-d", self.mountpoint, "--passphrase", "env:NOTHING", expect=3)


if __name__ == "__main__":
    unittest.main(verbosity=2)
