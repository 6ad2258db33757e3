"""WAL: how fast a receiver catches up, beside pg_receivewal, how soon a commit is stored, and what a
disaster loses."""
import time

from compare.harness import median
from compare.postgres import Holdfast
from compare.receiver import end_process, flushed, wait_for
from compare.server import Server

SECONDS_OF_LOAD = 15


def catch_up(bench, server, slot, argv, log):
    """Seconds for a receiver to take what its slot has kept for it."""
    lsn = server.sql("select pg_switch_wal()")
    server.sql("create table if not exists later (i int)")
    held = float(server.sql(f"select '{lsn}'::pg_lsn - restart_lsn from pg_replication_slots where slot_name = '{slot}'"))
    began = time.monotonic()
    process = server.background(argv, log)
    wait_for(f"{argv[0]} to catch up: {log}", lambda: flushed(server, lsn))
    seconds = time.monotonic() - began
    return held / 1e6 / seconds, end_process(bench, process)


def measure_rate(bench, server, ours):
    receive = [bench.holdfast_program, "--config", ours.config, "wal", "receive"]
    kept = bench.directory("receivewal")
    peer = [bench.tool("pg_receivewal"), "-D", kept, "-S", "bench_peer", "-h", server.socket, "-U", "postgres", "--synchronous"]
    server.sql("select pg_create_physical_replication_slot('bench_peer', true)")
    rates = ([], [])
    for _ in range(bench.runs):
        server.sql("drop table if exists bulk")
        server.sql(f"create table bulk as select i, md5(i::text) from generate_series(1, {round(2_500_000 * bench.gigabytes)}) i")
        rate, rss = catch_up(bench, server, "holdfast_bench", receive, bench.work / "receive.log")
        bench.peak_rss_bytes = max(bench.peak_rss_bytes, rss)
        rates[0].append(rate)
        # One that it was making when it was ended last, and would not go on from.
        for begun in kept.glob("*.partial"):
            begun.unlink()
        rates[1].append(catch_up(bench, server, "bench_peer", peer, bench.work / "pg_receivewal.log")[0])
    bench.row("wal: receiving what was kept: rate, MB/s", median(rates[0]), median(rates[1]), "pg_receivewal", goal=-1.0)
    server.sql("select pg_drop_replication_slot('bench_peer')")


def delays_under_load(bench, server, ours):
    """Seconds from the moment that WAL was written until the receiver says it is stored, one for each look."""
    process = server.background([bench.holdfast_program, "--config", ours.config, "wal", "receive"], bench.work / "receive.log")
    wait_for("the receiver", lambda: server.sql("select count(*) from pg_stat_replication") != "0")
    load = server.background([bench.tool("pgbench"), "-n", "-h", server.socket, "-U", "postgres", "-c", "2", "-R", "200", "-T",
                              str(SECONDS_OF_LOAD), "-f", bench.work / "tiny.sql", "postgres"], bench.work / "pgbench.log")
    samples = []

    def look():
        now, current, stored = server.sql(
            "select extract(epoch from clock_timestamp()), pg_current_wal_flush_lsn() - '0/0', (select max(flush_lsn) - '0/0' "
            "from pg_stat_replication)").split("|")
        samples.append((float(now), int(current), int(stored or 0)))
        return samples[-1]

    while load.poll() is None:
        look()
    counted, last = len(samples), samples[-1][1]
    # Until all of it is stored, so that no sample is left out because it was stored too late.
    wait_for("the last of the load to be stored", lambda: look()[2] >= last)
    end_process(bench, process)
    return [next(when for when, _, stored in samples if when >= at and stored >= current) - at
            for at, current, _ in samples[:counted]]


def measure_delay(bench, server, ours):
    """Of all looks of all runs, under a steady load."""
    delays = sorted(delay for _ in range(bench.runs) for delay in delays_under_load(bench, server, ours))
    bench.row("wal: written until stored, 99th percentile, s", delays[int(len(delays) * 0.99)], None, "", goal=1.0, absolute=True)


class Ledger:
    """What ledger_writer saw acknowledged: {mode: {seq: when, in seconds}}."""

    def __init__(self, path):
        self.commits = {"sync": {}, "async": {}}
        for line in path.read_text().splitlines():
            words = line.split(" ")
            if words[0] == "commit":
                self.commits[words[1]][int(words[2])] = int(words[4]) / 1e6

    def lost(self, mode, recovered):
        """(commits that are not there, seconds from the first of them to the last acknowledged commit)"""
        lost = self.commits[mode].keys() - recovered
        return len(lost), max(self.commits[mode].values()) - min(self.commits[mode][seq] for seq in lost) if lost else 0.0


def measure_loss(bench, server, ours):
    """The server is killed under load and its directory is gone: acknowledged commits that a restore does not have."""
    synchronous = ours.home / "synchronous.yaml"
    synchronous.write_text(ours.config.read_text() + "    synchronous: true\n")
    bench.give(synchronous)
    lost, seconds, acknowledged = [], [], 0
    for number in range(bench.runs):
        server.sql("drop table if exists ledger")
        receiver = server.background([bench.holdfast_program, "--config", synchronous, "wal", "receive"], bench.work / "receive.log")
        # None of the server's own statements waits for it (synchronous_commit is local), only the writer's;
        # a restore leaves it out.
        server.sql("alter system set synchronous_standby_names = '*'")
        server.sql("select pg_reload_conf()")
        wait_for("a synchronous receiver", lambda: server.sql("select count(*) from pg_stat_replication where sync_state = 'sync'") != "0")
        path = bench.directory("ledger") / "ledger"
        writer = server.background([bench.root / "build/ledger_writer", f"host={server.socket} user=postgres dbname=postgres", path],
                                   bench.work / "writer.log")
        time.sleep(SECONDS_OF_LOAD / 3)
        server.kill()
        writer.wait()
        end_process(bench, receiver)
        restored = bench.directory(f"restored-{number}")
        ours("restore", "--component", "db", "--to", restored)
        server.continue_from(restored)
        ledger = Ledger(path)
        found = {mode: {int(seq) for seq in server.sql(f"select seq from ledger where mode = '{mode}'").split()} for mode in ledger.commits}
        acknowledged += len(ledger.commits["sync"])
        lost.append(ledger.lost("sync", found["sync"])[0])
        seconds.append(ledger.lost("async", found["async"])[1])
    bench.row(f"wal: of {acknowledged} commits acknowledged when synchronous, lost", sum(lost), None, "", goal=0, absolute=True)
    bench.row("wal: asynchronous, lost at the end, the most of the runs, s", max(seconds), None, "", goal=None)


def measure(bench):
    server = Server(bench, "pg-wal", {"synchronous_commit": "local"})
    ours = Holdfast(bench, server.component())
    ours.start_anew()
    ours("backup")
    (bench.work / "tiny.sql").write_text("insert into tiny values (1);\n")
    server.sql("create table tiny (i int)")
    server.sql("select pg_create_physical_replication_slot('holdfast_bench', true)")
    measure_rate(bench, server, ours)
    measure_delay(bench, server, ours)
    measure_loss(bench, server, ours)
    server.stop()
