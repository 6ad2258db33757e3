"""Our WAL receiver in the background, as it runs beside captures in life."""
import os
import signal
import time

from compare.harness import BenchError


def wait_for(what, condition, deadline_s=300):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"waited in vain for {what}")
        time.sleep(0.02)


def flushed(server, lsn):
    return server.sql(f"select count(*) from pg_stat_replication where flush_lsn >= '{lsn}'") != "0"


def end_process(bench, process):
    os.kill(process.pid, signal.SIGTERM)
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss * 1024


class Receiver:
    def __init__(self, bench, server, config):
        self.bench, self.server = bench, server
        self.process = server.background([bench.holdfast_program, "--config", config, "wal", "receive"], bench.work / "receive.log")
        wait_for("the receiver", lambda: server.sql("select count(*) from pg_stat_replication") != "0")

    def catch_up(self):
        lsn = self.server.sql("select pg_current_wal_flush_lsn()")
        wait_for("the receiver to catch up", lambda: flushed(self.server, lsn))

    def end(self):
        self.bench.peak_rss_bytes = max(self.bench.peak_rss_bytes, end_process(self.bench, self.process))
