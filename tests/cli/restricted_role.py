#!/usr/bin/env python3
"""The role, and the files of settings, that the operating guide sets up, word for word: they
suffice, and nothing of them is to spare. Also for each other major that `scripts/servers` fetches."""
import getpass
import re
import shutil
import unittest

from harness import PERMISSION, SOURCE, Background, Case, FetchedServer, Server, is_root, tests_of_each_major, wait_until
from one_database_majors import major_of

GUIDE = (SOURCE / "docs" / "postgres.md").read_text()
OLD_FUNCTIONS = re.compile(r"In PostgreSQL 13 and 14: `(pg_start_backup\([^`]*\))`, `(pg_stop_backup\([^`]*\))`")


def blocks_in_short():
    """The SQL, pg_hba.conf with pg_ident.conf, and postgresql.conf, as the guide begins with them."""
    part = GUIDE.split("\n## In short\n")[1].split("\n## ")[0]
    return re.findall(r"```\w*\n(.*?)```", part, re.DOTALL)[:3]


class Role(Case):
    BIN = Server.BIN

    def make_server(self, settings):
        return Server(self.scratch / "server", settings)

    def setUp(self):
        super().setUp()
        sql, access, settings = blocks_in_short()
        self.server = self.make_server(settings.splitlines())
        self.addCleanup(self.server.remove)
        self.major = major_of(self.BIN)
        if self.major < 15:
            sql = re.sub(r"pg_backup_start\(.*\), pg_backup_stop\(.*\)(?= to)", ", ".join(OLD_FUNCTIONS.search(GUIDE).groups()), sql)
        self.statements = [line for line in sql.splitlines() if line and not line.startswith("--")]
        hba, ident = access.split("# pg_ident.conf\n")
        if not is_root():
            ident = re.sub(r"^(holdfast +)postgres ", lambda found: found[1] + getpass.getuser() + " ", ident)
        # The first line that fits counts, and initdb's let everybody in.
        rules = self.server.data / "pg_hba.conf"
        rules.write_text(hba + "local all holdfast reject\nlocal replication holdfast reject\n" + rules.read_text())
        (self.server.data / "pg_ident.conf").write_text(ident)
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")
        self.write_method("files")
        self.give_to_server()

    def give_to_server(self):
        if is_root():
            for path in (self.scratch, self.config, self.scratch / "pass"):
                shutil.chown(path, "postgres", "postgres")

    def write_method(self, method):
        connection = f"host={self.server.socket} user=holdfast dbname=postgres"
        self.write_config(f"  - {{name: db, kind: postgres, connection: {connection}, method: {method}, bin_directory: {self.BIN}}}\n")
        self.give_to_server()

    def as_server(self, *words, **options):
        return self.holdfast(*words, prefix=self.server.prefix, **options)

    def back_up(self, method):
        self.write_method(method)  # none but this one is taken then
        self.as_server("backup")
        point = self.as_server("points", "--json").json()["points"][-1]
        self.assertEqual((point["faults"], point["notes"]), (0, []))


class AnyMajor(Role):
    def make_server(self, settings):
        return FetchedServer(self.BIN, self.scratch / "server", settings)

    def test_backups(self):
        for statement in self.statements:
            self.server.sql(statement)
        self.as_server("init")
        for method in ("files", "protocol"):
            with self.subTest(method=method):
                self.back_up(method)
                self.as_server("verify", "--boot", "--no-amcheck", "--scratch", self.scratch)


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class DebiansMajor(Role):
    def test_every_command_of_the_guide(self):
        for statement in self.statements:
            self.server.sql(statement)
        self.server.sql("create table t (n int); insert into t values (1), (2)")
        self.as_server("init")
        receiver = Background([*self.server.prefix, self.program(), "--config", self.config, "wal", "receive"], self.scratch / "receiver.log")
        self.addCleanup(receiver.end)
        for method in ("files", "protocol"):
            with self.subTest(method=method):
                self.back_up(method)
                # The right to read rows is optional.
                verified = self.as_server("verify", "--boot", "--scratch", self.scratch, "--json").json()["components"][0]
                self.assertEqual(verified["findings"], [])
                self.assertEqual(verified["notes"], ["row counts were not compared: the account that took the point may not read 1 of the 1 "
                                                     "tables (pg_read_all_data lets it)"])
                self.assertEqual((verified["details"]["counts_compared"], verified["details"]["tables_compared"]), (False, 0))
                self.assertIn("note: db: row counts were not compared: the account that took",
                              self.as_server("verify", "--boot", "--scratch", self.scratch).out)
        position = self.server.sql("insert into t values (3); select pg_current_wal_flush_lsn()")
        wait_until("the flush", lambda: self.server.sql(
            f"select coalesce(bool_or(flush_lsn >= '{position}'), false) from pg_stat_replication") == "t")
        slot = self.as_server("log", "--json").json()["logs"][0]["slot"]
        self.assertEqual((slot["name"], slot["active"], slot["wal_status"]), ("holdfast_db", True, "reserved"))
        self.server.sql("grant pg_read_all_data to holdfast")
        for method in ("files", "protocol"):
            with self.subTest(method=method, rows="may be read"):
                self.back_up(method)
                verified = self.as_server("verify", "--boot", "--scratch", self.scratch, "--json").json()["components"][0]
                self.assertEqual((verified["findings"], verified["notes"]), ([], []))
                self.assertEqual((verified["details"]["counts_compared"], verified["details"]["tables_compared"]), (True, 1))

    def test_what_the_role_lacks_is_named(self):
        self.server.sql(self.statements[0])
        self.as_server("init")
        refused = self.as_server("backup", expect=PERMISSION)
        self.assertIn("pg_read_all_settings", refused.err)
        # Where the choice is holdfast's it takes the other way, and says why to who asks.
        self.write_method("auto")
        told = self.as_server("--verbose", "backup").err
        self.assertRegex(told, r"postgres\.capture\.by_protocol .*pg_read_all_settings")
        self.write_method("files")
        self.server.sql(self.statements[1])
        refused = self.as_server("backup", expect=None)
        self.assertIn("pg_backup_start", refused.err)
        self.server.sql(self.statements[2])
        self.as_server("backup")


def load_tests(loader, _tests, _pattern):
    suite = tests_of_each_major(AnyMajor, loader)
    suite.addTests(loader.loadTestsFromTestCase(DebiansMajor))
    return suite


if __name__ == "__main__":
    unittest.main(verbosity=2)
