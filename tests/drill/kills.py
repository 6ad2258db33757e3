#!/usr/bin/env python3
"""A drill that is killed in any phase leaves nothing once the next command runs."""
import json
import os
import signal
import subprocess
import unittest

from stack import DRIVER, Cluster, Server, wait_until

from harness import Background
from redis_protect import RedisServer


@unittest.skipUnless(Server.BIN and RedisServer.PROGRAM, "PostgreSQL or Redis is not installed")
class Kills(Cluster):
    PHASES = ("choose", "restore", "boot", "verify", "destroy")

    def configure(self, more=""):
        super().configure(more)
        self.redis = RedisServer(self.scratch / "r", "--unixsocketperm", 777, "--repl-diskless-sync-delay", 0)
        self.addCleanup(self.redis.kill)
        self.redis.start()
        with open(self.config, "a", encoding="utf-8") as file:
            file.write(f"  - {{name: cache, kind: redis, connection: '{self.redis.address}'}}\n")

    def protect(self):
        """A point, and of both servers a log behind it: a drill has to fold the commands in."""
        self.server.sql("create table t (n int primary key); insert into t values (1)")
        self.redis.run("SET", "a", "x" * 1_000_000)
        self.as_server("backup")
        self.server.sql("insert into t values (2)")
        self.archive()
        receiver = Background([*self.server.prefix, self.program(), "--config", self.config, "log", "receive"], self.scratch / "receive.log")
        self.addCleanup(receiver.process.kill)
        with self.redis.connect() as client:
            self.redis.ask(client, "SET", "b", "behind the point")
            wait_until("the receiver", lambda: self.redis.ask(client, "WAIT", 1, 1000) == ":1")
        self.assertEqual(receiver.end(), 0, receiver.log.read_text())

    def drive(self, *words):
        argv = [*self.server.prefix, self.program(DRIVER), self.config, self.place, self.registry, *words]
        return subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False, cwd=self.scratch)

    def nothing_is_left(self):
        # The kernel ends the servers with their drill; whoever comes next ends what is left.
        wait_until("the end of the servers", lambda: not self.processes())
        self.as_server("latest")
        self.assertEqual(self.left_behind(), [])

    def test_a_drill_killed_within_a_phase_leaves_nothing(self):
        self.protect()
        whole = self.drive("none")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        self.assertEqual(self.left_behind(), [])
        changes = {phase: int(count) for phase, count in map(str.split, whole.stdout.splitlines())}
        self.assertGreater(min(changes["restore"], changes["destroy"]), 100, changes)
        for phase, count in changes.items():
            places = sorted({count * part // 10 for part in (1, 3, 5, 7, 9)} - {0})
            for at in places:
                with self.subTest(phase=phase, at=at, of=count):
                    done = self.drive(phase, at)
                    # No two drills make the same number of changes: one may end before the last place.
                    ends = (-signal.SIGKILL, 0) if at == places[-1] else (-signal.SIGKILL,)
                    self.assertIn(done.returncode, ends, done.stderr)
                    self.nothing_is_left()

    def test_a_drill_killed_in_any_phase_leaves_nothing(self):
        self.protect()
        for phase in self.PHASES:
            with self.subTest(phase=phase):
                done = self.drive(phase)
                self.assertEqual(done.returncode, -signal.SIGKILL, done.stderr)
                marker = json.loads(next(self.registry.glob("*.json")).read_text())
                self.assertEqual(marker["phase"], phase)
                self.assertEqual([path.name.startswith("holdfast-drill-") for path in self.place.iterdir()],
                                 [] if phase == "choose" else [True])
                self.assertEqual(len(marker["processes"]), 2 if phase in ("verify", "destroy") else 0)
                self.nothing_is_left()
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
