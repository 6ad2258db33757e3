#!/usr/bin/env python3
"""Drills of a real cluster and files: what passes, what fails and why, whom they can't reach."""
import json
import os
import signal
import socket
import subprocess
import unittest

from stack import Cluster, Server, wait_until

from harness import INTERRUPTED, USAGE, VERIFY_FAILED, Background, is_root

PASSED = {"relation files": "passed", "amcheck": "passed", "indexes": "passed", "constraints": "passed", "page checksums": "passed"}


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class Drills(Cluster):
    def history(self):
        """Rows before and after an instant, all archived. Returns the instant."""
        self.server.sql("create table t (n int primary key); insert into t values (1)")
        self.as_server("backup")
        self.server.sql("insert into t values (2)")
        instant = self.now()
        self.server.sql("insert into t values (3)")
        self.archive()
        return instant

    def test_a_good_stack_passes_at_any_instant(self):
        instant = self.history()
        made = self.drill()
        evidence = made["evidence"]
        self.assertEqual((evidence["result"], evidence["problem"], evidence["destroyed"]), ("passed", "", True))
        self.assertEqual([phase["phase"] for phase in evidence["phases"]], ["choose", "restore", "boot", "verify", "destroy"])
        db = self.component(made, "db")
        outcomes = {name: check["outcome"] for name, check in self.checks(db).items()}
        self.assertEqual({**outcomes, **PASSED}, outcomes)
        self.assertEqual((outcomes["row counts"], outcomes["assertions"], outcomes["rto"], outcomes["rpo"]), ("skipped", "skipped", "passed", "skipped"))
        self.assertEqual(self.checks(self.component(made, "data"))["contents"]["outcome"], "passed")
        self.assertEqual(evidence["asked"]["how"], "latest")
        self.assertIsNotNone(db["newest_transaction"])
        self.assertIsNotNone(db["objectives"]["loss_seconds"])
        self.assertEqual(self.left_behind(), [])

        # At the instant there were two rows, and now there are three.
        self.configure(', assertions: [{name: two rows, sql: "select count(*) = 2 from t"}]')
        at = self.drill("--component", "db", "--at", instant)
        self.assertEqual(at["evidence"]["asked"]["instant"], instant)
        self.assertEqual(self.checks(self.component(at, "db"))["assertions"]["outcome"], "passed")
        later = self.drill("--component", "db", expect=VERIFY_FAILED)
        self.assertEqual(self.checks(self.component(later, "db"))["assertions"]["findings"],
                         [{"object": "assertion 'two rows'", "problem": "does not hold: f"}])
        self.assertEqual(later["evidence"]["result"], "failed")
        told = next(line for line in self.as_server("drill", "--list").out.splitlines() if later["evidence"]["id"] in line)
        self.assertRegex(told, r" - +failed: db: assertions")
        report = self.as_server("drill", "--report", later["evidence"]["id"]).out
        self.assertRegex(report, r"(?m)^\| all \| time to recover \| - \| - \| - \|$")

        # As captured the counted rows are compared, too.
        self.configure()
        point = self.drill("--component", "db", "--point", "latest")
        self.assertEqual(self.checks(self.component(point, "db"))["row counts"]["outcome"], "passed")
        self.assertIsNone(point["evidence"]["asked"]["instant"])

        for _ in range(3):
            drawn = self.drill("--at", "random", "--component", "db")
            asked = drawn["evidence"]["asked"]
            self.assertTrue(asked["window"]["from"] <= asked["instant"] <= asked["window"]["until"], asked)
            self.assertEqual(drawn["evidence"]["result"], "passed")
        listed = self.as_server("drill", "--list", "--json").json()
        self.assertEqual([each["evidence"]["result"] for each in listed["drills"]],
                         ["passed", "passed", "failed", "passed", "passed", "passed", "passed"])
        self.assertTrue(listed["chain_holds"])
        self.assertEqual(self.left_behind(), [])

    def test_a_missed_objective_fails_the_drill(self):
        self.history()
        self.configure(", rpo: 1h")
        self.drill("--component", "db")
        self.configure(", rpo: 1ms")
        missed = self.drill("--component", "db", expect=VERIFY_FAILED)
        self.assertIn("missed: ", self.checks(self.component(missed, "db"))["rpo"]["findings"][0]["problem"])

    def verified(self):
        return [point["id"] for point in self.as_server("points", "--json").json()["points"] if point["verified"]]

    def test_a_point_drilled_whole_as_captured_counts_as_verified(self):
        self.history()
        self.drill()
        self.drill("--point", "latest", "--at", "latest")
        self.drill("--component", "db", "--point", "latest")
        self.configure(', assertions: [{name: never, sql: "select false"}]')
        self.drill("--point", "latest", expect=VERIFY_FAILED)
        self.assertEqual(self.verified(), [])
        self.configure(rto="1ms")
        missed = self.drill("--point", "latest", expect=VERIFY_FAILED)
        self.assertEqual(self.checks(self.component(missed, "db"))["rto"]["outcome"], "failed")
        self.assertEqual(self.verified(), [self.as_server("latest", "--verified").out.strip()])

    @unittest.skipUnless(is_root(), "only root starts servers under another account")
    def test_as_root_the_server_runs_as_the_scratch_directorys_owner(self):
        self.server.sql("create table t (n int primary key); insert into t values (1)")
        self.holdfast("backup")
        made = self.holdfast("drill", "--point", "latest", "--scratch", self.place, "--json").json()
        self.assertEqual(made["evidence"]["result"], "passed", json.dumps(made, indent=1))
        self.assertEqual(self.component(made, "db")["isolation"]["account"], "postgres")
        self.assertEqual(self.left_behind(), [])

    def file_of(self, relation, database="postgres"):
        done = self.server.run("psql", "-XqAt", "-h", self.server.socket, "-U", "postgres", "-d", database, "-c",
                               f"select pg_relation_filepath('{relation}')")
        return self.server.data / done.stdout.strip()

    def do_damage(self):
        """Damage that no checksum shows: on disk below a server that has the right pages in memory."""
        sql = self.server.sql
        sql("create table marked (n int); create index marked_n on marked (n); update pg_index set indisvalid = false "
            "where indexrelid = 'marked_n'::regclass")
        sql("create table parent (n int primary key); create table child (n int references parent); set session_replication_role = replica; "
            "insert into child values (7)")
        sql("create table stale (n int); create index stale_n on stale (n); insert into stale select generate_series(1, 100)")
        sql("create table zeroed (n int); insert into zeroed select generate_series(1, 2000)")
        sql("create database other")
        self.server.run("psql", "-Xq", "-h", self.server.socket, "-U", "postgres", "-d", "other", "-c", "create table lost as select 1 as n; checkpoint")
        index = self.file_of("stale_n")
        before = index.read_bytes()
        sql("insert into stale select generate_series(101, 200)")
        sql("select count(*) from zeroed")  # sets hint bits, which a checkpoint writes
        sql("checkpoint")
        index.write_bytes(before)
        with open(self.file_of("zeroed"), "r+b") as file:
            file.seek(8192)
            file.write(bytes(8192))
        self.lost = self.file_of("lost", "other")
        self.lost.unlink()

    def test_logical_damage_is_failed_and_named(self):
        self.configure(', assertions: [{name: never, sql: "select false"}]')
        self.do_damage()
        self.as_server("backup", "--component", "db")
        made = self.drill("--component", "db", "--point", "latest", expect=VERIFY_FAILED)
        found = {name: [f"{finding['object']}: {finding['problem']}" for finding in check["findings"]]
                 for name, check in self.checks(self.component(made, "db")).items()}
        told = json.dumps(found, indent=1)
        self.assertEqual(found["indexes"], ["postgres: index public.marked_n: is marked invalid"])
        self.assertEqual(len(found["constraints"]), 1, told)
        self.assertIn("postgres: constraint child_n_fkey of public.child: ", found["constraints"][0])
        self.assertIn("foreign key", found["constraints"][0])
        self.assertIn(f"other: table public.lost: its file {self.lost.relative_to(self.server.data)} is missing", found["relation files"])
        self.assertTrue(any("stale_n" in finding for finding in found["amcheck"]), told)
        self.assertTrue(any(finding.startswith("postgres: public.zeroed: has 1774 rows, 2000 were counted") for finding in found["row counts"]), told)
        self.assertEqual(found["assertions"], ["assertion 'never': does not hold: f"])
        self.assertEqual(found["page checksums"], [])
        outcome = self.as_server("drill", "--report", "latest", "--format", "html")
        self.assertIn("child_n_fkey", outcome.out)
        self.assertEqual(self.left_behind(), [])

    def test_what_lives_can_not_be_reached(self):
        """An assertion may do all that the server can: it tries, and must not arrive."""
        self.server.sql("create table t (n int)")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            port = listener.getsockname()[1]
            postmaster = (self.server.data / "postmaster.pid").read_text().split()[0]
            psql = self.server.BIN / "psql"
            tries = {"the server by its socket": f"{psql} -h {self.server.socket} -U postgres -d postgres -c \"insert into t values (666)\"",
                     "a port of the machine": f"bash -c \"echo hello > /dev/tcp/127.0.0.1/{port}\"",
                     "its data directory": f"cat {self.server.data}/PG_VERSION",
                     "its process": f"kill -0 {postmaster}",
                     "the repository": f"ls {self.repository}",
                     "the passphrase": f"cat {self.scratch}/pass",
                     "the machine's spool of mail": "ls /var/spool"}
            assertions = []
            for name, command in tries.items():
                program = f"({command}) > /dev/null 2>&1 && echo reached || echo away".replace("'", "''")
                sql = f"create temp table r (x text); copy r from program '{program}'; select x = 'away' from r"
                assertions.append({"name": name, "database": "postgres", "sql": sql})
            # The same tries arrive from outside of the drill, by the same account.
            for name, command in tries.items():
                done = subprocess.run([*self.server.prefix, "sh", "-c", command], capture_output=True, text=True, cwd="/", check=False)
                self.assertEqual(done.returncode, 0, f"{name}: {done.stderr}")
            self.assertEqual(self.server.sql("select count(*) from t"), "1")
            with listener.accept()[0] as arrived:
                self.assertEqual(arrived.recv(100), b"hello\n")
            # And their programs run inside of it.
            for name, command in {"psql runs": f"{psql} --version", "bash runs": "bash -c true", "cat reads": "cat /etc/passwd"}.items():
                sql = f"create temp table r (x text); copy r from program '({command}) > /dev/null 2>&1 && echo runs || echo fails'; select x = 'runs' from r"
                assertions.append({"name": name, "database": "postgres", "sql": sql})
            self.configure(", assertions: " + json.dumps(assertions))
            self.as_server("backup")
            made = self.drill("--component", "db", "--point", "latest", expect=None)
            db = self.component(made, "db")
            if db["isolation"]["level"] != "sealed":
                self.skipTest("no namespaces here: " + db["isolation"]["why_not_more"])
            self.assertEqual(self.checks(db)["assertions"]["findings"], [])
            self.assertEqual(self.checks(db)["assertions"]["words"], f"{len(assertions)} of the stack")
            with self.assertRaises(BlockingIOError):
                listener.accept()
        self.assertEqual(self.server.sql("select count(*) from t"), "1")
        self.assertEqual(made["evidence"]["result"], "passed")

    def test_no_setting_of_the_original_reaches_out(self):
        marks = [self.scratch / name for name in ("cleaned", "ended")]
        reach = {"primary_conninfo": f"host={self.server.socket} user=postgres", "primary_slot_name": "reach",
                 "archive_cleanup_command": f"touch {marks[0]}", "recovery_end_command": f"touch {marks[1]}"}
        for name, value in reach.items():
            self.server.sql(f"alter system set {name} = '{value}'")
        self.server.sql("select pg_reload_conf(); select pg_create_physical_replication_slot('reach', true)")
        self.server.sql("create table t (n int); create publication p for table t")
        conditions = {"archives nothing": "current_setting('archive_mode') = 'off' and current_setting('archive_command') = '(disabled)'",
                      "follows nobody": "current_setting('primary_conninfo') || current_setting('primary_slot_name') = '' "
                                        "and not exists (select from pg_stat_wal_receiver)",
                      "feeds nobody": "not exists (select from pg_replication_slots) and not exists (select from pg_stat_replication)",
                      "waits for nobody": "current_setting('synchronous_standby_names') = ''",
                      "runs no commands": "current_setting('archive_cleanup_command') || current_setting('recovery_end_command') = ''",
                      "subscribes to nothing": "current_setting('max_logical_replication_workers') = '0' "
                                               "and not exists (select from pg_subscription where subenabled)",
                      "listens nowhere": "current_setting('listen_addresses') = ''"}
        assertions = [{"name": name, "database": "postgres", "sql": f"select {condition}"} for name, condition in conditions.items()]
        self.configure(", assertions: " + json.dumps(assertions))
        self.as_server("backup")
        self.server.sql("insert into t values (1)")
        self.archive()
        made = self.drill("--component", "db")
        self.assertEqual(self.checks(self.component(made, "db"))["assertions"]["findings"], [], json.dumps(made, indent=1))
        self.assertEqual(self.checks(self.component(made, "db"))["assertions"]["words"], f"{len(assertions)} of the stack")
        self.assertEqual([mark for mark in marks if mark.exists()], [])
        self.assertEqual(self.server.sql("select active from pg_replication_slots"), "f")

    def test_no_file_of_settings_reaches_out_either(self):
        """Settings in included files, of ALTER SYSTEM and of a database, libraries, and the hooks of archiving and restoring."""
        marks = {name: self.scratch / name for name in ("archived", "fetched", "cleaned")}
        folder, single = self.server.data / "more.d", self.server.data / "one.conf"
        folder.mkdir()
        standby = f"host={self.server.socket} user=postgres"
        (folder / "1.conf").write_text(f"synchronous_standby_names = 'nobody'\nsynchronous_commit = local\n"
                                       f"primary_conninfo = '{standby}'\narchive_cleanup_command = 'touch {marks['cleaned']}'\n")
        single.write_text(f"shared_preload_libraries = 'auto_explain'\nsession_preload_libraries = 'auto_explain'\n"
                          f"local_preload_libraries = ''\nrestore_command = 'touch {marks['fetched']}; false'\n")
        with open(self.server.data / "postgresql.conf", "a", encoding="ascii") as file:
            file.write("include_dir = 'more.d'\ninclude = 'one.conf'\n")
        self.give_to_server(folder, folder / "1.conf", single)
        self.server.stop()
        self.server.start()
        self.server.sql("alter system set synchronous_standby_names = 'nobody, nobody_else'")
        self.server.sql("alter system set listen_addresses = '*'")  # for the next start: the port may be another's
        self.server.sql(f"alter system set archive_command = 'touch {marks['archived']}'")
        self.server.sql("alter database postgres set session_preload_libraries = 'auto_explain'")
        self.server.sql("create database other")
        self.server.sql("alter database other set session_preload_libraries = 'of_another_machine'")
        self.server.sql("select pg_reload_conf()")
        self.assertEqual(self.server.sql("show shared_preload_libraries"), "auto_explain")
        wanted = {"listen_addresses": "", "archive_mode": "off", "archive_command": "(disabled)", "primary_conninfo": "", "primary_slot_name": "",
                  "synchronous_standby_names": "", "shared_preload_libraries": "", "session_preload_libraries": "", "archive_cleanup_command": "", "recovery_end_command": ""}
        assertions = [{"name": name, "database": "postgres", "sql": f"select current_setting('{name}') = '{value}'"} for name, value in wanted.items()]
        more = {"receives nothing": "not exists (select from pg_stat_wal_receiver)", "feeds nobody": "not exists (select from pg_stat_replication)",
                "fetches from nowhere": f"current_setting('restore_command') not like '%{marks['fetched']}%'",
                "listens nowhere": "inet_server_addr() is null"}
        assertions += [{"name": name, "database": "postgres", "sql": f"select {condition}"} for name, condition in more.items()]
        self.configure(", assertions: " + json.dumps(assertions))
        self.as_server("backup")
        for path in marks.values():
            path.unlink(missing_ok=True)
        self.server.sql("create table t (n int)")
        self.server.stop(mode="immediate")
        made = self.drill("--component", "db", "--point", "latest")
        checks = self.checks(self.component(made, "db"))
        self.assertEqual((checks["assertions"]["findings"], checks["assertions"]["words"]), ([], f"{len(assertions)} of the stack"))
        self.assertEqual([name for name, path in marks.items() if path.exists()], [])

    def test_subscriptions_do_not_wake_up(self):
        self.server.sql("create table t (n int); create subscription s connection 'host=127.0.0.1 dbname=postgres' publication p "
                        "with (connect = false)")
        self.server.sql("alter subscription s enable")
        self.as_server("backup")
        made = self.drill("--component", "db", "--point", "latest")
        self.assertEqual(self.component(made, "db")["isolation"]["subscriptions_disabled"], 1)

    def sleeps(self):
        asleep = "select 1 from pg_stat_activity where query like '%pg_sleep(3600)%' and pid <> pg_backend_pid()"
        return any(self.server.run("psql", "-XqAt", "-h", socket_directory, "-U", "postgres", "-d", "postgres", "-c", asleep, check=False).stdout.strip()
                   for socket_directory in self.place.glob("holdfast-drill-*/db/s"))

    def test_a_drill_that_is_stopped_removes_all_and_says_so(self):
        self.server.sql("create table t (n int)")
        self.as_server("backup")
        self.configure(', assertions: [{name: endless, sql: "select pg_sleep(3600) is not null"}]')
        argv = [*self.server.prefix, self.program(), "--config", self.config, "drill", "--point", "latest", "--scratch", self.place]
        os.environ["HOLDFAST_DRILLS"] = str(self.registry)
        self.addCleanup(os.environ.pop, "HOLDFAST_DRILLS")
        drill = Background(argv, self.scratch / "drill.log")
        self.addCleanup(drill.process.kill)
        wait_until("the endless assertion", self.sleeps)
        self.assertEqual(drill.end(signal.SIGINT), INTERRUPTED, drill.log.read_text())
        self.assertEqual(self.left_behind(), [])
        last = self.as_server("drill", "--list", "--json").json()["drills"][-1]["evidence"]
        self.assertEqual((last["result"], last["destroyed"]), ("failed", True))
        self.assertIn("stopped", last["problem"])
        checks = self.checks(self.component({"evidence": last}, "db"))
        self.assertEqual(checks["amcheck"]["outcome"], "passed", "what was checked before stays")
        self.assertEqual(checks["rto"]["outcome"], "skipped")

    def test_words_that_do_not_go_together(self):
        self.as_server("backup")
        for words in (["--list", "--report", "latest"], ["--point", "latest", "--at", "random"], ["--list", "--at", "random"],
                      ["--output", "x"], ["--point", ""]):
            with self.subTest(words=words):
                self.as_server("drill", *words, expect=USAGE)
        self.assertEqual(self.as_server("drill", "--list", "--json").json()["drills"], [])

    def test_a_server_that_does_not_come_up_is_evidence(self):
        self.history()
        self.server.sql("alter system set wal_level = 'minimal'")  # no server starts so that lets others stream from it
        self.as_server("backup")
        made = self.drill("--component", "db", expect=VERIFY_FAILED)
        boot = self.checks(self.component(made, "db"))["boot"]
        self.assertIn("the server ended before recovery did; its log ends with: ", boot["findings"][0]["problem"])
        # Nobody knows whether it would have kept what was promised.
        checks = self.checks(self.component(made, "db"))
        self.assertEqual((checks["rto"]["outcome"], checks["rpo"]["outcome"]), ("skipped", "skipped"))
        self.assertIn("it was not recovered", checks["rto"]["words"])
        self.assertEqual(self.left_behind(), [])
        wait_until("nothing", lambda: not self.processes())


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class Environment(Cluster):
    """The live server listens where the environment leads: on a loopback address of this test's own."""

    ADDRESS = f"127.{os.getpid() >> 16 & 255}.{os.getpid() >> 8 & 255}.{(os.getpid() & 127) + 100}"
    SETTINGS = (f"listen_addresses = '{ADDRESS}'",)

    def setUp(self):
        super().setUp()
        with open(self.server.data / "pg_hba.conf", "a", encoding="ascii") as file:
            file.write("host all all 127.0.0.0/8 trust\n")
        self.server.sql("select pg_reload_conf()")
        self.service = self.scratch / "services"
        self.service.write_text(f"[live]\nhostaddr={self.ADDRESS}\nport=5432\n")
        self.give_to_server(self.service)

    def test_the_environment_does_not_lead_to_the_live_server(self):
        self.server.sql("create table t (n int)")
        self.as_server("backup")
        self.configure(", assertions: [{name: writes, sql: insert into t values (666) returning true}]")
        for variables in ({"PGHOSTADDR": self.ADDRESS}, {"PGSERVICE": "live", "PGSERVICEFILE": str(self.service)}):
            with self.subTest(variables=variables):
                # Whoever does not look out comes to the live server, whatever socket they name.
                psql = [str(self.server.BIN / "psql"), "-XqAt", "-c", "show data_directory", "host=/nowhere port=5432 user=postgres dbname=postgres"]
                done = subprocess.run([*self.server.prefix, *psql], capture_output=True, text=True, cwd="/", check=False, env={**os.environ, **variables})
                self.assertEqual(done.stdout.strip(), str(self.server.data), done.stderr)
                made = self.as_server("drill", "--scratch", self.place, "--component", "db", "--point", "latest", "--json", environment=variables).json()
                self.assertEqual(made["evidence"]["result"], "passed", json.dumps(made, indent=1))
                self.assertEqual(self.checks(self.component(made, "db"))["assertions"]["outcome"], "passed")
                self.as_server("verify", "--boot", "--component", "db", "--scratch", self.place, environment=variables)
                self.assertEqual(self.server.sql("select count(*) from t"), "0")
        self.assertEqual(self.left_behind(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
