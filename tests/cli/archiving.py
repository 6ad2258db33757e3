"""What suites with a private PostgreSQL that archives through holdfast have in common."""
import shutil
import unittest

from harness import Case, Server, wait_until


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class ArchivingCase(Case):
    """A private cluster that pushes its WAL; all of it the account's that the server runs as."""

    def setUp(self):
        super().setUp()
        # The server's account reads configuration, passphrase and repository.
        self.server = Server(self.scratch / "server", ["archive_mode = on", f"archive_command = '{self.program()} --config {self.config} wal push %p'"])
        self.addCleanup(self.server.remove)
        self.write_config(f"  - {{name: db, kind: postgres, connection: {self.server.connection}, rpo: 5m, rto: 1h}}\n")
        self.give_to_server(self.scratch, self.config, self.scratch / "pass")
        self.as_server("init")
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")

    def give_to_server(self, *paths):
        if self.server.prefix:
            for path in paths:
                shutil.chown(path, "postgres", "postgres")

    def as_server(self, *words, expect=0, **options):
        argv = [*self.server.prefix]
        outcome = self.holdfast(*words, prefix=argv, expect=expect, **options)
        return outcome

    def refuse_restore(self, *words, status, says=""):
        """Refused, and the target, the repository and all else are as they were; the server is stopped."""
        return self.refuse("restore", *words, status=status, says=says, prefix=self.server.prefix)

    def restored_value(self, directory, query):
        self.server.start(directory)
        try:
            wait_until("the end of recovery", lambda: self.server.sql("select pg_is_in_recovery()") == "f")
            return self.server.sql(query)
        finally:
            self.server.stop(directory)

    def write_history(self):
        """A point, then one row each before and after two instants, all archived."""
        self.server.sql("create table t (n int); insert into t values (1)")
        self.as_server("backup")
        self.server.sql("insert into t values (2)")
        instant = self.server.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
        self.server.sql("select pg_create_restore_point('here')")
        self.server.sql("insert into t values (3)")
        segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.server.sql("select pg_switch_wal()")
        wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)
        return instant
