#!/usr/bin/env python3
"""One database and one table of a cluster of each other major that `scripts/servers` fetches,
into a running server: of the same major where its pg_dump is there, else into Debian's, where
that is newer."""
import unittest

from one_database import SUMMARY, Live

from harness import MISMATCH, NOT_FOUND, FetchedServer, Server, tests_of_each_major


def major_of(programs):
    return int(programs.parent.name)


class Major(Live):
    BIN = None

    def make_server(self, directory, settings):
        return FetchedServer(self.BIN, directory, settings)

    @property
    def MORE(self):
        return f", bin_directory: {self.BIN}"

    def now(self):
        instant = self.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        self.sql("select txid_current()")
        return instant

    def history(self):
        """A database of everything that is damaged after an instant."""
        self.make_shop()
        self.as_server("backup")
        self.sql("update orders set note = 'later' where id = 7", "shop")
        wanted = self.sql(SUMMARY, "shop")
        instant = self.now()
        self.sql("delete from orders where id % 2 = 0; drop table \"My Schema\".\"Tädle\"", "shop")
        self.archive()
        return instant, wanted

    def test_into_the_server_itself(self):
        instant, wanted = self.history()
        words = ["--at", instant, "--database", "shop"]
        if not (self.BIN / "pg_dump").exists():
            self.assertIn("there is no pg_dump in ", self.restore(*words, "--target-database", "s2", expect=NOT_FOUND).err)
            self.skipTest(f"no pg_dump of {major_of(self.BIN)} here")
        self.assertIn("restored database shop as database s2: ", self.restore(*words, "--target-database", "s2").out)
        self.assertEqual(self.sql(SUMMARY, "s2"), wanted)
        self.restore(*words, "--table", "public.orders", "--table", "customers", "--replace")
        self.assertEqual(self.sql("select count(*), max(note) filter (where id = 7) from orders", "shop"), "2000|later")
        self.restore(*words, "--replace")
        self.assertEqual(self.sql(SUMMARY, "shop"), wanted)
        self.as_server("backup")
        self.sql("insert into customers (name) values ('new')", "shop")
        self.archive()
        self.as_server("verify", "--database", "shop", "--full-check", "--recent", "24h")
        self.assert_nothing_left()

    def test_into_a_server_of_another_major(self):
        instant, wanted = self.history()
        other = Server(self.scratch / "other")
        self.addCleanup(other.remove)
        other.start()
        self.addCleanup(other.stop, mode="immediate")
        original, self.server = self.server, other
        self.started = self.sql("select pg_postmaster_start_time()")
        words = ["--at", instant, "--database", "shop", "--server", other.connection]
        if major_of(self.BIN) > major_of(Server.BIN):
            outcome = self.restore(*words, "--target-database", "s2", expect=MISMATCH)
            self.assertIn(f"the live server is PostgreSQL {major_of(Server.BIN)}, older than the cluster's {major_of(self.BIN)}", outcome.err)
        else:
            self.restore(*words, "--target-database", "shop", "--create-roles")
            self.assertEqual(self.sql(SUMMARY, "shop"), wanted)
            self.restore(*words, "--table", "public.orders", "--target-database", "shop", "--target-table", "orders_then")
            self.assertEqual(self.sql("select count(*) from orders_then", "shop"), "2000")
        self.assert_nothing_left()
        self.server = original


def load_tests(loader, _tests, _pattern):
    return tests_of_each_major(Major, loader)


if __name__ == "__main__":
    unittest.main(verbosity=2)
