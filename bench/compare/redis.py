"""Redis: a snapshot beside `redis-cli --rdb`, and what storing every command costs the master."""
import csv
import random
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from compare.harness import median
from compare.postgres import Holdfast, Series
from compare.receiver import end_process, wait_for

COMMANDS = 400_000
CLIENTS = 50
VALUE_BYTES = 256


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """A server of the comparison's own, on a socket."""

    def __init__(self, bench, name, master_port=None):
        self.bench = bench
        self.data = bench.directory(name)
        self.folder = tempfile.mkdtemp(prefix="holdfast-bench-", dir="/tmp")
        bench.give(self.folder)
        self.socket, self.port = f"{self.folder}/s", free_port()
        # A replica can't follow a socket: hence the port.
        words = ["redis-server", "--bind", "127.0.0.1", "--port", self.port, "--unixsocket", self.socket, "--dir", self.data, "--save", "",
                 "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        if master_port is not None:
            words += ["--replicaof", f"127.0.0.1 {master_port}"]
        self.process = subprocess.Popen(bench.prefix + [str(word) for word in words], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        bench.at_end(self.stop)
        wait_for("a Redis", lambda: Path(self.socket).exists())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __call__(self, *words):
        return self.bench.run(["redis-cli", "-s", self.socket, *words]).output.strip()

    def load(self, count, seed):
        """Strings, hashes, lists and sorted sets of hexadecimal noise; about 1 kB a key."""
        source = random.Random(seed)
        writer = subprocess.Popen(["redis-cli", "-s", self.socket, "--pipe"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for number in range(count):
            noise = source.randbytes(500).hex()
            words = [
                ["SET", f"page:{number}", noise],
                ["HSET", f"user:{number}", *(word for at in range(8) for word in (f"field{at}", noise[at * 120:at * 120 + 120]))],
                ["RPUSH", f"queue:{number}", *(noise[at:at + 100] for at in range(0, 1000, 100))],
                ["ZADD", f"board:{number}", *(word for at in range(0, 1000, 50) for word in (str(at), noise[at:at + 50]))],
            ][number % 4]
            parts = [f"*{len(words)}\r\n"] + [f"${len(word)}\r\n{word}\r\n" for word in words]
            writer.stdin.write("".join(parts).encode())
        writer.stdin.close()
        writer.wait()

    def listeners(self):
        return self("info", "replication").count("state=online")

    def rate(self):
        """SETs a second of the clients, as they are served."""
        output = self.bench.run(["redis-benchmark", "-s", self.socket, "-t", "set", "-n", COMMANDS, "-c", CLIENTS, "-r", 100_000,
                                 "-d", VALUE_BYTES, "--csv"]).output
        return float(next(row for row in csv.reader(output.splitlines()) if row and row[0] == "SET")[1])


def measure_snapshot(bench, server, ours):
    series = Series(bench)
    dump = bench.work / "dump.rdb"
    for _ in range(bench.runs):
        ours.start_anew()
        series.measure_ours(ours, lambda: ours("backup"))
        series.measure_peer(ours, lambda: bench.run(["redis-cli", "-s", server.socket, "--rdb", dump]))
    bench.row("redis: snapshot: time, s", median(series.ours), median(series.peer), "redis-cli --rdb", None)
    bench.row("redis: snapshot: bytes", ours.stored(), dump.stat().st_size, "redis-cli --rdb", None)
    dump.unlink()


def measure_log(bench, server, ours):
    alone, stored, followed, behind = [], [], [], []
    for _ in range(bench.runs):
        alone.append(server.rate())

        with open(bench.work / "log.log", "wb") as log:
            receiver = subprocess.Popen(bench.prefix + [str(bench.holdfast_program), "--config", str(ours.config), "log", "receive"],
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        wait_for("the receiver of commands", lambda: server.listeners() == 1)
        stored.append(server.rate())
        bench.peak_rss_bytes = max(bench.peak_rss_bytes, end_process(bench, receiver))
        wait_for("the receiver's end", lambda: server.listeners() == 0)

        replica = RedisServer(bench, "replica", server.port)
        wait_for("a replica", lambda: server.listeners() == 1)
        followed.append(server.rate())
        replica.stop()
        wait_for("the replica's end", lambda: server.listeners() == 0)
    bench.row("redis: SETs a second while the log is stored", median(stored), median(alone), "nobody listens", None)
    bench.row("redis: SETs a second while the log is stored", median(stored), median(followed), "a replica", None)


def measure(bench):
    server = RedisServer(bench, "redis")
    server.load(round(250_000 * bench.gigabytes / 4), seed=1)
    ours = Holdfast(bench, f"  - name: cache\n    kind: redis\n    connection: unix://{server.socket}\n"
                           f"    data_directory: {server.data}\n")
    measure_snapshot(bench, server, ours)
    measure_log(bench, server, ours)
    server.stop()
