"""WAL: how fast a receiver catches up, beside pg_receivewal, and how soon a commit is stored."""
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
        rates[1].append(catch_up(bench, server, "bench_peer", peer, bench.work / "pg_receivewal.log")[0])
    bench.row("wal: receiving what was kept: rate, MB/s", median(rates[0]), median(rates[1]), "pg_receivewal", goal=-1.0)
    server.sql("select pg_drop_replication_slot('bench_peer')")


def measure_delay(bench, server, ours):
    """From the moment that WAL was written until the receiver says it is stored, under a steady load."""
    process = server.background([bench.holdfast_program, "--config", ours.config, "wal", "receive"], bench.work / "receive.log")
    wait_for("the receiver", lambda: server.sql("select count(*) from pg_stat_replication") != "0")
    load = server.background([bench.tool("pgbench"), "-n", "-h", server.socket, "-U", "postgres", "-c", "2", "-R", "200", "-T",
                              str(SECONDS_OF_LOAD), "-f", bench.work / "tiny.sql", "postgres"], bench.work / "pgbench.log")
    samples = []
    while load.poll() is None:
        now, current, stored = server.sql(
            "select extract(epoch from clock_timestamp()), pg_current_wal_flush_lsn() - '0/0', (select max(flush_lsn) - '0/0' "
            "from pg_stat_replication)").split("|")
        samples.append((float(now), int(current), int(stored or 0)))
    end_process(bench, process)
    delays = []
    for at, current, _ in samples:
        later = next((when for when, _, stored in samples if when >= at and stored >= current), None)
        if later is not None:
            delays.append(later - at)
    delays.sort()
    bench.row("wal: written until stored, 99th percentile, s", delays[int(len(delays) * 0.99)], None, "", goal=1.0, absolute=True)


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
    server.stop()
