"""A drill of a whole cluster, by phase, and one database of it into the running server, beside
`pg_restore` of a dump that was made before."""
import json

from compare.harness import median
from compare.postgres import Holdfast, Series
from compare.server import Server

PHASES = ("choose", "restore", "boot", "verify", "destroy")


def measure_drill(bench, ours):
    report = ours.home / "drill.json"
    seconds = {phase: [] for phase in PHASES}
    for _ in range(bench.runs):
        scratch = bench.directory("scratch")
        bench.settle(ours.home)
        ours("drill", "--scratch", scratch)
        ours("drill", "--report", "latest", "--format", "json", "--output", report)
        for phase in json.loads(report.read_text())["evidence"]["phases"]:
            seconds[phase["phase"]].append(phase["seconds"])
    for phase in PHASES:
        bench.row(f"drill of {bench.gigabytes:g} GB: {phase}: time, s", median(seconds[phase]), None, "", None)


def measure_one_database(bench, server, ours):
    dump = bench.work / "dump"
    bench.run([bench.tool("pg_dump"), "-h", server.socket, "-U", "postgres", "-F", "directory", "-j", "2", "-Z", "0", "-f", dump, "shop"])
    series = Series(bench)
    for _ in range(bench.runs):
        scratch = bench.directory("scratch")
        series.measure_ours(ours, lambda: ours("restore", "--component", "db", "--database", "shop", "--target-database", "ours",
                                               "--scratch", scratch))
        server.sql("create database peer")
        series.measure_peer(ours, lambda: bench.run([bench.tool("pg_restore"), "-h", server.socket, "-U", "postgres", "-j", "2", "-d",
                                                     "peer", "--exit-on-error", dump]), dump)
        server.sql("drop database ours")
        server.sql("drop database peer")
    quarter = bench.gigabytes / 4
    bench.row(f"one database of {quarter:g} GB, of any instant, into its server: time, s", median(series.ours), median(series.peer),
              "pg_restore of a dump", None)


def measure(bench):
    server = Server(bench, "pg-recovery", {"archive_mode": "on", "archive_command": "true"})
    server.load(bench.gigabytes * 3 / 4)
    server.sql("create database shop")
    server.pgbench("-i", "-q", "-s", str(max(1, round(67 * bench.gigabytes / 4))), database="shop")
    server.sql("checkpoint")
    ours = Holdfast(bench, server.component())
    ours.start_anew()
    ours("backup")
    measure_drill(bench, ours)
    measure_one_database(bench, server, ours)
    server.stop()
