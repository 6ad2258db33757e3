"""What somebody meets who recovers on a machine that is not the one that was backed up."""
import json
import shutil
import subprocess
import unittest

from archiving import ArchivingCase
from harness import MISMATCH, NOT_FOUND, PERMISSION, USAGE, VERIFY_FAILED, Server, is_root

UMASK_077 = ["sh", "-c", 'umask 077; exec "$@"', "sh"]
NO_PROGRAMS = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /usr/lib/postgresql && exec "$@"', "sh"]


def may_mount():
    return is_root() and subprocess.run([*NO_PROGRAMS, "true"], capture_output=True, check=False).returncode == 0


class NewMachine(ArchivingCase):
    @unittest.skipUnless(is_root(), "only root restores for another account")
    def test_the_servers_account_must_be_able_to_fetch_wal(self):
        self.write_history()
        self.server.stop()
        (self.scratch / "pass").chmod(0o600)
        shutil.chown(self.scratch / "pass", "root", "root")
        out = self.scratch / "out"
        program = self.program()
        for words in (["--dry-run"], []):
            outcome = self.holdfast("restore", "--to", out, *words, program=program, expect=PERMISSION)
            self.assertIn("the server will run as 'postgres', which can't fetch its WAL: ", outcome.err)
            self.assertIn(str(self.scratch / "pass"), outcome.err)
            self.assertIn("hint: let that account run holdfast and read its configuration, the passphrase and the repository", outcome.err)
            self.assertFalse(out.exists())
        shutil.chown(self.scratch / "pass", "postgres", "postgres")
        closed = self.scratch / "closed"
        closed.mkdir(mode=0o700)
        outcome = self.holdfast("restore", "--to", closed / "below" / "out", program=program, expect=PERMISSION)
        self.assertIn(f"the server will run as 'postgres', which can't get into {closed}", outcome.err)
        self.assertEqual(list(closed.iterdir()), [])
        # A TMPDIR of root's own; and a umask that closes what is made on the way.
        out = self.scratch / "new" / "place" / "out"
        self.holdfast("restore", "--to", out, program=program, prefix=UMASK_077, environment={"TMPDIR": str(closed)})
        self.assertEqual([path.stat().st_mode & 0o777 for path in (out.parent.parent, out.parent, out)], [0o755, 0o755, 0o700])
        shutil.chown(out.parent, "postgres", "postgres")  # for the server's log
        self.assertEqual(self.restored_value(out, "select count(*) from t"), "3")

    def test_a_restored_server_fetches_from_where_it_was_restored_from(self):
        self.write_history()
        self.server.stop()
        moved = self.scratch / "moved"
        self.repository.rename(moved)
        out = self.scratch / "out"
        self.as_server("--repository", moved, "restore", "--to", out)
        self.assertEqual(self.restored_value(out, "select count(*) from t"), "3")
        # The original's passphrase in a variable, and elsewhere; the file's is gone.
        (self.scratch / "pass").rename(self.scratch / "kept")
        words = ["--repository", moved, "restore", "--to", self.scratch / "again"]
        variable = {"environment": {"HOLDFAST_PASSPHRASE": "a passphrase"}}
        if is_root():
            program = self.program()
            outcome = self.holdfast(*words, program=program, expect=PERMISSION, **variable)
            self.assertIn(f"can't open {self.scratch / 'pass'}: no such file or directory", outcome.err)
        outcome = self.as_server("--repository", moved, "restore", "--to", self.scratch / "third", **variable)
        self.assertIn(f"its restore_command takes the passphrase from file:{self.scratch / 'pass'} ({self.config}) "
                      "where HOLDFAST_PASSPHRASE is not in its environment", outcome.err + outcome.out)
        self.as_server("--passphrase", f"file:{self.scratch / 'kept'}", *words)
        self.assertEqual(self.restored_value(self.scratch / "again", "select count(*) from t"), "3")

    def test_a_command_that_depends_on_where_one_stands_is_told_of(self):
        self.write_history()
        self.server.stop()
        passphrase = self.scratch / "pass.sh"
        passphrase.write_text("#!/bin/sh\necho a passphrase\n")
        passphrase.chmod(0o755)
        self.give_to_server(passphrase)
        out = self.scratch / "out"
        doubt = "its restore_command, run as the server will run it, in a directory of its own, can't fetch WAL: "
        for words in (["--dry-run"], []):
            said = self.as_server("--passphrase", "exec:./pass.sh", "restore", "--to", out, *words, cwd=self.scratch).out
            self.assertRegex(" ".join(said.split()), doubt + r"[^()]*: secret exec:\./pass\.sh: ")
        shutil.rmtree(out)
        # Where there is no room, or no TMPDIR, to try it.
        self.assertNotIn("can't fetch WAL", self.as_server("--passphrase", f"exec:{passphrase}", "restore", "--to", out,
                                                          environment={"TMPDIR": "/nowhere"}).out)
        self.assertEqual(self.restored_value(out, "select count(*) from t"), "3")

    def test_the_plan_says_whom_the_cluster_will_belong_to(self):
        self.write_history()
        point = self.as_server("points", "--json").json()["points"][0]
        plan = ["restore", "--to", self.scratch / "out", "--dry-run"]
        if not is_root():
            self.assertNotIn("owner", self.as_server(*plan, "--json").json()["components"][0])
            self.as_server(*plan, "--owner", "root", expect=PERMISSION)
            return
        program = self.program()
        self.assertEqual(self.holdfast(*plan, "--json", program=program).json()["components"][0]["owner"], "postgres", point)
        self.assertIn("  owner          postgres\n", self.holdfast(*plan, program=program).out)
        # What others have to read to fetch WAL.
        for path in (self.scratch, self.config, self.scratch / "pass", self.repository, *self.repository.rglob("*")):
            path.chmod(path.stat().st_mode | 0o055)
        self.assertIn("  owner          daemon\n", self.holdfast(*plan, "--owner", "daemon", program=program).out)
        for owner, says in (("70001", "--owner: account 70001 has no name on this machine, and so no group"),
                            ("nobody-here", "--owner: there is no account 'nobody-here' on this machine"),
                            ("daemon:4294967295", "--owner: there is no group '4294967295' on this machine")):
            self.refuse(*plan, "--owner", owner, program=program, status=NOT_FOUND if "there is no" in says else USAGE, says=says)
        outcome = self.as_server(*plan, "--owner", "daemon", expect=PERMISSION)
        self.assertIn("--owner: only root can give files to another account, 'daemon'", outcome.err)
        # Such as a container's, which has no name outside of it.
        self.holdfast("restore", "--to", self.scratch / "out", "--owner", "70001:70002", program=program)
        status = (self.scratch / "out" / "PG_VERSION").stat()
        said = self.holdfast("restore", "--to", self.scratch / "other", program=program).out
        self.assertIn(f"start the server on {self.scratch / 'other'} as 'postgres' to replay its WAL", " ".join(said.split()))
        self.assertEqual((status.st_uid, status.st_gid), (70001, 70002))

    @unittest.skipUnless(may_mount(), "needs root, and to mount")
    def test_where_it_can_not_be_tried(self):
        self.write_history()
        program = self.program()
        # A directory for what is temporary can be made in TMPDIR, and a segment has no room there.
        place, full = self.scratch / "place", self.scratch / "full"
        for directory in (place, full):
            directory.mkdir()
        prefix = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k,mode=1777 none "$TMPDIR" && exec "$@"', "sh"]
        self.holdfast("restore", "--to", place / "out", "--dry-run", program=program, prefix=prefix, environment={"TMPDIR": str(full)})
        closed = self.scratch / "closed"
        closed.mkdir(mode=0o700)
        space = self.scratch / "space"
        space.mkdir()
        self.give_to_server(space)
        self.server.sql(f"create tablespace s location '{space}'")
        self.as_server("backup")
        outcome = self.holdfast("restore", "--to", place / "out", "--tablespace", f"{space}={closed / 'ts'}", program=program, expect=PERMISSION)
        self.assertIn(f"the server will run as 'postgres', which can't get into {closed}", outcome.err)
        said = self.holdfast("restore", "--to", place / "out", "--tablespace", f"{space}={place / 'ts'}", "--owner", "root", program=program).out
        self.assertIn("it belongs to root, whom PostgreSQL refuses: give it to the server's account first", said)
        self.assertNotIn("as 'root'", said)

    def test_without_a_file(self):
        instant = self.write_history()
        words = ["--repository", self.repository, "--passphrase", f"file:{self.scratch / 'pass'}"]
        bare = {"config": False, "cwd": "/"}
        self.as_server(*words, "restore", "--at", instant, "--database", "postgres", "--target-database", "then", "--server",
                       self.server.connection, "--scratch", self.scratch, **bare)
        rows = self.server.run("psql", "-XqAt", "-h", self.server.socket, "-U", self.server.superuser, "-d", "then", "-c", "select count(*) from t").stdout
        self.assertEqual(rows, "2\n")
        for mistaken in (["restore", "--database", "postgres", "--target-database", "never"], ["restore", "--dry-run"], ["points"], ["latest"],
                         ["log"], ["stats"], ["drill", "--list"], ["drill"]):
            outcome = self.as_server(*words, "--stack", "nosuch", *mistaken, expect=NOT_FOUND, **bare)
            self.assertIn(f"the repository at {self.repository} has no point of the stack 'nosuch', but of: test\n", outcome.err)
        self.assertIn("1 point of test: ", self.as_server(*words, "stats", **bare).out)
        made = self.as_server(*words, "drill", "--scratch", self.scratch, "--json", **bare).json()["evidence"]
        self.assertEqual((made["stack"], made["result"]), ("test", "passed"), made)
        for listed in (self.as_server("drill", "--list", "--json"), self.as_server(*words, "drill", "--list", "--json", **bare)):
            self.assertEqual([drill["evidence"]["id"] for drill in listed.json()["drills"]], [made["id"]])

    def set_bin_directory(self, directory):
        self.config.write_text(self.config.read_text().replace("rpo: 5m", f"rpo: 5m, bin_directory: {directory}"))

    def test_programs_that_are_elsewhere_here(self):
        self.write_history()
        self.set_bin_directory("/opt/of-the-old-machine/bin")
        for words in (["verify", "--boot"], ["drill"], ["restore", "--database", "postgres", "--target-database", "then"]):
            with self.subTest(words=words):
                said = self.as_server(*words, "--scratch", self.scratch).err
                self.assertIn("postgres.programs.elsewhere", said)
                self.assertIn("/opt/of-the-old-machine/bin", said)
                self.assertIn(str(Server.BIN), said)

    @unittest.skipUnless(may_mount(), "needs root, and to mount")
    def test_programs_of_another_major_version_alone(self):
        self.write_history()
        binaries = self.scratch / "bin"
        binaries.mkdir()
        for name in ("postgres", "pg_ctl", "pg_amcheck", "initdb"):
            (binaries / name).write_text("#!/bin/sh\necho \"$(basename $0) (PostgreSQL) 11.22\"\n")
            (binaries / name).chmod(0o755)
        binaries.chmod(0o755)
        self.set_bin_directory(binaries)
        major = (self.server.data / "PG_VERSION").read_text().strip()
        problem = f"it needs the server programs of PostgreSQL {major}, and there are those of 11 alone here, in bin_directory ({binaries}) or elsewhere"
        hint = (f"hint: install the package postgresql-{major} (Debian, Ubuntu) or postgresql{major}-server (Red Hat), or name the "
                "directory of its programs: bin_directory in holdfast.yaml, or HOLDFAST_PG_BIN\n")
        databases = self.server.sql("select string_agg(datname, ',' order by 1) from pg_database")
        without = {"prefix": [*NO_PROGRAMS, *self.server.prefix]}
        for words in (["verify", "--boot", "--scratch", self.scratch],
                      ["restore", "--database", "postgres", "--target-database", "then", "--scratch", self.scratch]):
            with self.subTest(words=words):
                outcome = self.holdfast(*words, expect=MISMATCH, **without)
                self.assertIn(f"{problem}\n", outcome.err)
                self.assertIn(hint, outcome.err)
        self.assertEqual(self.server.sql("select string_agg(datname, ',' order by 1) from pg_database"), databases)
        # A drill that can't be made is evidence, too.
        outcome = self.holdfast("drill", "--scratch", self.scratch, "--json", expect=VERIFY_FAILED, **without)
        evidence = outcome.json()["evidence"]
        self.assertEqual((evidence["result"], evidence["destroyed"]), ("failed", True))
        self.assertIn(problem, json.dumps(evidence))


if __name__ == "__main__":
    unittest.main()
