#!/usr/bin/env python3
"""A drill that is killed in any phase leaves nothing once the next command runs."""
import json
import os
import signal
import subprocess
import unittest

from stack import DRIVER, Cluster, Server, wait_until


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class Kills(Cluster):
    PHASES = ("choose", "restore", "boot", "verify", "destroy")

    def test_a_drill_killed_in_any_phase_leaves_nothing(self):
        self.server.sql("create table t (n int primary key); insert into t values (1)")
        self.as_server("backup")
        self.server.sql("insert into t values (2)")
        self.archive()
        driver = self.program(DRIVER)
        for phase in self.PHASES:
            with self.subTest(phase=phase):
                argv = [*self.server.prefix, driver, self.config, self.place, self.registry, phase]
                done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False, cwd=self.scratch)
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                marker = json.loads(next(self.registry.glob("*.json")).read_text())
                self.assertEqual(marker["phase"], phase)
                self.assertEqual([path.name.startswith("holdfast-drill-") for path in self.place.iterdir()],
                                 [] if phase == "choose" else [True])
                self.assertEqual(len(marker["processes"]), 1 if phase in ("verify", "destroy") else 0)
                # The kernel ends the server with its drill; whoever comes next ends what is left.
                wait_until("the end of the server", lambda: not self.processes())
                self.as_server("latest")
                self.assertEqual(self.left_behind(), [])
        # While its server recovers, too.
        process = subprocess.Popen(list(map(str, [*self.server.prefix, self.program(), "--config", self.config, "drill", "--scratch", self.place])),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.scratch,
                                   env={**os.environ, "HOLDFAST_DRILLS": str(self.registry)})
        wait_until("the server", lambda: any(json.loads(path.read_text())["processes"] for path in self.registry.glob("*.json")))
        process.kill()
        self.assertEqual(process.wait(), -signal.SIGKILL)
        self.as_server("latest")
        self.assertEqual(self.left_behind(), [])
        # A drill that lives is left alone, and its evidence is the only one.
        self.drill()
        listed = self.as_server("drill", "--list", "--json").json()
        self.assertEqual([each["evidence"]["result"] for each in listed["drills"]], ["passed"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
