"""What the suites of drills share: a private cluster and a tree of files, protected."""
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))
from harness import Case, Server, wait_until  # noqa: E402

DRIVER = Path(os.environ["HOLDFAST_DRIVER"]).resolve()


class Drilled(Case):
    """Drills are noted in a registry of the test's own, and made in its scratch directory."""

    def setUp(self):
        super().setUp()
        self.registry = self.scratch / "drills"
        self.place = self.scratch / "place"
        self.place.mkdir()

    def holdfast(self, *words, environment=None, **options):
        return super().holdfast(*words, environment={"HOLDFAST_DRILLS": str(self.registry), **(environment or {})}, **options)

    def left_behind(self):
        """What drills have left: directories, markers, processes."""
        found = [str(path) for path in self.place.iterdir()]
        if self.registry.exists():
            found += [str(path) for path in self.registry.iterdir() if path.suffix in (".lock", ".json")]
        return found + self.processes()

    def processes(self):
        found = []
        for path in Path("/proc").iterdir():
            try:
                words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (path / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            try:
                words += os.readlink(path / "cwd")  # redis-server says nothing of its place
            except OSError:
                pass  # of another account
            if "holdfast-drill-" in words and str(self.place) in words and state != "Z":
                found.append(words)
        return found

    @staticmethod
    def checks(component):
        return {check["check"]: check for check in component["checks"]}

    @staticmethod
    def component(document, name):
        return next(each for each in document["evidence"]["components"] if each["component"] == name)


class Cluster(Drilled):
    """A cluster that archives, and files; everything belongs to the server's account."""

    SETTINGS = ()
    COMPONENT = ""

    def setUp(self):
        super().setUp()
        self.server = self.make_server(self.scratch / "server", ["archive_mode = on", "autovacuum = off",
                                                                 f"archive_command = '{self.program()} --config {self.config} wal push %p'",
                                                                 *self.SETTINGS])
        self.addCleanup(self.server.remove)
        self.make_data()
        self.configure(self.COMPONENT)
        self.give_to_server(self.scratch, self.config, self.scratch / "pass", self.place, self.data, *self.data.rglob("*"))
        self.as_server("init")
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")

    def make_server(self, directory, settings):
        return Server(directory, settings)

    def configure(self, more="", rto="1h"):
        self.write_config(f"  - {{name: db, kind: postgres, connection: {self.server.connection}, rto: {rto}{more}}}\n"
                          f"  - {{name: data, kind: files, paths: [{self.data}]}}\n")
        self.give_to_server(self.config, self.scratch / "pass")

    def give_to_server(self, *paths):
        if self.server.prefix:
            for path in paths:
                shutil.chown(path, "postgres", "postgres")

    def as_server(self, *words, **options):
        return self.holdfast(*words, prefix=[*self.server.prefix], program=self.program(), **options)

    def drill(self, *words, expect=0):
        return self.as_server("drill", "--scratch", self.place, *words, "--json", expect=expect).json()

    def archive(self):
        segment = self.server.sql("select pg_walfile_name(pg_current_wal_lsn())")
        self.server.sql("select pg_switch_wal()")
        wait_until("archiving", lambda: self.server.sql("select last_archived_wal from pg_stat_archiver") >= segment)

    def now(self):
        return self.server.sql("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
