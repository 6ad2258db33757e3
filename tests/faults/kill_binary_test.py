"""The program, killed by SIGKILL in the middle of its work, again and again.

After each kill nothing is cleaned up by hand, and
  - `check --read-data` finds no damage,
  - every point from before restores to what it was (and a point that the killed
    command may have committed, to what was there),
  - the killed command, run again, does its work, and
  - no backup mode, session or temporary slot is left on the server.

A run that is not disturbed says how much a command reads and writes; each killed
one dies when it has come a random share of that way. HOLDFAST_SEED chooses others.
"""
import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "cli"))
from harness import ALREADY_EXISTS, NOT_FOUND, PROGRAM, WRONG_PASSPHRASE, Case, Server, contents, wait_until  # noqa: E402

# In memory, where there is room: many points are restored, and durably.
if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 1 << 30:
    tempfile.tempdir = os.environ.get("TMPDIR", "/dev/shm")
SEED = int(os.environ.get("HOLDFAST_SEED", "20240517"))
BACKUPS, PRUNES, RESTORES, ROTATIONS, RECEIVERS = 12, 9, 8, 6, 8
INITS, PUSHES, KEYS = 6, 6, 5
MEMBERS = 24
MEMBER_BYTES = 400_000
# Has the recovery settings of each restore.
SETTINGS = {"postgresql.auto.conf"}


def calls(pid):
    """How many reads and writes a process has done; None when it has ended."""
    try:
        text = Path(f"/proc/{pid}/io").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return sum(int(number) for number in re.findall(r"sysc[rw]: (\d+)", text))


def follow(process, until=None):
    """Watches a process to its end, or until it has done so many calls. Returns the calls."""
    seen = 0
    while process.poll() is None:
        now = calls(process.pid)
        if now:
            seen = now
        if until is not None and seen >= until:
            break
        os.sched_yield()
    return seen

