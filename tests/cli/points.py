"""One point of a database and files: order, commands around it, failures in both
modes, one instant for all, what retention keeps of points and logs together."""
import json
import os
import re
import shutil
import signal
import socket
import unittest
from datetime import datetime

from harness import (INCOMPLETE, INTERRUPTED, NOT_FOUND, PROGRAM, REFUSED, UNREACHABLE, USAGE, Background, Case, Server,
                     is_root, wait_until)


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class Points(Case):
    def setUp(self):
        super().setUp()
        self.server = Server(self.scratch / "server", ["wal_keep_size = 0", "checkpoint_timeout = 1h"])
        self.addCleanup(self.server.remove)
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")
        self.server.sql("create table t (n int)")
        self.make_data()
        self.journal = self.scratch / "journal"
        self.configure()
        self.holdfast("init")

    def configure(self, db="", data="", extra=""):
        """The stack, with further keys (lines) of its two components and at the top."""
        indent = lambda lines: "".join(f"    {line}\n" for line in lines.splitlines())
        self.write_config(
            f"  - name: data\n    kind: files\n    paths: [{self.data}]\n{indent(data)}"
            f"  - name: db\n    kind: postgres\n    connection: {self.server.connection}\n{indent(db)}", extra)

    def note(self, word):
        """A command that writes a word, and who it was told that it is for, to the journal."""
        return f"[sh, -c, 'echo \"{word} $HOLDFAST_COMPONENT$HOLDFAST_CAPTURED\" >> {self.journal}']"

    def sql_command(self, query):
        return f"[{Server.BIN}/psql, -XqAt, -h, {self.server.socket}, -U, postgres, -d, postgres, -c, {query}]"

    def points(self):
        return self.holdfast("points", "--json").json()["points"]

    def lines(self):
        return self.journal.read_text().splitlines() if self.journal.exists() else []

    def lose_data(self):
        self.data.rename(self.scratch / "elsewhere")
        return lambda: (self.scratch / "elsewhere").rename(self.data)

    def test_order_commands_and_spread(self):
        self.configure(
            db=f"before_backup: [{self.note('hold')}]\nafter_backup: [{self.note('free')}]",
            data=f"after: [db]\nbefore_backup:\n  - {self.note('hold')}\n  - command: {self.sql_command('insert into t values (7)')}\n"
                 f"    timeout: 30s\nafter_backup: [{self.note('free')}]",
            extra=f"before_backup: [{self.note('first')}]\nafter_backup: [{self.note('last')}]\n")
        outcome = self.holdfast("backup")
        self.assertEqual(self.lines(), ["first ", "hold db", "free dbyes", "hold data", "free datayes", "last yes"])
        self.assertRegex(outcome.out, r"(?m)^  db stands for 20.*\n")
        self.assertRegex(outcome.out, r"(?m)^  spread [0-9]")
        self.assertEqual(self.server.sql("select n from t"), "7")
        point, = self.points()
        self.assertEqual((point["degraded"], point["missing"]), (False, []))
        instants = {each["component"]: instant(each["instant"]) for each in point["components"]}
        self.assertGreater(instants["data"], instants["db"])
        self.assertAlmostEqual(point["spread_seconds"], (instants["data"] - instants["db"]).total_seconds(), places=2)
        self.assertRegex(self.holdfast("points", "--instants").out, r"  spread [0-9]")
        # The table of the point was captured before its files' command wrote the row.
        self.holdfast("check", "--read-data")

    def test_a_component_that_fails(self):
        self.holdfast("backup")
        whole = self.points()[0]["id"]
        bring_back = self.lose_data()
        outcome = self.holdfast("backup", expect=NOT_FOUND)
        self.assertIn("component data", outcome.err)
        self.assertEqual([point["id"] for point in self.points()], [whole])

        self.configure(extra="when_a_component_fails: commit_degraded\n")
        outcome = self.holdfast("backup", expect=INCOMPLETE)
        self.assertIn("missing: data: ", outcome.out)
        self.assertIn("was taken without data", outcome.err)
        point = self.points()[-1]
        self.assertTrue(point["degraded"])
        self.assertEqual([each["component"] for each in point["missing"]], ["data"])
        self.assertEqual([each["component"] for each in point["components"]], ["db"])
        self.assertEqual(point["tags"], [])
        self.assertIn("db -data DEGRADED", self.holdfast("points").out)

        latest = self.holdfast("latest")
        self.assertEqual(latest.out.strip(), point["id"])
        self.assertIn("is degraded, it lacks data: ", latest.err)
        self.assertEqual(self.holdfast("latest", "--complete").out.strip(), whole)

        owner = ("--owner", "root") if is_root() else ()
        plan = self.holdfast("restore", "--to", self.scratch / "out", "--validate-only", "--json", *owner).json()
        of_data = next(each for each in plan["components"] if each["component"] == "data")
        self.assertEqual(of_data["point"], whole)
        self.assertIn("is degraded: data could not be captured", of_data["notes"][-1])
        of_db = next(each for each in plan["components"] if each["component"] == "db")
        self.assertEqual(of_db["point"], point["id"])
        plan = self.holdfast("restore", "--point", point["id"], "--to", self.scratch / "out", "--validate-only", "--json", *owner).json()
        self.assertEqual([each["component"] for each in plan["components"]], ["db"])
        self.assertIn("is degraded: data could not be captured", plan["notes"][0])

        # It pushes out nothing that is whole, and the next whole one needs no full read.
        self.holdfast("prune", "--keep-last", 1, "--grace", "0s")
        self.assertEqual([point["id"] for point in self.points()], [whole, point["id"]])
        bring_back()
        self.holdfast("backup")
        self.holdfast("prune", "--keep-last", 1, "--grace", "0s")
        self.assertNotIn(whole, [point["id"] for point in self.points()])
        self.holdfast("check", "--read-data")
        self.holdfast("backup", "--tag", "missing:x", expect=USAGE)
        self.assertIn("--tag is empty", self.holdfast("backup", "--tag", "", expect=USAGE).err)

    def test_a_dry_run_tells_what_a_newer_point_lacks(self):
        self.holdfast("backup")
        self.configure(extra="when_a_component_fails: commit_degraded\n")
        self.server.stop()
        self.holdfast("backup", expect=INCOMPLETE)
        owner = ("--owner", "root") if is_root() else ()
        plan = self.holdfast("restore", "--component", "db", "--to", self.scratch / "out", "--dry-run", "--json", *owner).json()
        self.assertIn("is degraded: db could not be captured", plan["components"][0]["notes"][0])

    def test_a_before_command_that_fails(self):
        self.configure(data=f"before_backup: [{self.note('hold')}, [sh, -c, 'echo a passphrase is taken >&2; exit 9']]\n"
                            f"after_backup: [{self.note('free')}]")
        outcome = self.holdfast("backup", expect=31)
        self.assertIn("component data: before_backup: sh ended with status 9: [secret] is taken", outcome.err)
        self.assertNotIn("a passphrase", outcome.err)
        self.assertEqual(self.lines(), ["hold data", "free datano"])
        self.assertEqual(self.points(), [])
        self.configure(data=f"after_backup: [[sh, -c, 'exit 3'], {self.note('free')}]")
        outcome = self.holdfast("backup", expect=INCOMPLETE)
        self.assertIn("problem: component data: after_backup: sh ended with status 3", outcome.out)
        self.assertEqual(self.lines()[-1], "free datayes")
        self.assertEqual(len(self.points()), 1)

    def test_a_stop_while_the_application_is_held_still(self):
        still = self.scratch / "still"
        self.configure(db=f"before_backup: [[touch, {still}], [sleep, '1000']]\nafter_backup: [[rm, {still}]]",
                       extra=f"after_backup: [{self.note('last')}]\nbefore_backup: [{self.note('first')}]\n"
                             "when_a_component_fails: commit_degraded\n")
        backup = Background([PROGRAM, "--config", self.config, "backup"], self.scratch / "log")
        self.addCleanup(backup.process.kill)
        wait_until("the effect of the before command", still.exists)
        self.assertEqual(backup.end(signal.SIGTERM), INTERRUPTED, (self.scratch / "log").read_text())
        self.assertFalse(still.exists())
        self.assertEqual(self.lines(), ["first ", "last no"])
        self.assertEqual(self.points(), [])
        wait_until("nobody at the server", lambda: self.server.sql(
            "select count(*) from pg_stat_activity where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid()") == "0")
        self.holdfast("check", "--read-data")

    def receive(self, *words, prefix=()):
        receiver = Background([*prefix, PROGRAM, "--config", self.config, "wal", "receive", *words], self.scratch / "receive.log")
        self.addCleanup(receiver.process.kill)
        wait_until("the slot", lambda: self.server.sql("select active from pg_replication_slots where slot_name = 'holdfast_db'") == "t")
        return receiver

    def wait_for_log(self):
        lsn = self.server.sql("select pg_current_wal_flush_lsn()")
        wait_until("the flush", lambda: self.server.sql(
            f"select coalesce(bool_or(flush_lsn >= '{lsn}'), false) from pg_stat_replication") == "t")

    def test_all_components_to_one_instant(self):
        receiver = self.receive()
        (self.data / "a.txt").write_text("one\n")
        self.server.sql("insert into t values (1)")
        self.holdfast("backup")
        self.server.sql("insert into t values (2)")
        at = self.server.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        self.server.sql("insert into t values (3)")
        (self.data / "a.txt").write_text("two\n")
        self.holdfast("backup")
        self.wait_for_log()
        self.assertEqual(receiver.end(), 0, (self.scratch / "receive.log").read_text())
        self.server.stop(mode="immediate")

        out = self.scratch / "out"
        owner = ("--owner", "root") if is_root() else ()
        report = self.holdfast("restore", "--at", at, "--to", out, "--json", *owner).json()
        components = {each["component"]: each for each in report["components"]}
        self.assertLessEqual(instant(components["data"]["instant"]), instant(at))
        self.assertIn("before the instant asked for", components["data"]["notes"][0])
        distance = (instant(at) - instant(components["data"]["instant"])).total_seconds()
        self.assertAlmostEqual(report["spread_seconds"], distance, delta=0.01)
        self.assertEqual((out / "data" / str(self.data)[1:] / "a.txt").read_text(), "one\n")
        # That PostgreSQL gets there is for cli.postgres to show.
        settings = (out / "db" / "postgresql.auto.conf").read_text()
        self.assertIn("recovery_target_time = '" + at.replace("T", " ").replace("Z", "+00"), settings)

    def run_restore(self, words, expect):
        """A runbook that destroys the files and restores everything by `words`."""
        out = self.scratch / "out"
        owner = " --owner root" if is_root() else ""
        (self.scratch / "dr.md").write_text(
            "# Runbook\n\n## Scenario 1: All is lost\n\n### Recovery Procedure\n\n"
            f"1. **Wipe**\n   ```bash {{id=wipe destructive=yes component=data}}\n   rm -rf {self.data}/*\n   ```\n\n"
            f"2. **Restore**\n   ```bash {{id=restore}}\n   holdfast restore --config {self.config} {words} --to {out}{owner}\n   ```\n")
        return self.holdfast("runbook", "run", self.scratch / "dr.md", "1", "--runs", self.scratch / "runs", "--target", socket.gethostname(),
                             "--unattended", expect=expect, environment={"PATH": self.path_with_program()})

    def test_a_place_in_the_log_proves_the_files_of_its_instant(self):
        receiver = self.receive()
        self.holdfast("backup", "--component", "db")
        lsn = self.server.sql("insert into t values (1) returning pg_current_wal_insert_lsn()")
        (self.data / "a.txt").write_text("of that instant\n")
        self.server.sql("insert into t values (2)")
        self.wait_for_log()
        outcome = self.run_restore(f'--lsn "{lsn}"', expect=REFUSED)
        self.assertIn("step wipe destroys, and no recovery point is proven: there is no recovery point of data", outcome.err)
        self.assertTrue((self.data / "a.txt").exists())

        self.holdfast("backup")
        lsn = self.server.sql("insert into t values (3) returning pg_current_wal_insert_lsn()")
        self.server.sql("insert into t values (4)")
        (self.data / "a.txt").write_text("younger\n")
        self.holdfast("backup")
        self.wait_for_log()
        self.assertEqual(receiver.end(), 0, (self.scratch / "receive.log").read_text())
        outcome = self.run_restore(f'--lsn "{lsn}"', expect=0)
        self.assertIn("read whole and right", outcome.out)
        self.assertFalse((self.data / "a.txt").exists())
        self.assertEqual((self.scratch / "out" / "data" / str(self.data)[1:] / "a.txt").read_text(), "of that instant\n")

    def lose_a_segment(self):
        """WAL that nobody stores, and that the server no longer has."""
        self.server.sql("insert into t select generate_series(1, 100)")
        self.server.sql("select pg_switch_wal()")
        self.server.sql("insert into t select generate_series(1, 100)")
        self.server.sql("select pg_switch_wal()")
        self.server.sql("checkpoint")

    def test_a_gap_divides_the_window_and_its_points_stay(self):
        self.holdfast("backup")
        self.lose_a_segment()
        between = self.server.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        self.lose_a_segment()
        self.holdfast("backup")
        self.holdfast("backup")
        log = self.holdfast("log", "--json").json()["logs"][0]
        self.assertEqual(len(log["windows"]), 2, log)
        self.assertEqual(len([line for line in self.holdfast("log").out.splitlines() if line.startswith("  window ")]), 2)
        outcome = self.holdfast("restore", "--component", "db", "--at", between, "--to", self.scratch / "out", expect=UNREACHABLE)
        self.assertRegex(outcome.err, r"the recovery windows are \S+ to \S+ and \S+ to \S+")

        ids = [point["id"] for point in self.points()]
        plan = self.holdfast("prune", "--keep-last", 1, "--keep-window", "7d", "--grace", "0s", "--dry-run", "--json").json()
        self.assertEqual([point["id"] for point in plan["points"] if point["keep"]], list(reversed(ids)))
        db = next(each for each in plan["windows"] if each["component"] == "db")
        self.assertTrue(db["every_instant"])
        self.assertEqual(len(db["windows"]), 2)
        # Without it only what the newest point needs stays, its log with it.
        plan = self.holdfast("prune", "--keep-last", 1, "--grace", "0s", "--dry-run", "--json").json()
        self.assertEqual([point["id"] for point in plan["points"] if point["keep"]], ids[-1:])
        self.assertEqual(len(next(each for each in plan["windows"] if each["component"] == "db")["windows"]), 1)
        self.assertEqual([point["id"] for point in self.points()], ids)

        held = self.holdfast("points", "--hold", ids[0], "--reason", "audit 2026")
        self.assertIn(f"point {ids[0][:8]} is held", held.out)
        self.assertIn("held: audit 2026", self.holdfast("points").out)
        self.assertEqual(self.points()[0]["holds"], ["audit 2026"])
        done = self.holdfast("prune", "--keep-last", 1, "--grace", "0s", "--json").json()
        self.assertEqual([point["id"] for point in self.points()], [ids[0], ids[-1]])
        self.assertEqual(len(next(each for each in done["windows"] if each["component"] == "db")["windows"]), 2)
        # Its log is there: it can be restored.
        owner = ("--owner", "root") if is_root() else ()
        self.holdfast("restore", "--point", ids[0], "--component", "db", "--to", self.scratch / "out", *owner)
        shutil.rmtree(self.scratch / "out")
        self.holdfast("points", "--release", ids[0])
        self.holdfast("points", "--release", ids[0], expect=NOT_FOUND)
        self.holdfast("prune", "--keep-last", 1, "--grace", "0s")
        self.assertEqual([point["id"] for point in self.points()], ids[-1:])
        self.holdfast("check", "--read-data")
        self.holdfast("restore", "--component", "db", "--to", self.scratch / "out", *owner)

    def test_a_point_that_stays_for_a_file_keeps_what_its_database_needs(self):
        if is_root():
            for path in (self.scratch, *self.scratch.rglob("*")):
                shutil.chown(path, "postgres", "postgres")
        as_server = lambda *words, **options: self.holdfast(*words, prefix=self.server.prefix, **options)
        as_server("backup")
        first = self.points()[0]["id"]
        as_server("verify")
        self.lose_a_segment()
        between = self.server.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        (self.data / "a.txt").chmod(0)
        for _ in range(2):
            self.lose_a_segment()
            as_server("backup", expect=INCOMPLETE)
        as_server("verify")  # the first is the last verified no more

        words = ("prune", "--keep-last", 1, "--grace", "0s", "--json")
        plan, done = as_server(*words, "--dry-run").json(), as_server(*words).json()
        self.assertEqual([point["id"] for point in self.points()], [first, done["points"][0]["id"]])
        self.assertIn(f"point {first[:8]} stays only because newer ones have faults: of the log of db only what its own state needs "
                      "is kept for it", done["notes"])
        self.assertGreater(done["logs"][0]["records"], 0)
        for report in (plan, done):
            windows = next(each["windows"] for each in report["windows"] if each["component"] == "db")
            self.assertEqual(len(windows), 2, report)
            self.assertEqual(windows[0]["from"], windows[0]["until"])
        as_server("check", "--read-data")
        outcome = as_server("restore", "--component", "db", "--at", between, "--to", self.scratch / "out", expect=UNREACHABLE)
        windows = re.findall(r"(20\S+Z) to (20\S+Z)", outcome.err.replace("\n", " "))
        self.assertEqual(len(windows), 2, outcome)
        self.assertFalse(any(instant(begin) <= instant(between) <= instant(end) for begin, end in windows), outcome)
        as_server("restore", "--point", first, "--component", "db", "--to", self.scratch / "out")
        as_server("verify", "--boot", "--point", first)

        # A receiver does not ask for what was taken out.
        receiver = self.receive("--json", prefix=self.server.prefix)
        self.wait_for_log()
        self.assertEqual(receiver.end(), 0, (self.scratch / "receive.log").read_text())
        said = (self.scratch / "receive.log").read_text()
        self.assertEqual(json.loads(said[said.index("{"):said.rindex("}") + 1])["gaps"], 0, said)

        # Where it is lost all the same, check says so.
        stored = sorted((self.repository / "log").rglob("0000000100000000000000??"))
        self.assertGreater(len(stored), 1, stored)
        stored[0].unlink()
        outcome = as_server("check", expect=INCOMPLETE)
        self.assertRegex(outcome.out, rf"(?m)^incomplete: point {first[:8]} of .*: db: WAL from \S+ to \S+ is missing \(segment {stored[0].name}")
        self.assertIn("1 point can't be restored whole", outcome.err)
        incomplete, = as_server("check", "--json", expect=INCOMPLETE).json()["incomplete"]
        self.assertEqual((incomplete["point"], incomplete["component"]), (first, "db"))
        outcome = as_server("restore", "--point", first, "--component", "db", "--to", self.scratch / "out2", expect=UNREACHABLE)
        self.assertNotIn("the recovery window is", outcome.err)


