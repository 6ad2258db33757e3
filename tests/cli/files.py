"""Files: backed up and restored through the command line, whole and in part."""
import os
import pwd
import shutil
import unittest
from pathlib import Path

from harness import INCOMPLETE, TARGET_NOT_EMPTY, Case, as_user, contents, is_root


class Files(Case):
    def restored(self, directory):
        return self.scratch / directory / self.data.relative_to("/")

    def test_whole(self):
        self.make_stack()
        os.symlink("a.txt", self.data / "link")
        os.link(self.data / "a.txt", self.data / "hard")
        os.mkfifo(self.data / "fifo")
        (self.data / os.fsdecode(b"not utf-8 \xff")).write_text("x")
        with open(self.data / "sparse", "wb") as file:
            file.seek(10 << 20)
            file.write(b"end")
        os.utime(self.data / "a.txt", ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
        os.setxattr(self.data / "a.txt", "user.note", b"value")
        self.holdfast("backup")
        self.holdfast("restore", "--to", self.scratch / "out")
        out = self.restored("out")
        self.assertEqual(contents(self.data), contents(out))
        self.assertEqual((out / "a.txt").stat().st_mtime_ns, 1_500_000_000_123_456_789)
        self.assertEqual((out / "a.txt").stat().st_ino, (out / "hard").stat().st_ino)
        self.assertEqual(os.getxattr(out / "a.txt", "user.note"), b"value")
        self.assertLess((out / "sparse").stat().st_blocks * 512, 1 << 20)

    def test_a_restore_does_not_clean_up_first(self):
        self.make_stack()
        self.holdfast("backup")
        temporary = self.scratch / "tmp"
        left = temporary / "holdfast-aside-abcdef"  # as a process that was killed leaves it
        left.mkdir(parents=True)
        (left / "lock").touch()
        self.holdfast("restore", "--to", self.scratch / "out", environment={"TMPDIR": str(temporary)})
        self.assertTrue(left.exists())
        self.holdfast("points", environment={"TMPDIR": str(temporary)})
        self.assertFalse(left.exists())

    def test_a_repository_among_the_files(self):
        self.repository = self.data / "repository"
        self.make_data()
        self.write_config()
        self.holdfast("init")
        self.holdfast("backup")
        self.holdfast("backup")
        (self.data / "a.txt").write_text("overwritten\n")
        outcome = self.holdfast("restore", "--delta", "--remove-extra")
        self.assertIn("(it is the repository of backups)", outcome.out)
        self.assertEqual((self.data / "a.txt").read_text(), "alpha\n")
        self.holdfast("check", "--read-data")
        self.holdfast("restore", "--to", self.scratch / "out")
        self.assertEqual(sorted(path.name for path in self.restored("out").iterdir()), ["a.txt", "sub"])

    def test_a_dry_run_shows_the_plan_then_every_obstacle_and_some_of_many_files(self):
        self.make_data()
        other = self.scratch / "other"
        other.mkdir()
        (other / "x").write_text("x")
        for number in range(20):
            (self.data / f"many{number:02}").write_text(str(number))
        self.write_config(f"  - {{name: data, kind: files, paths: [{self.data}]}}\n  - {{name: more, kind: files, paths: [{other}]}}\n")
        self.holdfast("init")
        self.holdfast("backup")
        told = self.holdfast("restore", "--to", self.scratch / "out", "--dry-run").out
        self.assertRegex(told, r"(?m)^would create file: \d+ more$")
        self.assertLess(told.count("would create file /"), 10)
        self.assertIn("-v or --json lists them, up to 10,000 of each kind", told)
        self.assertGreater(self.holdfast("restore", "--to", self.scratch / "out", "--dry-run", "-v").out.count("would create file "), 20)
        component = self.holdfast("restore", "--to", self.scratch / "out", "--dry-run", "--json").json()["components"][0]
        files = [change for change in component["changes"] if change.startswith("create file ")]
        self.assertEqual(component["change_counts"]["create file"], len(files))
        self.assertEqual(len(files), 22)
        outcome = self.holdfast("restore", "--dry-run", expect=TARGET_NOT_EMPTY)
        self.assertIn("will be as at", outcome.out)
        self.assertIn("component data: ", outcome.err)
        self.assertIn("; component more: ", outcome.err)
        document = self.holdfast("restore", "--dry-run", "--json", expect=TARGET_NOT_EMPTY).json()
        self.assertTrue(all(component["obstacle"] for component in document["components"]), document)
        self.assertEqual(document["error"]["exit_status"], TARGET_NOT_EMPTY)

    def test_in_place_delta_and_extra(self):
        self.make_stack()
        before = contents(self.data)
        (self.data / "a.txt").write_text("overwritten\n")
        (self.data / "sub" / "b.bin").unlink()
        (self.data / "intruder").write_text("x")
        self.holdfast("restore", expect=TARGET_NOT_EMPTY)
        plan = self.holdfast("restore", "--delta", "--dry-run", "--json").json()
        self.assertTrue(any("a.txt" in change for change in plan["components"][0]["changes"]), plan)
        self.assertEqual((self.data / "a.txt").read_text(), "overwritten\n")
        self.holdfast("restore", "--delta")
        self.assertEqual({**before, "intruder": contents(self.data)["intruder"]}, contents(self.data))
        self.holdfast("restore", "--delta", "--remove-extra")
        self.assertEqual(before, contents(self.data))

    def test_a_path_that_is_too_long_below_the_target_is_left_out_and_named(self):
        self.make_data()
        deep, part = str(self.data), "d" * 100
        while len(deep) + 1 + len(part) < 3950:
            deep += "/" + part
        os.makedirs(deep)
        for name in ("leaf", "other"):
            Path(deep, name).write_text(name)
        os.link(Path(deep, "leaf"), self.data / "zlink")  # the file itself where its first name is left out
        self.write_config()
        self.holdfast("init")
        self.holdfast("backup")
        out = self.scratch / ("t" * 200)
        left_out = [f"{deep[1:]}/{name}" for name in ("leaf", "other")]
        plan = self.holdfast("restore", "--to", out, "--dry-run", "--json").json()["components"][0]
        for path in left_out:
            self.assertIn(f"{path}: not restored: its path is too long below '{out}'", plan["notes"])
        outcome = self.holdfast("restore", "--to", out, "--json", expect=INCOMPLETE).json()
        faults = outcome["components"][0]["restored"]["faults"]
        for path in left_out:
            self.assertIn(f"{path}: not restored: its path is too long below '{out}'", faults)
        restored = out / str(self.data)[1:]
        self.assertEqual((restored / "a.txt").read_text(), "alpha\n")
        self.assertEqual((restored / "zlink").read_text(), "leaf")
        self.holdfast("restore", "--to", out, "--delta", "--remove-extra", expect=INCOMPLETE)
        self.assertEqual((restored / "zlink").read_text(), "leaf")
        # Where they were there is room for their names.
        shutil.rmtree(self.data)
        self.holdfast("restore")
        self.assertEqual(Path(deep, "leaf").read_text(), "leaf")
        self.assertEqual((self.data / "zlink").stat().st_ino, Path(deep, "leaf").stat().st_ino)

    def test_a_path_that_just_fits_is_restored(self):
        """Though beside it no temporary of the usual name would."""
        self.make_data()
        deep, part = str(self.data), "d" * 100
        while len(deep) + 1 + len(part) < 3950:
            deep += "/" + part
        deep += "/" + "e" * (4095 - 26 - 1 - len(deep))  # 25 bytes are left for a name below it
        os.makedirs(deep)
        names = ["n" * 25, "short"]
        for name in names:
            Path(deep, name).write_text(name)
        os.symlink("short", Path(deep, "link"))
        os.link(Path(deep, "short"), Path(deep, "zhard"))
        self.write_config()
        self.holdfast("init")
        self.holdfast("backup")
        self.holdfast("restore", "--delta")  # nothing to do
        shutil.rmtree(self.data)
        self.holdfast("restore")
        Path(deep, "n" * 25).write_text("changed")
        Path(deep, "zhard").unlink()
        Path(deep, "zhard").write_text("another file")
        self.holdfast("restore", "--delta", "--remove-extra")
        self.assertEqual(sorted(os.listdir(deep)), sorted([*names, "link", "zhard"]))
        for name in names:
            self.assertEqual(Path(deep, name).read_text(), name)
        self.assertEqual(Path(deep, "zhard").stat().st_ino, Path(deep, "short").stat().st_ino)
        self.assertEqual(os.readlink(Path(deep, "link")), "short")

    def test_a_point_that_lacks_files_says_so(self):
        self.make_data()
        (self.data / "locked").write_text("x")
        (self.data / "locked").chmod(0)
        self.write_config()
        self.holdfast("init")
        as_nobody = ()
        if is_root():
            for path in (self.scratch, *self.scratch.rglob("*")):
                os.chown(path, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
            os.chown(self.data / "locked", 0, 0)
            as_nobody = as_user("nobody")
        self.holdfast("backup", expect=INCOMPLETE, prefix=as_nobody)
        note = f"1 path could not be read when this point was taken: {str(self.data)[1:]}/locked: not read"
        plan = self.holdfast("restore", "--to", self.scratch / "out", "--json", prefix=as_nobody).json()
        self.assertTrue(plan["components"][0]["notes"][0].startswith(note), plan)
        self.assertIn("1 path could not be read", self.holdfast("restore", "--to", self.scratch / "out2", prefix=as_nobody).out)
        self.assertIn(note, self.holdfast("verify", prefix=as_nobody).out)
        self.holdfast("restore", "--delta", "--remove-extra", prefix=as_nobody)
        self.assertTrue((self.data / "locked").exists())

    def test_part_of_it(self):
        self.make_stack()
        self.holdfast("restore", "--path", self.data / "sub", "--to", self.scratch / "out")
        self.assertEqual(sorted(path.name for path in self.restored("out").iterdir()), ["sub"])

    def test_an_earlier_point(self):
        self.make_stack()
        first = self.holdfast("latest").out.strip()
        instant = self.holdfast("latest", "--json").json()["point"]["components"][0]["instant"]
        (self.data / "a.txt").write_text("later\n")
        self.holdfast("backup")
        self.holdfast("restore", "--point", first[:8], "--to", self.scratch / "one")
        self.assertEqual((self.restored("one") / "a.txt").read_text(), "alpha\n")
        self.holdfast("restore", "--at", instant, "--to", self.scratch / "two")
        self.assertEqual((self.restored("two") / "a.txt").read_text(), "alpha\n")
        self.holdfast("restore", "--at", "latest", "--to", self.scratch / "three")
        self.assertEqual((self.restored("three") / "a.txt").read_text(), "later\n")

    def test_two_components_go_to_folders_of_their_names(self):
        self.make_data()
        (self.scratch / "other").mkdir()
        (self.scratch / "other" / "o").write_text("o")
        self.write_config(f"  - {{name: data, kind: files, paths: [{self.data}]}}\n  - {{name: other, kind: files, paths: [{self.scratch}/other]}}\n")
        self.holdfast("init")
        self.holdfast("backup")
        point = self.holdfast("points", "--json").json()["points"]
        self.assertEqual([snapshot["component"] for snapshot in point[0]["components"]], ["data", "other"])
        self.holdfast("restore", "--to", self.scratch / "out")
        self.assertEqual(sorted(path.name for path in (self.scratch / "out").iterdir()), ["data", "other"])

    def test_nothing_is_touched_when_the_second_component_can_not_be_restored(self):
        self.test_two_components_go_to_folders_of_their_names()
        blocked = self.scratch / "again" / "other" / self.scratch.relative_to("/") / "other"
        blocked.mkdir(parents=True)
        (blocked / "o").write_text("mine")
        before = contents(self.scratch / "again")
        self.holdfast("restore", "--to", self.scratch / "again", expect=TARGET_NOT_EMPTY)
        self.assertEqual(before, contents(self.scratch / "again"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
