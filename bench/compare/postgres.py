"""Full and incremental captures and the restore of a pgbench database, beside pgBackRest."""
import os
import re
import shutil
from pathlib import Path

from compare.harness import median, tree_bytes, write_speed_seconds
from compare.receiver import Receiver
from compare.server import Server


class PgBackRest:
    def __init__(self, bench, server):
        self.bench, self.server = bench, server
        self.program = os.environ.get("PGBACKREST", "pgbackrest")
        version = bench.run([self.program, "version"]).output
        numbers = [int(word) for word in re.findall(r"\d+", version)[:2]]
        self.block = numbers >= [2, 46]
        self.name = f"pgBackRest {numbers[0]}.{numbers[1]}"

    def start_anew(self):
        self.home = self.bench.directory("pgbackrest")
        for name in ("repository", "log", "lock", "spool"):
            self.bench.directory("pgbackrest", name)
        config = self.home / "pgbackrest.conf"
        block = "repo1-block=y\n" if self.block else ""
        config.write_text(
            f"[global]\nrepo1-path={self.home}/repository\nrepo1-cipher-type=aes-256-cbc\nrepo1-cipher-pass=bench\n"
            f"repo1-bundle=y\n{block}compress-type=zst\ncompress-level=3\nprocess-max=2\nstart-fast=y\narchive-check=n\n"
            f"log-path={self.home}/log\nlock-path={self.home}/lock\nspool-path={self.home}/spool\nlog-level-console=warn\n"
            f"log-level-file=off\nrepo1-retention-full=9\n[bench]\npg1-path={self.server.data}\n"
            f"pg1-socket-path={self.server.socket}\npg1-port=5432\npg1-user=postgres\n"
        )
        self.bench.give(config)
        self("stanza-create")

    def __call__(self, *words):
        return self.bench.program(self.name, [self.program, f"--config={self.home}/pgbackrest.conf", "--stanza=bench", *words])

    def stored(self):
        return tree_bytes(self.home / "repository")


class Holdfast:
    def __init__(self, bench, component):
        self.bench, self.component = bench, component

    def start_anew(self):
        self.home = self.bench.directory("holdfast")
        self.config = self.bench.write_config(self.home, self.component)
        self("init")

    def __call__(self, *words):
        return self.bench.holdfast(self.config, *words)

    def stored(self):
        return tree_bytes(self.home / "repository")


class Series:
    """Times and bytes of one row, ours and the peer's in turn."""

    def __init__(self, bench):
        self.bench = bench
        self.ours, self.peer, self.our_bytes, self.peer_bytes = [], [], [], []

    def add(self, ours, peer, action_ours, action_peer, source=None):
        """`source`: what both read; else each reads its own repository."""
        before = ours.stored(), peer.stored()
        self.measure_ours(ours, action_ours, source)
        self.measure_peer(peer, action_peer, source)
        self.our_bytes.append(ours.stored() - before[0])
        self.peer_bytes.append(peer.stored() - before[1])

    def measure_ours(self, tool, action, source=None):
        self.bench.settle(source or tool.home)
        self.ours.append(action().seconds)

    def measure_peer(self, tool, action, source=None):
        self.bench.settle(source or tool.home)
        self.peer.append(action().seconds)

    def rows(self, bench, name, peer_name, time_goal, bytes_goal=None):
        bench.row(f"{name}: time, s", median(self.ours), median(self.peer), peer_name, time_goal)
        if bytes_goal is not None:
            bench.row(f"{name}: bytes", median(self.our_bytes), median(self.peer_bytes), peer_name, bytes_goal)


def measure_restore_into_memory(bench, ours, peer):
    """The same without the disk, which is what bounds both where it is slow."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or shutil.disk_usage(memory).free < bench.gigabytes * 1.5e9:
        return
    target = memory / "holdfast-bench-restored"
    series = Series(bench)

    def fresh():
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o700)
        bench.give(target)
        return target

    bench.at_end(lambda: shutil.rmtree(target, ignore_errors=True))
    for _ in range(bench.runs):
        fresh()
        series.measure_ours(ours, lambda: ours("restore", "--component", "db", "--to", target))
        fresh()
        series.measure_peer(peer, lambda: peer(f"--pg1-path={target}", "restore"))
    fresh()
    series.rows(bench, "postgres: restore, whole, into memory", peer.name, 0.8)


def measure_memory(bench):
    """The largest resident set of a capture and a restore, of the whole size and of an eighth of it."""
    peaks = []
    for part in (1 / 8, 1):
        server = Server(bench, "pg-memory", {"archive_mode": "on", "archive_command": "true"})
        server.load(bench.gigabytes * part)
        ours = Holdfast(bench, server.component())
        ours.start_anew()
        peaks.append([ours("backup").rss_bytes, ours("restore", "--component", "db", "--to", bench.directory("restored-ours")).rss_bytes])
        server.stop()
        shutil.rmtree(server.data)
    for what, small, whole in zip(("full capture", "restore"), *peaks):
        bench.row(f"memory: {what} of {bench.gigabytes:g} GB, MB", whole / 1e6, small / 1e6, "an eighth of it", None)


def measure(bench):
    # The peer's archive is of no interest here: its WAL check is off, and ours is not.
    server = Server(bench, "pg", {"archive_mode": "on", "archive_command": "true"})
    server.load(bench.gigabytes)
    ours, peer = Holdfast(bench, server.component()), PgBackRest(bench, server)
    transactions = round((11_000 if peer.block else 36_000) * bench.gigabytes / 4)
    goal = 0.25 if peer.block else 0.1

    full = Series(bench)
    for _ in range(bench.runs):
        ours.start_anew()
        peer.start_anew()
        full.add(ours, peer, lambda: ours("backup"), lambda: peer("--type=full", "backup"), server.data)
    full.rows(bench, "postgres: full capture", peer.name, 0.6, 1.0)

    # In life the log is being stored all the time, and what an incremental needs to know
    # stands in it. The peer's incrementals make no use of its archive.
    receiver = Receiver(bench, server, ours.config)
    changed, unchanged = Series(bench), Series(bench)
    for _ in range(bench.runs):
        server.transactions(transactions)
        receiver.catch_up()
        changed.add(ours, peer, lambda: ours("backup"), lambda: peer("--type=incr", "backup"), server.data)
        unchanged.add(ours, peer, lambda: ours("backup"), lambda: peer("--type=incr", "backup"), server.data)
    receiver.end()
    changed.rows(bench, f"postgres: incremental after {transactions} transactions", peer.name, goal, goal)
    unchanged.rows(bench, "postgres: incremental, nothing changed", peer.name, 1.0)

    restore, floor = Series(bench), []
    for _ in range(bench.runs):
        floor.append(write_speed_seconds(bench, server.data / "base"))
        mine, theirs = bench.directory("restored-ours"), bench.directory("restored-peer")
        restore.add(ours, peer, lambda: ours("restore", "--component", "db", "--to", mine),
                    lambda: peer(f"--pg1-path={theirs}", "restore"))
    restore.rows(bench, "postgres: restore, whole", peer.name, 0.8)
    measure_restore_into_memory(bench, ours, peer)
    bench.row("postgres: restore, beside writing the bytes: time, s", median(restore.ours), median(floor), "write + fsync", 1.1)
    server.stop()
    bench.directory("restored-peer")
    measure_memory(bench)
    # The directory of the stopped server serves as the large tree of the next part.