# A cluster that is only looked at: the server's account, which may not read this
# repository of root's, is none of its business.
NOT_TO_BE_STARTED = ("--owner", "root")


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
@unittest.skipUnless(Path("/proc/self/io").exists(), "the kernel does not count the calls of a process")
@unittest.skipUnless(os.geteuid() == 0, "needs root: what holdfast has called may not be read of a process that hides its memory")
class KillBinary(Case):
    def setUp(self):
        super().setUp()
        print(f"seed {SEED}", flush=True)
        self.random = random.Random(SEED)
        self.server = Server(self.scratch / "server", ["autovacuum = off"])
        self.addCleanup(self.server.remove)
        self.write_config(
            f"  - {{name: data, kind: files, paths: [{self.data}]}}\n"
            f"  - {{name: db, kind: postgres, connection: {self.server.connection}, slot: hf}}\n", "retention: {keep_last: 2}\n")
        self.data.mkdir()
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")
        # One database is enough, and makes a restore short.
        self.server.sql("update pg_database set datistemplate = false, datallowconn = true")
        for name in ("template0", "template1"):
            self.server.sql(f"drop database {name}")
        self.server.sql("create table t (n int, what text)")
        self.points = {}  # id -> contents of the data
        self.images = {}  # id -> contents of the cluster, as it was restored first
        self.state = 0
        self.kills, self.what = 0, ""
        self.holdfast("init")

    def change(self):
        """Another state of the files and of the database."""
        self.state += 1
        for i in range(MEMBERS):
            path = self.data / f"member-{i}"
            if self.state == 1 or self.random.random() < 0.4:
                path.write_bytes(self.random.randbytes(MEMBER_BYTES))
        self.server.sql(f"insert into t select {self.state}, md5(g::text) from generate_series(1, 2000) g")

    def backup(self):
        self.holdfast("backup")
        return self.listed()

    def listed(self):
        """The points, oldest first. One that is not known yet is of what is there now."""
        there = [point["id"] for point in self.holdfast("points", "--json").json()["points"]]
        for point in there:
            if point not in self.points:
                self.points[point] = contents(self.data)
        return there

    def start(self, *words):
        argv = [str(PROGRAM), "--config", str(self.config), *map(str, words)]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=self.scratch)

    def measure(self, *words):
        """Runs a command undisturbed; returns how many calls it does."""
        process = self.start(*words)
        seen = follow(process)
        said = process.communicate()[1].decode()
        self.assertEqual(process.returncode, 0, f"{words}: {said}")
        self.listed()
        return seen

    def until(self, total):
        return self.random.randrange(max(1, total // 20), max(2, total * 19 // 20))

    def kill(self, total, *words):
        """Runs a command and kills it at a random place of its way. Returns how long the way is, as far as known."""
        process = self.start(*words)
        seen = follow(process, self.until(total))
        self.killed(process, f"{' '.join(map(str, words))} after {seen} of about {total} calls")
        return total if process.returncode == -9 else seen

    def killed(self, process, what):
        process.kill()
        said = process.communicate()[1].decode()
        self.kills += process.returncode == -9
        self.what = f"{what}: status {process.returncode}"
        print(self.what, flush=True)
        self.assertIn(process.returncode, (0, -9), f"{self.what}: {said}")

    def until_killed(self, times):
        """Goes on until so many were really killed: some end before their time has come."""
        begin = self.kills
        for _ in range(3 * times):
            if self.kills - begin == times:
                return
            yield
        self.assertEqual(self.kills - begin, times)

    def holds(self, kept):
        """Everything that must be true after a kill. `kept`: points that must be there."""
        self.holdfast("check", "--read-data")
        there = self.listed()
        self.assertLessEqual(set(kept), set(there))
        for point in there:
            self.restores(point)
        self.server_is_free()

    def restores(self, point):
        to = self.scratch / "restored"
        self.holdfast("restore", "--point", point, "--to", to, *NOT_TO_BE_STARTED)
        self.same_as(point, to)
        shutil.rmtree(to)

    def same_as(self, point, to):
        self.assertEqual(self.points[point], contents(to / "data" / self.data.relative_to("/")))
        image = {name: what for name, what in contents(to / "db").items() if name not in SETTINGS}
        self.assertEqual(self.images.setdefault(point, image), image)

    def server_is_free(self):
        wait_until("the end of what the killed process had begun", lambda: self.server.sql(
            "select (select count(*) from pg_stat_activity where application_name ~ '^(holdfast|hf$)')"
            " + (select count(*) from pg_replication_slots where temporary)"
            " + (select count(*) from pg_stat_progress_basebackup)") == "0")

    def rows_of(self, *target):
        """Starts what a restore makes; the rows."""
        to = self.server.directory / "started"
        # The server's account runs the restore_command.
        for path in (self.repository, *self.repository.rglob("*")):
            if self.server.prefix:
                shutil.chown(path, "postgres", "postgres")
        self.holdfast("restore", "--component", "db", *target, "--to", to)
        self.server.stop()
        self.server.start(to)
        try:
            wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
            return self.server.sql("select count(*) || ':' || max(n) from t")
        finally:
            self.server.stop(to)
            shutil.rmtree(to)
            self.server.start()

    def prune(self):
        return self.holdfast("prune", "--grace", "0s", "--visibility-margin", "0s", "--json").json()["collection"]

    def backups(self):
        self.change()
        total = self.measure("backup")
        for _ in self.until_killed(BACKUPS):
            self.prune()
            self.change()
            before = self.listed()
            total = self.kill(total, "backup")
            self.holds(before)
            self.backup()

    def prunes(self):
        self.change()
        self.backup()
        total = self.measure("prune", "--grace", "0s", "--visibility-margin", "0s")
        for _ in self.until_killed(PRUNES):
            self.change()
            kept = self.backup()[-2:]
            total = self.kill(total, "prune", "--grace", "0s", "--visibility-margin", "0s")
            self.holds(kept)
            self.prune()
            self.assertEqual(self.listed(), kept)

    def restorations(self):
        to = self.scratch / "killed"
        words = ("restore", "--point", self.listed()[-1], "--to", to, *NOT_TO_BE_STARTED)
        total = self.measure(*words)
        shutil.rmtree(to)
        for _ in self.until_killed(RESTORES):
            kept = self.listed()
            total = self.kill(total, *words)
            self.holds(kept)
            self.holdfast(*words, "--delta")
            self.same_as(kept[-1], to)
            shutil.rmtree(to)

    def rotations(self):
        total = self.measure("key", "rotate", "--reseal")
        for _ in self.until_killed(ROTATIONS):
            kept = self.listed()
            total = self.kill(total, "key", "rotate", "--reseal")
            self.holds(kept)
            self.holdfast("key", "rotate", "--reseal")
            self.prune()

    def receivers(self):
        with self.writing():
            receiver = self.receive()
            total = calls(receiver.pid)
        self.assertTrue(total)
        self.stop_receiving(receiver)
        known = self.gaps()  # from before there was a slot
        for _ in self.until_killed(RECEIVERS):
            kept = self.listed()
            with self.writing():
                receiver = self.start("wal", "receive")
                seen = follow(receiver, self.until(2 * total))
            self.killed(receiver, f"wal receive after {seen} calls")
            self.holds(kept)
            self.stop_receiving(self.receive())
            self.assertEqual(self.gaps(), known)

    def initialisations(self):
        """`init` of a repository and passphrase of its own."""
        place = self.scratch / "fresh"
        place.mkdir()
        ours, self.config = self.config, place / "holdfast.yaml"
        self.config.write_text(
            f"stack: fresh\nrepository:\n  location: {place}/repository\n  passphrase: file:{place}/pass\n"
            f"components:\n  - {{name: data, kind: files, paths: [{self.data}]}}\n")
        process = self.start("init")
        total = follow(process)
        self.assertEqual(process.returncode, 0, process.communicate()[1])
        for _ in self.until_killed(INITS):
            shutil.rmtree(place / "repository", ignore_errors=True)
            (place / "pass").unlink(missing_ok=True)
            total = self.kill(total, "init")
            # Whole already, or made whole by the same command; whoever had a passphrase has it still.
            passphrase = (place / "pass").read_text() if (place / "pass").exists() else None
            again = self.holdfast("init", expect=None)
            self.assertIn(again.status, (0, ALREADY_EXISTS), f"{self.what}\n{again}")
            self.assertIn(passphrase, (None, (place / "pass").read_text()))
            self.holdfast("backup")
            self.holdfast("check", "--read-data")
        self.config = ours
        shutil.rmtree(place)

    def full_segment(self):
        """A WAL segment that nothing has stored."""
        self.server.sql(f"insert into t select {self.state}, md5(g::text) from generate_series(1, 2000) g")
        name = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.server.sql("select pg_switch_wal()")
        return self.server.data / "pg_wal" / name

    def pushes(self):
        total = self.measure("wal", "push", self.full_segment())
        for _ in self.until_killed(PUSHES):
            segment = self.full_segment()
            total = self.kill(total, "wal", "push", segment)
            self.holdfast("check", "--read-data")
            self.holdfast("wal", "push", segment)
            self.holdfast("wal", "get", segment.name, self.scratch / "got", cwd=self.server.data)
            self.assertEqual((self.scratch / "got").read_bytes(), segment.read_bytes())

    def keys(self):
        """A key is added, changed and removed; whoever could open the repository before either still can, or the command was done."""
        def given(name):
            (self.scratch / name).write_text(f"{name}\n")
            return f"file:{self.scratch}/{name}"

        def opens(name):
            outcome = self.holdfast("key", "list", "--json", "--passphrase", given(name), expect=None)
            self.assertIn(outcome.status, (0, WRONG_PASSPHRASE), f"{self.what}\n{outcome}")
            return [slot["id"] for slot in outcome.json()["slots"] if slot["current"]] if outcome.status == 0 else []

        add = ("key", "add", "--new-passphrase", given("second"))
        change = ("key", "change", "--passphrase", given("second"), "--new-passphrase", given("third"))
        totals = {"add": self.measure(*add), "change": self.measure(*change)}
        totals["remove"] = self.measure("key", "remove", opens("third")[0])
        begin = self.kills
        for _ in range(KEYS):
            totals["add"] = self.kill(totals["add"], *add)
            self.assertIn(self.holdfast(*add, expect=None).status, (0, ALREADY_EXISTS))
            self.assertTrue(opens("second"))

            totals["change"] = self.kill(totals["change"], *change)
            self.assertTrue(opens("second") or opens("third"), self.what)
            if opens("second"):
                self.holdfast(*change)
            self.assertEqual((bool(opens("second")), bool(opens("third"))), (False, True), self.what)

            slot = opens("third")[0]
            totals["remove"] = self.kill(totals["remove"], "key", "remove", slot)
            self.assertIn(self.holdfast("key", "remove", slot, expect=None).status, (0, NOT_FOUND))
            self.assertFalse(opens("third"), self.what)
            self.holdfast("check", "--read-data")
        self.assertGreater(self.kills - begin, KEYS)

    def gaps(self):
        return self.holdfast("log", "--json").json()["logs"][0]["window"]["gaps"]

    @contextlib.contextmanager
    def writing(self):
        """WAL is written all the time."""
        stop = threading.Event()

        def write():
            while not stop.is_set():
                self.server.sql(f"insert into t select {self.state}, md5(g::text) from generate_series(1, 2000) g")

        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield
        finally:
            stop.set()
            writer.join()

    def receive(self):
        """A receiver that has stored all that is there now."""
        lsn = self.server.sql("select pg_current_wal_flush_lsn()")
        receiver = self.start("wal", "receive")
        self.addCleanup(receiver.kill)
        wait_until("the flush", lambda: self.server.sql(
            f"select coalesce(bool_or(flush_lsn >= '{lsn}'), false) from pg_stat_replication") == "t")
        return receiver

    def stop_receiving(self, receiver):
        receiver.terminate()
        said = receiver.communicate(timeout=240)[1].decode()
        self.assertEqual(receiver.returncode, 0, said)

    def nothing_is_left(self):
        """Leases of the killed hold nothing up, and go; so does what they left in the repository."""
        self.prune()
        # What a killed process was writing goes once it is older than anything that is being written, and a
        # writer's lease once nobody elsewhere can take its writer for alive.
        for folder in ("leases", "tmp"):
            for path in (self.repository / folder).iterdir():
                os.utime(path, (time.time() - 7200,) * 2)
        collection = self.prune()
        self.assertEqual((collection["leases_live"], collection["bytes_tombstoned"]), (0, 0))
        for folder in ("leases", "tmp"):
            self.assertEqual(contents(self.repository / folder), {})
        self.assertEqual(self.server.sql("select string_agg(slot_name, ' ') from pg_replication_slots"), "hf")

    def test_killed_anywhere(self):
        self.change()
        self.backup()
        self.initialisations()
        self.pushes()
        self.keys()
        self.backups()
        self.prunes()
        self.restorations()
        self.rotations()
        self.receivers()
        self.assertEqual(self.rows_of(), self.server.sql("select count(*) || ':' || max(n) from t"))
        self.nothing_is_left()


if __name__ == "__main__":
    unittest.main(verbosity=2)
