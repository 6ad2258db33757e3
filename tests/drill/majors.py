#!/usr/bin/env python3
"""A drill of a cluster of each other major that `scripts/servers` fetches. These have no
pg_amcheck and no pg_checksums: the drill says so, and makes its other checks."""
import unittest

from stack import Cluster

from harness import VERIFY_FAILED, FetchedServer, tests_of_each_major

PASSED = ("row counts", "relation files", "indexes", "constraints")


class Major(Cluster):
    BIN = None

    def make_server(self, directory, settings):
        return FetchedServer(self.BIN, directory, settings)

    def configure(self, more=""):
        super().configure(f"{more}, bin_directory: {self.BIN}")

    def test_passes_when_good_and_fails_when_not(self):
        self.server.sql("create table t (n int primary key); insert into t select generate_series(1, 1000); create index t_n on t (n)")
        self.as_server("backup", "--component", "db")
        good = self.drill("--component", "db", "--point", "latest")
        db = self.component(good, "db")
        self.assertTrue(db["server_version"].startswith(self.BIN.parent.name), db["server_version"])
        checks = self.checks(db)
        self.assertEqual({name: checks[name]["outcome"] for name in PASSED}, dict.fromkeys(PASSED, "passed"), checks)
        for name in ("amcheck", "page checksums"):
            self.assertTrue(checks[name]["outcome"] == "passed" or checks[name]["words"], checks[name])
        self.assertEqual(good["evidence"]["result"], "passed")

        self.server.sql("update pg_index set indisvalid = false where indexrelid = 't_n'::regclass")
        self.as_server("backup", "--component", "db")
        bad = self.drill("--component", "db", "--point", "latest", expect=VERIFY_FAILED)
        self.assertEqual(self.checks(self.component(bad, "db"))["indexes"]["findings"],
                         [{"object": "postgres: index public.t_n", "problem": "is marked invalid"}])
        self.assertEqual(self.left_behind(), [])


def load_tests(loader, _tests, _pattern):
    return tests_of_each_major(Major, loader)


if __name__ == "__main__":
    unittest.main(verbosity=2)
