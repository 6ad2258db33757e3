"""PostgreSQL through the command line, on a private cluster."""
import fcntl
import re
import shutil
import signal
import subprocess
import unittest
from datetime import datetime, timedelta
from pathlib import Path

from archiving import ArchivingCase
from harness import (MISMATCH, NO_SPACE, NOT_FOUND, PERMISSION, PROGRAM, REFUSED, TARGET_NOT_EMPTY, TARGET_RUNNING, TIMEOUT, UNAVAILABLE, UNREACHABLE, USAGE,
                     Background, Server, contents, is_root, wait_until)


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class Postgres(ArchivingCase):
    def test_every_target(self):
        instant = self.write_history()
        self.server.stop()
        for words, rows in ((["--at", "latest"], "3"), (["--at", instant], "2"), (["--name", "here"], "2"),
                            (["--immediate"], "1"), (["--point", "latest"], "1"), (["--point", "latest", "--at", "latest"], "3")):
            with self.subTest(words=words):
                to = self.scratch / "out"
                outcome = self.as_server("restore", *words, "--to", to)
                self.assertIn("start the server on", outcome.out)
                self.assertEqual(self.restored_value(to, "select count(*) from t"), rows)
                shutil.rmtree(to)

    def test_in_place_and_delta(self):
        self.write_history()
        before = self.stored()
        outcome = self.as_server("restore", expect=TARGET_RUNNING)
        self.assertIn("hint: stop it", outcome.err)
        self.assertEqual(self.stored(), before)
        self.assertEqual(self.server.sql("select count(*) from t"), "3")
        self.server.stop()
        self.refuse_restore(status=TARGET_NOT_EMPTY, says="is not empty")
        for path in (self.server.data / "base").rglob("*"):
            if path.is_file() and path.stat().st_size > 8192:
                path.write_bytes(path.read_bytes()[:8192])
        extra = self.server.data / "base" / "999999"
        extra.write_bytes(b"x")
        mine = self.server.data / "mine"
        mine.mkdir()
        outcome = self.as_server("restore", "--delta", "--dry-run", "--verbose", environment={"TZ": "ABC-5"})
        self.assertIn("would remove file base/999999\n", outcome.out)
        said = " ".join(outcome.out.split())
        self.assertIn("will be left in place, since it is not PostgreSQL's (--remove-extra removes it): mine", said)
        self.assertRegex(said, r"latest: last commit \S+\+05:00, from the snapshot of \S+\+05:00, ")
        document = self.as_server("restore", "--delta", "--remove-extra", "--dry-run", "--json").json()["components"][0]
        self.assertIn("remove directory mine", document["changes"])
        self.assertTrue(extra.exists() and mine.exists())
        outcome = self.as_server("restore", "--delta")
        said = " ".join(outcome.out.split())
        self.assertRegex(said, "removed, since the point does not have it: (.*, )?base/999999")
        self.assertIn(": left in place, since it is not PostgreSQL's (--remove-extra removes it): mine", said)
        self.assertFalse(extra.exists())
        self.assertEqual(self.restored_value(self.server.data, "select count(*) from t"), "3")

    def test_unreachable_instants_say_the_window(self):
        self.write_history()
        self.server.stop()
        for words in (["--at", "2001-01-01T00:00:00Z"], ["--lsn", "F/0"], ["--xid", "4000000"], ["--name", "nowhere"]):
            with self.subTest(words=words):
                refused = self.refuse_restore(*words, "--to", self.scratch / "out", status=UNREACHABLE, says="window")
                self.assertIn("hint: choose an instant in the window, or --at latest", refused.err)
                self.refuse_restore(*words, "--delta", status=UNREACHABLE, says="window")

    def test_exclusive_targets_end_before_what_they_name(self):
        self.server.sql("alter system set track_commit_timestamp = on")
        self.server.stop()
        self.server.start()
        self.write_history()
        xid = self.server.sql("select xmin from t where n = 2")
        instant = self.server.sql("select to_char(pg_xact_commit_timestamp(xmin) at time zone 'UTC', "
                                  "'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from t where n = 2")
        self.server.stop()
        self.refuse_restore("--exclusive", "--name", "here", "--to", self.scratch / "out", status=USAGE, says="--exclusive needs --at, --lsn or --xid")
        for words in (["--xid", xid], ["--at", instant]):
            for more, rows in (([], "1,2"), (["--exclusive"], "1")):
                with self.subTest(words=words + more):
                    to = self.scratch / "out"
                    self.as_server("restore", *words, *more, "--to", to)
                    self.assertEqual(self.restored_value(to, "select string_agg(n::text, ',' order by n) from t"), rows)
                    shutil.rmtree(to)

    def test_what_a_server_does_at_its_target(self):
        self.write_history()
        self.server.stop()
        to = self.scratch / "out"
        self.as_server("restore", "--name", "here", "--action", "pause", "--to", to)
        self.server.start(to)
        wait_until("the pause", lambda: self.server.sql("select pg_is_in_recovery() and pg_is_wal_replay_paused()") == "t")
        self.assertEqual(self.server.sql("select count(*) from t"), "2")
        self.server.sql("select pg_wal_replay_resume()")
        wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
        self.assertEqual(self.server.sql("select count(*) from t"), "2")
        self.server.stop(to)
        shutil.rmtree(to)
        self.as_server("restore", "--name", "here", "--action", "shutdown", "--to", to)
        self.server.run("pg_ctl", "-D", to, "-l", self.scratch / "aside.log", "-o", f"-k {self.server.socket}", "-W", "start")
        wait_until("the end of the server", lambda: "database system is shut down" in self.log_aside())
        self.assertIn("shutdown at recovery target", self.log_aside())
        self.assertTrue((to / "recovery.signal").exists(), "started again it stops there again")

    def log_aside(self):
        log = self.scratch / "aside.log"
        return log.read_text() if log.exists() else ""

    def test_along_a_timeline(self):
        self.write_history()
        self.server.stop()
        shutil.rmtree(self.server.data)
        self.as_server("restore", "--name", "here")  # from here on timeline 2
        self.server.start()
        wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
        self.server.sql("insert into t values (10)")
        segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.assertTrue(segment.startswith("00000002"), segment)
        self.server.sql("select pg_switch_wal()")
        wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)
        self.server.stop()
        to = self.scratch / "out"
        for words, rows in (([], "1,2,10"), (["--timeline", 2], "1,2,10"), (["--timeline", 1], "1,2,3")):
            with self.subTest(words=words):
                self.as_server("restore", *words, "--to", to)
                self.assertEqual(self.restored_value(to, "select string_agg(n::text, ',' order by n) from t"), rows)
                shutil.rmtree(to)
        self.refuse_restore("--timeline", 7, "--to", to, status=UNREACHABLE, says="timeline 7")

    @unittest.skipUnless(is_root(), "only root mounts a small file system")
    def test_a_cluster_that_does_not_fit_is_refused_before_anything_is_written(self):
        self.write_history()
        self.server.stop()
        small = self.scratch / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m,mode=0755", "tmpfs", small], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"nothing can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", small], check=False)
        self.give_to_server(small)
        for words in (["--dry-run"], []):
            outcome = self.refuse_restore("--to", small / "out", *words, status=NO_SPACE)
            self.assertRegex(outcome.err, f"the file system of {small} has [0-9.]+ MiB free, and the restore needs [0-9.]+ MiB\n"
                                          "hint: make room there, or restore to another file system with --to")
        subprocess.run(["mount", "-o", "remount,size=512m", small], check=True)
        self.as_server("restore", "--to", small / "out")
        self.assertEqual(self.restored_value(small / "out", "select count(*) from t"), "3")

    def test_init_finds_the_server_that_the_variables_name(self):
        place = self.scratch / "fresh"
        place.mkdir()
        self.give_to_server(place)
        words = ["init", "--passphrase", f"file:{self.scratch}/pass", "--repository", place / "repository"]
        found = {"PGHOST": self.server.socket, "PGPORT": "5432", "PGUSER": "postgres"}
        outcome = self.as_server(*words, environment=found, config=False, cwd=place)
        self.assertIn(f"(host={self.server.socket} port=5432 user=postgres dbname=postgres), data directory {self.server.data}", outcome.out)
        # What the machine has beside it comes after.
        first = (place / "holdfast.yaml").read_text().split("connection: ")[1].splitlines()[0]
        self.assertEqual(first, f'"host={self.server.socket} port=5432 user=postgres dbname=postgres"')
        self.assertIn("note: nothing limits the WAL that the slot holdfast_db makes the server keep (max_slot_wal_keep_size = -1)",
                      " ".join(outcome.out.split()))
        (place / "holdfast.yaml").unlink()
        shutil.rmtree(place / "repository")
        found["PGPORT"] = "5999"
        outcome = self.as_server(*words, environment=found, config=False, cwd=place)
        self.assertIn(f"note: a server does not let us in: host={self.server.socket} port=5999", outcome.out)

    def archive(self):
        segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.server.sql("select pg_switch_wal()")
        wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)

    def test_a_server_that_was_set_back(self):
        """Its new history is refused under the old name, and protected under another; the old one stays."""
        def copy(source, target):
            subprocess.run([*self.server.prefix, "cp", "-a", source, target], check=True, cwd="/")
        self.write_history()
        kept = self.server.directory / "kept"
        self.server.stop()
        copy(self.server.data, kept)
        self.server.start()
        for n in (4, 5, 6, 7):
            self.server.sql(f"insert into t values ({n})")
            self.archive()
        self.server.stop(mode="immediate")
        shutil.rmtree(self.server.data)
        copy(kept, self.server.data)
        self.server.start()
        self.server.sql("insert into t values (100)")
        before = self.log_records()
        refused = self.as_server("wal", "receive", expect=MISMATCH)
        self.assertIn("the server was set back, and what it writes now is another history", refused.err)
        refused = self.as_server("backup", expect=MISMATCH)
        self.assertIn("the server was set back", refused.err)
        self.assertEqual(self.log_records(), before)

        self.server.sql("select pg_drop_replication_slot('holdfast_db')")
        self.config.write_text(self.config.read_text().replace("name: db,", "name: db2,"))
        taken = self.as_server("backup", "--json").json()["point"]["components"]
        self.assertEqual([(snapshot["component"], snapshot["incremental"]) for snapshot in taken], [("db2", False)])
        self.server.sql("insert into t values (200)")
        self.archive()
        self.server.stop()
        for component, rows in (("db2", "1,2,3,100,200"), ("db", "1,2,3,4,5,6,7")):
            to = self.scratch / component
            self.as_server("restore", "--component", component, "--to", to)
            self.assertEqual(self.restored_value(to, "select string_agg(n::text, ',' order by n) from t"), rows)

    def test_a_point_of_another_machine_may_have_left_an_original(self):
        self.write_history()
        self.server.stop()
        shutil.rmtree(self.server.data)
        plan = self.as_server("restore", "--dry-run", "--json").json()["components"][0]
        self.assertFalse(plan["archiving_off"], "where it was, on the machine where it was")
        elsewhere = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"]
        if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("this account may not have a host name of its own")
        plan = self.holdfast("restore", "--dry-run", "--json", prefix=elsewhere).json()["components"][0]
        self.assertTrue(plan["archiving_off"])
        plan = self.holdfast("restore", "--keep-archiving", "--dry-run", "--json", prefix=elsewhere).json()["components"][0]
        self.assertFalse(plan["archiving_off"])

    def test_an_incremental_goes_by_the_wal_that_is_archived(self):
        self.write_history()
        for _ in range(2):
            self.server.sql("insert into t values (4)")
            taken = self.as_server("backup", "--json").json()["point"]["components"][0]
            self.assertEqual(taken["changes_known_by"], "wal")

    def test_retention_after_a_major_upgrade(self):
        """A component that goes on as another cluster: what the old one's kept points need stays, and goes with them."""
        instant = self.write_history()
        old = self.server.sql("select system_identifier from pg_control_system()")
        self.as_server("backup")
        self.server.sql("insert into t values (4)")
        segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.server.sql("select pg_switch_wal()")
        wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)
        self.server.stop()
        upgraded = Server(self.scratch / "upgraded", ["archive_mode = on", f"archive_command = '{self.program()} --config {self.config} wal push %p'"])
        self.addCleanup(upgraded.remove)
        self.config.write_text(self.config.read_text().replace(self.server.connection, upgraded.connection))
        upgraded.start()
        self.addCleanup(upgraded.stop, mode="immediate")
        new = upgraded.sql("select system_identifier from pg_control_system()")
        upgraded.sql("create table t as select 100 as n")
        # Before its first point the new cluster has nothing that retention goes by.
        segment = upgraded.sql("select pg_walfile_name(pg_switch_wal())")
        wait_until("archiving", lambda: upgraded.sql("select last_archived_wal from pg_stat_archiver") >= segment)
        plan = self.as_server("prune", "--keep-last", 9, "--dry-run", "--json").json()
        self.assertEqual({log["stream"]: log["note"] for log in plan["logs"]},
                         {f"db.{old}": "", f"db.{new}": "no kept point belongs to it: left as it is"})
        refused = self.as_server("backup", expect=MISMATCH)
        self.assertIn(f"the server is the cluster with system identifier {new}, and the newest point of this component is of the "
                      f"cluster with {old}\nhint: ", refused.err)
        self.as_server("backup", "--new-cluster")
        points = self.as_server("points", "--json").json()["points"]
        self.assertEqual([point["components"][0]["system_id"] for point in points], [old, old, new])
        self.assertIn(f"system identifier {new}", self.as_server("restore", "--validate-only", "--to", self.scratch / "out").out)
        paths = self.as_server("restore", "--path", "etc", "--to", self.scratch / "out", expect=USAGE)
        self.assertIn("paths can be chosen in files components only, and there is none to restore", paths.err)
        planned = self.as_server("restore", "--validate-only", "--to", self.scratch / "out", "--json").json()
        self.assertEqual(planned["components"][0]["system_id"], new)

        def windows(*words):
            outcome = self.as_server("prune", *words, "--dry-run", "--grace", "0s")
            plan = self.as_server("prune", *words, "--dry-run", "--grace", "0s", "--json").json()
            return outcome.out, plan, [window["system_id"] for window in plan["windows"][0]["windows"]]

        said, _, clusters = windows("--keep-last", 2)
        self.assertEqual(clusters, [old, new])
        for each in (old, new):
            self.assertRegex(said, rf"db could be restored to any instant from .* \(system identifier {each}\)")
            self.assertIn(f"db (system identifier {each})", self.as_server("log").out)

        def records(cluster):
            return [path.name for path in (self.repository / "log" / f"db.{cluster}").rglob("*") if path.is_file()]

        def restored(*words, rows):
            to = self.scratch / "out"
            self.as_server("restore", *words, "--to", to)
            self.assertEqual(self.restored_value(to, "select string_agg(n::text, ',' order by n) from t"), rows)
            shutil.rmtree(to)

        restored("--at", instant, rows="1,2")
        before = records(old)
        self.as_server("prune", "--keep-last", 2, "--grace", "0s")
        self.assertTrue(0 < len(records(old)) < len(before), records(old))
        old_point = self.as_server("points", "--json").json()["points"][0]["id"]
        restored("--point", old_point, "--at", "latest", rows="1,2,3,4")
        said, plan, clusters = windows("--keep-last", 1)
        self.assertEqual(clusters, [new])
        self.assertNotIn("(system identifier", said)
        self.assertIn(f"log db.{old}: {len(records(old))} records would be removed: no kept point belongs to it, and the component has gone on", said)
        kept = records(new)
        self.as_server("prune", "--keep-last", 1, "--grace", "0s")
        self.assertEqual(records(old), [])
        self.assertTrue(set(records(new)) <= set(kept) and records(new))
        restored(rows="100")
        self.as_server("check", "--read-data")

    def stored(self):
        return {name: what for name, what in contents(self.repository).items() if not name.startswith("leases")}

    def log_records(self):
        return sorted(path.name for path in (self.repository / "log").rglob("*") if path.is_file())

    def test_what_is_restored_aside_does_not_act_in_the_originals_place(self):
        self.server.sql("alter system set synchronous_standby_names = 'of_the_original'")  # in force after a reload
        settings = ("archive_mode", "max_logical_replication_workers", "synchronous_standby_names")
        in_force = lambda: [self.server.sql(f"show {name}") for name in settings]
        self.write_history()
        to = self.scratch / "out"
        plan = self.as_server("restore", "--to", to, "--dry-run", "--json").json()["components"][0]
        self.assertTrue(plan["archiving_off"])
        outcome = self.as_server("restore", "--to", to)
        said = " ".join(outcome.out.split())
        self.assertIn("will be off (archive_mode in postgresql.auto.conf)", said)
        self.assertIn("subscriptions will not run (max_logical_replication_workers = 0), and commits will wait for no standby", said)
        self.server.stop()
        before = self.log_records()
        self.server.start(to)
        wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
        self.assertEqual(in_force(), ["off", "0", ""])
        self.server.sql("insert into t values (4)")
        self.server.sql("select pg_switch_wal()")
        self.server.stop(to)
        self.assertEqual([name for name in self.log_records() if name not in before], [])
        # Where it takes the original's place, it goes on as the original did.
        shutil.rmtree(to)
        self.as_server("restore", "--to", to, "--keep-archiving")
        self.server.start(to)
        wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
        self.assertEqual(in_force(), ["on", "4", "of_the_original"])
        wait_until("the new timeline", lambda: "00000002.history" in self.log_records())
        self.server.stop(to)

    def test_one_that_takes_the_originals_place_is_told_of_until_it_acts_in_it(self):
        self.server.sql("alter system set synchronous_standby_names = 'of_the_original'")
        self.write_history()
        to = self.scratch / "out"
        outcome = self.as_server("--quiet", "restore", "--to", to)
        self.assertIn("warning: db: archiving, subscriptions and waiting for synchronous standbys are OFF", " ".join(outcome.err.split()))
        to_take_its_place = outcome.err.splitlines()[-1]
        still = "archives nothing, runs no subscription and waits for no standby"
        self.server.stop()
        self.server.start(to)
        wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
        self.assertIn(still, self.as_server("stats", "--json").json()["components"][0]["notes"][0])
        self.assertIn(still, self.as_server("log", "--json").json()["logs"][0]["window"]["notes"][-1])
        self.assertIn(still, self.as_server("backup").err)
        self.server.stop(to)
        subprocess.run(["sh", "-c", to_take_its_place], check=True)
        written = (to / "postgresql.auto.conf").read_text()
        self.assertIn("synchronous_standby_names = 'of_the_original'", written)
        self.assertNotIn("beside", written)
        self.server.start(to)
        shown = [self.server.sql(f"show {name}") for name in ("archive_mode", "max_logical_replication_workers", "synchronous_standby_names")]
        self.assertEqual(shown, ["on", "4", "of_the_original"])
        self.assertEqual(self.as_server("stats", "--json").json()["components"][0]["notes"], [])
        self.server.stop(to)

    def test_the_next_command_ends_what_a_killed_verification_left(self):
        self.write_history()
        aside = self.scratch / "aside"
        aside.mkdir()
        self.give_to_server(aside)
        # It comes to no end of its own.
        self.config.write_text(self.config.read_text().replace("rpo: 5m", 'assertions: [{name: without end, sql: "select pg_sleep(100000)"}]'))
        argv = [*self.server.prefix, PROGRAM, "--config", self.config, "verify", "--boot", "--scratch", aside]
        verify = Background(argv, self.scratch / "verify.log", environment=self.server_state())
        self.addCleanup(verify.end, signal.SIGKILL)
        postmaster = lambda: [line for path in aside.rglob("postmaster.pid") for line in path.read_text().splitlines()[:1]]
        wait_until("a server aside", postmaster)
        pid = int(postmaster()[0])
        verify.end(signal.SIGKILL)
        self.assertTrue(Path(f"/proc/{pid}").exists())
        self.as_server("points", environment=self.server_state())
        self.assertEqual(list(aside.iterdir()), [])
        wait_until("the end of its server", lambda: not Path(f"/proc/{pid}").exists())

    @unittest.skipUnless(is_root(), "who is not root runs the server itself")
    def test_a_scratch_directory_that_the_server_can_not_reach(self):
        self.write_history()
        closed = self.scratch / "closed"
        closed.mkdir(mode=0o700)
        for command in (["verify", "--boot"], ["drill"]):
            outcome = self.holdfast(*command, "--scratch", closed, expect=PERMISSION)
            self.assertIn(f"which can't get into {closed}\n", outcome.err)
            self.assertIn("hint: let it through (chmod o+x on that directory), or name another with --scratch DIR\n", outcome.err)
            self.assertEqual(list(closed.iterdir()), [])
        self.assertNotIn("failed", self.holdfast("drill", "--list").out)

    def server_state(self):
        """A state directory of the server's account."""
        state = self.scratch / "state"
        if not state.exists():
            state.mkdir()
            self.give_to_server(state)
        return {"HOLDFAST_DRILLS": str(state / "drills")}

    def test_a_second_receiver_is_told_who_has_the_slot(self):
        argv = [*self.server.prefix, PROGRAM, "--config", self.config, "wal", "receive"]
        first = Background(argv, self.scratch / "first.log")
        self.addCleanup(first.end)
        wait_until("the first", lambda: "stored up to" in first.log.read_text())
        second = Background(argv, self.scratch / "second.log")
        self.addCleanup(second.end)
        wait_until("the second", lambda: "another receiver uses the slot: holdfast_db from the server's own machine since "
                   in second.log.read_text())
        second.end()
        self.assertEqual(second.log.read_text().count("is active for PID"), 1, second.log.read_text())
        # Who may not see the other's session is told nothing of it that is not known.
        self.server.sql("create role streamer login replication")
        connection = self.server.connection.replace("user=" + self.server.superuser, "user=streamer")
        self.write_config(f"  - {{name: db, kind: postgres, connection: {connection}}}\n")
        third = Background(argv, self.scratch / "third.log")
        self.addCleanup(third.end)
        wait_until("the third", lambda: "another receiver uses the slot" in third.log.read_text())
        self.assertRegex(third.log.read_text(), r"another receiver uses the slot: holdfast_db, server process \d+;")

    def test_an_instant_that_is_not_covered_is_told_as_times_were_given(self):
        self.write_history()
        outcome = self.as_server("restore", "--at", "2001-01-01T00:00:00+05:30", "--to", self.scratch / "out", expect=UNREACHABLE)
        self.assertRegex(outcome.err, r"the recovery window is \S+\+05:30 to \S+\+05:30")
        self.assertNotIn("Z", outcome.err)
        outcome = self.as_server("restore", "--at", "2001-01-01T00:00:00+05:30", "--database", "postgres", "--target-database", "p2", expect=UNREACHABLE)
        self.assertRegex(outcome.err, r"the recovery window is \S+\+05:30 to \S+\+05:30")
        self.assertIn("hint: choose an instant in the window, or --at latest", outcome.err)
        outcome = self.as_server("restore", "--at", "2001-01-01T00:00:00+05:30", "--to", self.scratch / "out", "--json", expect=UNREACHABLE)
        self.assertRegex(outcome.json()["error"]["message"], r"the recovery window is \S+Z to \S+Z")

    def test_a_plan_says_that_the_target_is_left_out(self):
        self.write_history()
        lsn = self.server.sql("select pg_current_wal_lsn()")
        self.archive()
        plan = " ".join(self.as_server("restore", "--lsn", lsn, "--exclusive", "--validate-only").out.split())
        self.assertIn("exclusive what was committed exactly at the target is left out, too (--exclusive)", plan)

    def test_a_tablespace_made_by_replay_must_not_meet_the_originals(self):
        self.server.sql("create table t (n int)")
        self.as_server("backup")
        space = self.server.directory / "space"
        space.mkdir()
        self.give_to_server(space)
        self.server.sql(f"create tablespace s location '{space}'")
        self.server.sql("create table u tablespace s as select 1")
        oid = self.server.sql("select oid from pg_tablespace where spcname = 's'")
        segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.server.sql("select pg_switch_wal()")
        wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)
        before = contents(space)
        for words in (["--dry-run"], []):
            outcome = self.as_server("restore", "--to", self.scratch / "out", *words, expect=REFUSED)
            self.assertIn(f"the WAL to be replayed makes tablespace {oid} at {space}, which holds data: replay would overwrite it\n", outcome.err)
            self.assertFalse((self.scratch / "out").exists())
        self.assertEqual(contents(space), before)
        self.as_server("restore", "--to", self.scratch / "out", "--point", "latest")  # before the tablespace
        shutil.rmtree(self.scratch / "out")
        # On a machine without it the plan says what has to be there.
        self.server.stop()
        space.rename(self.server.directory / "away")
        plan = self.as_server("restore", "--to", self.scratch / "out", "--dry-run", "--json").json()["components"][0]
        self.assertEqual(plan["notes"], [f"the WAL to be replayed makes tablespace {oid} at {space}: that directory must exist, and be the "
                                         "server's, before it is started"])
        self.as_server("restore", "--to", self.scratch / "out")
        space.mkdir()
        self.give_to_server(space)
        self.assertEqual(self.restored_value(self.scratch / "out", "select count(*) from u"), "1")

    def test_a_cluster_aside_does_not_share_an_empty_tablespace(self):
        space = self.server.directory / "space"
        space.mkdir()
        self.give_to_server(space)
        self.server.sql(f"create tablespace s location '{space}'")
        self.as_server("backup")
        out = self.scratch / "out"
        for words in (["--dry-run"], []):
            outcome = self.as_server("restore", "--point", "latest", "--to", out, *words, expect=TARGET_NOT_EMPTY)
            self.assertIn(f"the tablespace directory {space} is in use by a cluster", outcome.err)
            self.assertIn("hint: choose another place for it with --tablespace ", outcome.err)
            self.assertFalse(out.exists())
        inside = self.server.data / "inside"
        outcome = self.as_server("restore", "--point", "latest", "--to", out, "--tablespace", f"{space}={inside}", expect=REFUSED)
        self.assertIn(f"{inside} lies inside the data directory of a cluster, {self.server.data}", outcome.err)
        outcome = self.as_server("restore", "--point", "latest", "--to", inside, "--tablespace", f"{space}={self.scratch / 'moved'}", expect=REFUSED)
        self.assertIn(f"{inside} lies inside the data directory of a cluster, {self.server.data}", outcome.err)
        self.as_server("restore", "--point", "latest", "--to", out, "--tablespace", f"{space}={self.scratch / 'moved'}")
        self.assertEqual(next((out / "pg_tblspc").iterdir()).resolve(), (self.scratch / "moved").resolve())
        # Where it was, an empty one is what is left of the original.
        self.server.stop()
        shutil.rmtree(self.server.data)
        self.as_server("restore", "--point", "latest")
        self.assertEqual(self.restored_value(self.server.data, "select count(*) from pg_tablespace where spcname = 's'"), "1")

    def test_an_instant_before_a_restore_to_the_past_is_as_it_was_then(self):
        def store(row):
            self.server.sql(f"insert into t values ({row})")
            segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
            self.server.sql("select pg_switch_wal()")
            wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)

        past = self.write_history()
        then = self.server.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        store(4)
        self.server.stop()
        shutil.rmtree(self.server.data)
        self.as_server("restore", "--at", past, "--keep-archiving")
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")
        wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
        store(5)
        self.as_server("backup")
        store(6)
        self.server.stop()
        for words, rows in ((["--at", then], "1,2,3"), (["--at", then, "--timeline", 2], "1,2"), (["--at", "latest"], "1,2,5,6")):
            with self.subTest(words):
                out = self.scratch / f"out{rows}"
                said = " ".join(self.as_server("restore", "--to", out, *words).out.split())
                self.assertEqual("at that instant timeline 1 was at work, until " in said, rows == "1,2,3")
                self.assertEqual(self.restored_value(out, "select string_agg(n::text, ',' order by n) from t"), rows)
        # Between the two nobody knows of anything.
        state = self.as_server("log", "--json").json()["logs"][0]
        self.assertEqual((len(state["windows"]), state["window"]["gaps"]), (2, []), state)
        ends, begins = state["windows"][0]["until"], state["windows"][1]["from"]
        self.assertLess(ends, begins)
        said = self.as_server("log").out
        self.assertEqual(said.count(" (after a change of timeline)\n"), 1, said)
        between = datetime.fromisoformat(ends.replace("Z", "+00:00")) + timedelta(microseconds=1)
        self.refuse_restore("--at", between.isoformat(), "--to", self.scratch / "never", status=UNREACHABLE, says="at that instant timeline 1 was at work")

    def test_an_idle_server_loses_nothing(self):
        self.config.write_text(self.config.read_text().replace("rpo: 5m", "rpo: 1s"))
        self.server.sql("create table t (n int)")
        receiver = Background([*self.server.prefix, self.program(), "--config", self.config, "wal", "receive"], self.scratch / "receive.log")
        self.addCleanup(receiver.process.kill)
        wait_until("the slot", lambda: self.server.sql("select active from pg_replication_slots where slot_name = 'holdfast_db'") == "t")
        self.as_server("backup")
        self.server.sql("insert into t values (1)")
        lsn = self.server.sql("select pg_current_wal_flush_lsn()")
        wait_until("the flush", lambda: self.server.sql(
            f"select coalesce(bool_or(flush_lsn >= '{lsn}'), false) from pg_stat_replication") == "t")
        # Whatever the age of the last commit and of the last mark.
        for _ in range(3):
            state = self.as_server("stats", "--json").json()["components"][0]
            self.assertEqual((state["rpo_met"], state["exposure_seconds"] < 1), (True, True), state)
        self.assertNotIn("server_problem", state)
        receiver.end()
        self.server.sql("insert into t values (2)")  # which nobody stores
        state = self.as_server("stats", "--json").json()["components"][0]
        self.assertGreater(state["exposure_seconds"], 0)
        self.assertFalse(state["rpo_met"], state)
        self.server.stop(mode="immediate")
        state = self.as_server("stats", "--json").json()["components"][0]
        self.assertIn("server_problem", state)
        self.assertIn("note: db: the server can't say", self.as_server("stats").out)
        self.assertNotIn("server_problem", self.as_server("stats", "--no-server", "--json").json()["components"][0])

    def test_another_cluster(self):
        self.write_history()
        other = Server(self.scratch / "other")
        self.addCleanup(other.remove)
        self.server.stop()
        self.refuse_restore("--to", other.data, "--delta", status=MISMATCH, says="system identifier")
        wal = next(path for path in (other.data / "pg_wal").iterdir() if len(path.name) == 24)
        self.as_server("wal", "push", wal)  # a stream of its own: another system identifier
        mixed = self.scratch / "mixed" / "pg_wal"
        mixed.mkdir(parents=True)
        (mixed.parent / "global").mkdir()
        shutil.copy(self.server.data / "global" / "pg_control", mixed.parent / "global")
        shutil.copy(self.server.data / "PG_VERSION", mixed.parent)
        shutil.copy(wal, mixed)
        self.holdfast("wal", "push", mixed / wal.name, expect=MISMATCH)

    def test_server_that_is_away(self):
        self.server.stop()
        outcome = self.as_server("backup", expect=UNAVAILABLE)
        self.assertIn("component db", outcome.err)
        self.assertIn("failed: No such file or directory; Is the server running locally and accepting connections on that socket?\n", outcome.err)
        self.assertIn("hint: is the server running, and is the connection string right ('connection' of the component)?\n", outcome.err)

    def test_a_refused_login_and_a_database_that_is_not_there(self):
        self.as_server("backup")
        outcome = self.as_server("verify", "--database", "nosuch", expect=NOT_FOUND)
        self.assertIn('FATAL: database "nosuch" does not exist\nhint: name a database of that server: psql --list shows them\n', outcome.err)
        self.server.sql("create role weak login")
        self.server.stop()
        rules = self.server.data / "pg_hba.conf"
        rules.write_text("local all weak reject\n" + rules.read_text())
        self.server.start()
        text = self.config.read_text()
        for role, says in (("weak", 'pg_hba.conf rejects connection for host "[local]", user "weak"'), ("nosuch", 'role "nosuch" does not exist')):
            self.config.write_text(text.replace("user=postgres", f"user={role}"))
            outcome = self.as_server("backup", expect=PERMISSION)
            self.assertIn(says, outcome.err)
            self.assertIn("hint: pg_hba.conf and pg_ident.conf of the server decide who may log in: docs/postgres.md\n", outcome.err)

    def test_a_push_that_hangs_is_a_failure_that_the_server_repeats(self):
        self.server.sql(f"alter system set archive_command = '{self.program()} --config {self.config} wal push --timeout 3s %p'")
        self.server.sql("select pg_reload_conf()")
        self.write_history()
        stored = self.stored()
        hanging, program = self.scratch / "hanging", self.scratch / "passphrase-when-it-does-not-hang"
        program.write_text(f"#!/bin/sh\nwhile test -e {hanging}; do sleep 0.05; done\ncat {self.scratch}/pass\n")
        program.chmod(0o755)
        self.config.write_text(self.config.read_text().replace(f"file:{self.scratch}/pass", f"exec:{program}"))
        hanging.touch()
        self.server.sql("create table later (n int)")
        segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        outcome = self.as_server("wal", "push", "--timeout", "200ms", self.server.data / "pg_wal" / segment, expect=TIMEOUT)
        self.assertEqual(outcome.err, f"holdfast: storing {segment} has not ended within 0.20 s\n")
        outcome = self.as_server("wal", "push", "--json", "--timeout", "200ms", self.server.data / "pg_wal" / segment, expect=TIMEOUT)
        self.assertTrue(outcome.json()["error"]["retryable"])
        self.refuse("wal", "push", "--timeout", "soon", segment, status=USAGE, says="--timeout")
        self.server.sql("select pg_switch_wal()")
        wait_until("a failure of archive_command",
                   lambda: self.server.sql("select last_failed_wal from pg_stat_archiver") == segment)
        self.assertEqual(self.stored(), stored)
        hanging.unlink()
        wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)
        self.assertEqual(self.as_server("log", "--json").json()["logs"][0].get("gaps", []), [])

    def test_a_get_that_hangs_is_trouble_and_no_absence(self):
        self.write_history()
        log = self.as_server("log", "--json").json()["logs"][0]
        name = self.server.sql("select last_archived_wal from pg_stat_archiver")
        words = ["wal", "get", "--component", "db", "--system-id", log["system_id"], "--segment-size", 16 << 20]
        hanging, program = self.scratch / "hanging", self.scratch / "passphrase-when-it-does-not-hang"
        program.write_text(f"#!/bin/sh\nwhile test -e {hanging}; do sleep 0.05; done\ncat {self.scratch}/pass\n")
        program.chmod(0o755)
        self.config.write_text(self.config.read_text().replace(f"file:{self.scratch}/pass", f"exec:{program}"))
        hanging.touch()
        for wanted in (name, "0000000100000F0000000001", "00000009.history"):
            outcome = self.holdfast(*words, "--timeout", "200ms", wanted, self.scratch / "got", expect=126)
            self.assertEqual(outcome.err, f"holdfast: fetching {wanted} has not ended within 0.20 s\n")
            self.assertFalse((self.scratch / "got").exists())
        self.holdfast(*words, "--timeout", "soon", name, self.scratch / "got", expect=126)
        hanging.unlink()
        self.holdfast(*words, "--timeout", "10m", name, self.scratch / "got")
        self.assertEqual((self.scratch / "got").stat().st_size, 16 << 20)
        self.holdfast(*words, "--timeout", "10m", "00000009.history", self.scratch / "none", expect=1)

    def test_reading_ahead_that_hangs_takes_nothing_back(self):
        self.write_history()
        log = self.as_server("log", "--json").json()["logs"][0]
        words = ["wal", "get", "--component", "db", "--system-id", log["system_id"], "--segment-size", 16 << 20]
        first, following = sorted(path for path in (self.repository / "log").rglob("*") if len(path.name) == 24)[:2]
        # Whoever opens a file under a lease waits until that is given up.
        self.addCleanup(signal.signal, signal.SIGIO, signal.signal(signal.SIGIO, signal.SIG_IGN))
        for seconds in (1, 2, 4, 8, 16, 32):
            with open(following, "rb") as leased:
                try:
                    fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
                except OSError:
                    self.skipTest("no leases on this file system")
                done = subprocess.run([self.program(), "--config", self.config, *map(str, words), "--timeout", f"{seconds}s", first.name, self.scratch / "got"],
                                      capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            # A slow machine: it was not there yet.
            self.assertEqual((done.returncode, (self.scratch / "got").exists()), (126, False), done.stderr)
        # What fetching the file has left of it.
        said = re.fullmatch(rf"holdfast: reading ahead of {first.name} has not ended within ([0-9.]+) s\n", done.stderr)
        self.assertTrue(said and float(said[1]) < seconds, done.stderr)
        self.assertEqual((done.returncode, (self.scratch / "got").stat().st_size), (0, 16 << 20))

    def test_wal_push_and_get(self):
        self.write_history()
        log = self.as_server("log", "--json").json()["logs"][0]
        name = self.server.sql("select last_archived_wal from pg_stat_archiver")
        words = ["--component", "db", "--system-id", log["system_id"], "--segment-size", 16 << 20]
        self.holdfast("wal", "get", *words, name, self.scratch / "segment")
        self.assertEqual((self.scratch / "segment").stat().st_size, 16 << 20)
        self.holdfast("wal", "get", *words, "0000000100000F0000000001", self.scratch / "none", expect=1)
        self.holdfast("wal", "get", *words, "00000009.history", self.scratch / "none", expect=1)
        self.assertFalse((self.scratch / "none").exists())
        # In a data directory nothing needs to be said.
        self.holdfast("wal", "get", name, self.scratch / "again", cwd=self.server.data)
        self.assertEqual((self.scratch / "segment").read_bytes(), (self.scratch / "again").read_bytes())
        # Another component, another cluster, a log that is not there: nothing is proven.
        for other in (["--component", "dbb"], ["--component", "db", "--system-id", 12345, "--segment-size", 16 << 20]):
            self.holdfast("wal", "get", *other, *(words[2:] if len(other) == 2 else []), name, self.scratch / "none", expect=126)
        (self.repository / "log").rename(self.scratch / "log-away")
        self.holdfast("wal", "get", *words, name, self.scratch / "none", expect=126)
        (self.scratch / "log-away").rename(self.repository / "log")
        with open("/dev/full", "w") as full:
            done = subprocess.run([self.program(), "--config", self.config, "wal", "get", "--json", *map(str, words), name, self.scratch / "whole"],
                                  stdout=full, stderr=subprocess.DEVNULL, check=False)
        self.assertEqual(done.returncode, 126)
        # The repository is away, or damaged: never 1.
        self.repository.rename(self.scratch / "away")
        self.holdfast("wal", "get", *words, "0000000100000F0000000001", self.scratch / "none", expect=126)
        (self.scratch / "away").rename(self.repository)
        record = next(path for path in (self.repository / "log").rglob("*") if path.name == name)
        record.chmod(0o600)
        record.write_bytes(record.read_bytes()[:-100])
        self.holdfast("wal", "get", *words, name, self.scratch / "none", expect=126)

    def test_receive_and_log(self):
        self.server.sql("create table t (n int)")
        receiver = Background([*self.server.prefix, self.program(), "--config", self.config, "wal", "receive"], self.scratch / "receive.log")
        self.addCleanup(receiver.process.kill)
        wait_until("the slot", lambda: self.server.sql("select active from pg_replication_slots where slot_name = 'holdfast_db'") == "t")
        self.as_server("backup")
        self.server.sql("insert into t select generate_series(1, 1000)")
        lsn = self.server.sql("select pg_current_wal_flush_lsn()")
        wait_until("the flush", lambda: self.server.sql(
            f"select coalesce(bool_or(flush_lsn >= '{lsn}'), false) from pg_stat_replication") == "t")
        log = self.as_server("log", "--json").json()["logs"][0]
        self.assertEqual((log["slot"]["exists"], log["slot"]["active"], log["window"]["gaps"]), (True, True, []))
        self.assertEqual(log["slot"]["max_slot_wal_keep_size"], "-1")
        self.assertIn("nothing limits the WAL that the slot holdfast_db makes the server keep", log["slot"]["warning"])
        self.assertGreater(log["slot"]["free_bytes"], 0)
        self.assertRegex(self.as_server("log").out, r"alter system set\s+max_slot_wal_keep_size = '\d+[MG]B'")
        wait_until("the receiver's warning", lambda: "postgres.receive.slot " in receiver.log.read_text())
        self.server.sql("alter system set max_slot_wal_keep_size = '1GB'")
        self.server.sql("select pg_reload_conf()")
        wait_until("the limit", lambda: self.as_server("log", "--json").json()["logs"][0]["slot"]["warning"] == "")
        self.assertEqual(receiver.end(), 0, (self.scratch / "receive.log").read_text())
        self.assertIn("stopped: all that was received is stored", (self.scratch / "receive.log").read_text())
        self.server.stop(mode="immediate")
        self.as_server("restore", "--to", self.scratch / "out")
        self.assertEqual(self.restored_value(self.scratch / "out", "select count(*) from t"), "1000")

    def receive(self, log):
        receiver = Background([*self.server.prefix, self.program(), "--config", self.config, "wal", "receive"], log)
        self.addCleanup(receiver.process.kill)
        wait_until("the slot", lambda: self.server.sql("select coalesce(bool_or(active), false) from pg_replication_slots") == "t")
        return receiver

    @unittest.skipUnless(is_root(), "needs to mount a small file system")
    def test_a_full_repository_is_told_of_by_the_receiver_and_so_is_its_end(self):
        small = self.small_disk("size=64m")
        subprocess.run(["cp", "-a", self.repository, small / "repository"], check=True)
        self.config.write_text(self.config.read_text().replace(str(self.repository), str(small / "repository")))
        self.server.sql("create table t (n int)")
        self.as_server("backup")
        log = self.scratch / "receive.log"
        receiver = self.receive(log)
        said = lambda: " ".join(log.read_text().split())
        ballast = self.fill(small)
        self.server.sql("insert into t select generate_series(1, 100000)")
        wait_until("the words", lambda: f"the disk of {small}/repository is full: no WAL is stored beyond " in said())
        self.assertIn("the slot holdfast_db makes the server keep what comes (pg_wal grows: ", said())
        self.assertIn("Make room on that disk, and it goes on by itself", said())
        self.assertNotIn("takes WAL again", said())
        for words in (("stats",), ("log",), ("check",)):
            self.as_server(*words)
        ballast.unlink()
        wait_until("the end of it", lambda: "the repository takes WAL again" in said())
        self.assertEqual(receiver.end(), 0, said())

    def test_what_the_slot_still_keeps_is_not_called_lost(self):
        self.server.sql("alter system set archive_command = 'false'")
        self.server.sql("select pg_reload_conf()")
        self.server.sql("create table t (n int)")
        self.as_server("backup")
        receiver = self.receive(self.scratch / "receive.log")
        self.server.sql("insert into t values (1)")
        self.assertEqual(receiver.end(), 0)
        for number in range(3):
            self.server.sql(f"insert into t values ({number})")
            segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
            self.server.sql("select pg_switch_wal()")
        self.as_server("wal", "push", self.server.data / "pg_wal" / segment)
        log = self.as_server("log", "--json").json()["logs"][0]
        self.assertEqual(len(log["window"]["gaps"]), 1)
        self.assertRegex(log["window"]["notes"][-1], "the server's slot still keeps the WAL from [0-9A-F/]+ on: "
                         "it is missing only until 'holdfast wal receive' has stored it")
        notes = self.as_server("stats", "--json").json()["components"][0]["notes"]
        self.assertIn("that can't be reached until the server's slot has given what is missing to 'holdfast wal receive': ", notes[-1])
        self.server.sql("select pg_drop_replication_slot('holdfast_db')")
        self.assertIn("until there is a new point: ", self.as_server("stats", "--json").json()["components"][0]["notes"][-1])

    def test_boot_runs_assertions(self):
        self.config.write_text(self.config.read_text().replace("rpo: 5m", 'assertions: [{name: enough rows, sql: "select count(*) > 10 from t"}]'))
        self.write_history()
        outcome = self.as_server("verify", "--boot", "--scratch", self.scratch, expect=26)
        self.assertIn("enough rows", outcome.out)
        self.server.sql("insert into t select generate_series(1, 100)")
        self.as_server("backup")
        verified = self.as_server("verify", "--boot", "--scratch", self.scratch)
        self.assertRegex(verified.out, r"(?m)^db: [\d.]+ [KMG]iB checked in .*: right$")

    def test_tablespace_and_standby(self):
        space = self.server.directory / "space"
        space.mkdir()
        self.give_to_server(space)
        self.server.sql(f"create tablespace s location '{space}'")
        self.server.sql("create table t (n int) tablespace s")
        self.server.sql("insert into t values (1)")
        self.as_server("backup")
        there = self.scratch / "space-there"
        standby = ("restore", "--to", self.scratch / "out", "--tablespace", f"{space}={there}", "--standby", "--primary-conninfo", self.server.connection)
        from_point = self.as_server(*standby, "--point", "latest", "--dry-run", "--json").json()["components"][0]
        told = " ".join(self.as_server(*standby, "--dry-run").out.split())
        self.assertIn("standby will stay in recovery, and stream from the server that --primary-conninfo names", told)
        alone = ("restore", "--to", self.scratch / "out", "--tablespace", f"{space}={there}")
        told = " ".join(self.as_server(*alone, "--standby", "--dry-run").out.split())
        self.assertIn("standby will stay in recovery, and follow the stored WAL alone (--primary-conninfo names a server to stream from)", told)
        self.assertNotIn("standby", self.as_server(*alone, "--dry-run", "--json").json()["components"][0])
        newest = self.as_server(*standby, "--at", "latest", "--json").json()["components"][0]
        self.assertEqual((from_point["standby"], newest["standby"]), (True, True))
        self.assertEqual(from_point["description"], newest["description"])
        self.server.sql("insert into t values (2)")
        socket = Path(self.server.socket)
        standby_words = f"-k {socket} -p 5433"
        self.server.run("pg_ctl", "-D", self.scratch / "out", "-l", self.scratch / "out.log", "-o", standby_words, "-w", "start")
        self.addCleanup(self.server.stop, self.scratch / "out", mode="immediate")
        query = ["psql", "-XqAt", "-h", socket, "-p", 5433, "-U", "postgres", "-c", "select count(*) from t"]
        wait_until("replication", lambda: self.server.run(*query, check=False).stdout.strip() == "2")
        self.assertTrue(any(there.iterdir()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
