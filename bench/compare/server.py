"""A PostgreSQL server of the comparison's own."""
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from compare.harness import BenchError
from demo.shared_memory import SharedMemory


class Server:
    def __init__(self, bench, name, settings=None):
        self.bench = bench
        self.data = bench.work / name
        self.socket = tempfile.mkdtemp(prefix="holdfast-bench-", dir="/tmp")
        bench.give(self.socket)
        self.settings = {"listen_addresses": "", "unix_socket_directories": self.socket, "port": "5432",
                         "shared_buffers": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "1h",
                         "autovacuum": "off", "wal_level": "replica", "max_wal_senders": "8", **(settings or {})}
        bench.run([bench.tool("initdb"), "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                   "--data-checksums", "-N"])
        bench.at_end(self.stop)
        self.start()

    def start(self):
        words = " ".join(f"-c {name}='{value}'" for name, value in self.settings.items())
        log = self.data.with_suffix(".log")
        try:
            self.bench.run([self.bench.tool("pg_ctl"), "-D", self.data, "-l", log, "-o", words, "-w", "-t", "120", "start"])
        except BenchError as error:
            raise BenchError(f"{error}\n{log.read_text()[-4000:]}") from error

    def stop(self):
        if (self.data / "postmaster.pid").exists():
            self.bench.run([self.bench.tool("pg_ctl"), "-D", self.data, "-m", "fast", "-w", "-t", "300", "stop"])
        shutil.rmtree(self.socket, ignore_errors=True)

    def kill(self):
        """SIGKILL to the postmaster and to all that it started; its directory is removed."""
        postmaster = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(postmaster, signal.SIGSTOP)  # it must not start others while its children are counted
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        victims = [postmaster, *map(int, children)]
        shared = SharedMemory(victims)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        # Until init has reaped them: its lock of the socket counts, and what they map is not theirs alone.
        while any(Path(f"/proc/{pid}").exists() for pid in victims):
            time.sleep(0.05)
        shared.free()
        shutil.rmtree(self.data, ignore_errors=True)

    def continue_from(self, data):
        """Starts the restored cluster in place of the one that was killed, and waits for the end of its recovery."""
        self.data = data
        self.start()
        while self.sql("select pg_is_in_recovery()") != "f":
            time.sleep(0.05)

    def sql(self, query):
        words = [self.bench.tool("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-U", "postgres",
                 "-d", "postgres", "-c", query]
        return self.bench.run(words).output.strip()

    def pgbench(self, *words, database="postgres"):
        return self.bench.run([self.bench.tool("pgbench"), "-h", self.socket, "-U", "postgres", *words, database])

    def load(self, gigabytes):
        self.pgbench("-i", "-q", "-s", str(max(1, round(67 * gigabytes))))
        self.sql("checkpoint")

    def transactions(self, count):
        """About this many TPC-B transactions, then a checkpoint, and what is needed for files to count as settled."""
        self.pgbench("-n", "-c", "4", "-j", "2", "-t", str(max(1, count // 4)))
        self.sql("checkpoint")
        time.sleep(3)

    def component(self, name="db"):
        return (f"  - name: {name}\n    kind: postgres\n    connection: host={self.socket} port=5432 user=postgres dbname=postgres\n"
                "    method: files\n    slot: holdfast_bench\n")

    def background(self, argv, log):
        with open(log, "wb") as output:
            return subprocess.Popen(self.bench.prefix + [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=output,
                                    stderr=output, cwd="/", start_new_session=True)
