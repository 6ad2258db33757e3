#!/usr/bin/env python3
"""Scenario 2 of examples/claude-code-manager/runbook.md, carried out unattended as an
exercise on a private PostgreSQL that was killed mid-write and deleted: what came back is
held against the ledger of what the server had acknowledged."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import unittest
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))
from harness import PROGRAM, SOURCE, Background, Case, Server, is_root, wait_until  # noqa: E402

RUNBOOK = SOURCE / "examples/claude-code-manager/runbook.md"
WRITER = Path(os.environ["HOLDFAST_LEDGER_WRITER"])
COMMITS = 300


def last_begun(ledger):
    """When the newest synchronous commit that was acknowledged had begun, seconds since 1970."""
    lines = [line.split() for line in ledger.read_text().splitlines()]
    return max(int(words[3]) for words in lines if words[:2] == ["commit", "sync"] and len(words) == 5) / 1e6


def acknowledged(ledger):
    """Sequence numbers by mode of the commits that the server acknowledged."""
    found = {"sync": set(), "async": set()}
    for line in ledger.read_text().splitlines():
        words = line.split()
        if words[0] == "commit" and len(words) == 5:
            found[words[1]].add(int(words[2]))
    return found


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class ExampleScenario(Case):
    def setUp(self):
        super().setUp()
        self.server = Server(self.scratch / "server")
        self.addCleanup(self.server.remove)
        self.write_config(f"  - {{name: db, kind: postgres, connection: {self.server.connection}, rpo: 5m, rto: 45m, "
                          "slot: holdfast_db, synchronous: true}\n")
        # The account of the server runs all; the programs lie where it can reach them.
        self.bin = self.scratch / "bin"
        self.bin.mkdir()
        for name, program in (("holdfast", PROGRAM), ("ledger_writer", WRITER)):
            shutil.copy2(program, self.bin / name)
            (self.bin / name).chmod(0o755)
        self.document = self.scratch / "runbook.md"
        shutil.copy(RUNBOOK, self.document)
        self.document.chmod(0o644)
        if is_root():
            for path in (self.scratch, self.config, self.scratch / "pass"):
                shutil.chown(path, "postgres", "postgres")
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")

    def as_server(self, *words, **options):
        path = f"{self.bin}:{os.environ['PATH']}"
        return self.holdfast(*words, prefix=self.server.prefix, program=self.bin / "holdfast",
                             environment={"PATH": path, "HOME": str(self.scratch)}, **options)

    def in_background(self, name, *argv):
        return Background([*self.server.prefix, *argv], self.scratch / f"{name}.log")

    def runbook(self, verb, *words, **options):
        return self.as_server("runbook", verb, *words, "--runs", self.scratch / "runs", **options)

    def write_until_it_dies(self):
        """Protects the server, loads it, and kills and deletes it under load."""
        self.as_server("init")
        self.as_server("backup")
        receiver = self.in_background("receiver", self.bin / "holdfast", "--config", self.config, "wal", "receive")
        self.addCleanup(receiver.end)
        wait_until("the receiver to stream", lambda: self.server.sql("select count(*) from pg_stat_replication") == "1")
        self.server.sql("alter system set synchronous_standby_names = '*'")
        self.server.sql("select pg_reload_conf()")
        wait_until("the receiver to be synchronous",
                   lambda: self.server.sql("select count(*) from pg_stat_replication where sync_state = 'sync'") == "1")
        ledger = self.scratch / "ledger"
        writer = self.in_background("writer", self.bin / "ledger_writer", self.server.connection, ledger)
        self.addCleanup(writer.end)
        wait_until("commits", lambda: ledger.exists() and len(acknowledged(ledger)["sync"]) >= COMMITS)
        self.as_server("backup")
        enough = len(acknowledged(ledger)["sync"]) + COMMITS
        wait_until("more commits", lambda: len(acknowledged(ledger)["sync"]) >= enough)
        self.server.stop(mode="immediate")
        self.killed = datetime.now(timezone.utc).timestamp()
        self.assertEqual(writer.process.wait(60), 1, "the writer's server is gone")
        receiver.end(signal.SIGTERM)
        shutil.rmtree(self.server.data)
        self.last_begun = last_begun(ledger)
        return acknowledged(ledger)

    def recovered(self, mode):
        rows = self.server.sql(f"select seq from public.ledger where mode = '{mode}'").split()
        return {int(row) for row in rows}

    def test_the_database_is_destroyed_and_the_scenario_brings_it_back(self):
        committed = self.write_until_it_dies()
        evidence = self.scratch / "evidence"
        values = {
            "HOLDFAST_CONFIG": self.config, "EVIDENCE_DIR": evidence, "PG_BIN": Server.BIN, "PG_DATA": self.server.data,
            "PG_SOCKETS": self.server.socket, "PG_PORT": 5432, "PG_DATABASE": "postgres",
            "PG_CHECK": "select count(*) > 0 from public.ledger", "RECOVER_ON": socket.gethostname(),
        }
        words = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
        self.runbook("run", self.document, "2", "--drill", "--unattended", *words)

        wanted = committed["sync"]
        self.assertGreaterEqual(len(wanted), 2 * COMMITS)
        self.assertEqual(wanted - self.recovered("sync"), set(), "synchronous commits that were acknowledged and are lost")
        # One commit of each client may have been durable and its word not have arrived.
        self.assertLessEqual(len(self.recovered("sync") - wanted), 1)
        self.assertLessEqual(len(self.recovered("async") - committed["async"]), 1)
        self.assertEqual(self.server.sql("select pg_is_in_recovery()"), "f")

        listed = self.runbook("runs", "--json").json()["runs"]
        self.assertEqual([run["outcome"] for run in listed], ["recovered"])
        report = self.runbook("report").out
        for part in ("## Targets and actuals", "Time to Recovery", "## Timeline", "restore", "check-data"):
            self.assertIn(part, report)
        told = self.runbook("report", "--json").json()
        self.assertGreater(told["recovery_seconds"], 0)
        # The database came back to its last commit, which lies between these two; seconds are whole.
        began = datetime.fromisoformat(told["began"].replace("Z", "+00:00")).timestamp()
        self.assertGreaterEqual(told["loss_seconds"], began - self.killed - 1)
        self.assertLessEqual(told["loss_seconds"], began - self.last_begun + 1)
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in report.splitlines() if line.startswith("|")]
        actual = {row[0]: row[2] for row in cells if len(row) == 4}
        for metric in ("Time to Recovery", "Data Loss"):
            self.assertRegex(actual[metric], r"^\d+(\.\d+)? ", "what was measured")
        states = {step["step"]: step["state"] for step in told["steps"]}
        self.assertEqual(states["restore"], "done")
        self.assertEqual(states["check-data"], "done")
        self.assertEqual(states["start-application"], "skipped")


if __name__ == "__main__":
    unittest.main(verbosity=2)