class Parts(Case):
    def test_a_point_of_some_components_is_not_complete(self):
        self.make_data()
        self.write_config("".join(f"  - {{name: {name}, kind: files, paths: [{self.data}/{path}]}}\n"
                                  for name, path in (("first", "a.txt"), ("second", "sub"))))
        self.holdfast("init")
        self.holdfast("backup")
        whole = self.holdfast("latest", "--complete").out.strip()
        for name in ("first", "second"):
            self.holdfast("backup", "--component", name)
        self.assertNotEqual(self.holdfast("latest").out.strip(), whole)
        self.assertEqual(self.holdfast("latest", "--complete").out.strip(), whole)
        self.holdfast("prune", "--keep-last", 1, "--grace", "0s")
        self.assertEqual(len(self.holdfast("points", "--json").json()["points"]), 3)
        self.assertEqual(self.holdfast("latest", "--complete").out.strip(), whole)


class Holds(Case):
    def test_words(self):
        self.make_stack()
        self.refuse("points", "--hold", "0123abcd", status=NOT_FOUND, says="there is no point 0123abcd")
        self.refuse("points", "--reason", "x", status=USAGE, whole="--reason needs --hold: it says why a point is held")
        point = self.holdfast("latest").out.strip()
        self.holdfast("points", "--hold", "latest")
        document = self.holdfast("points", "--json").json()["points"][0]
        self.assertEqual((document["id"], document["held"], document["holds"]), (point, True, [""]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
