#!/usr/bin/env python3
"""Drills of a Redis: whom its server can't reach, and what the evidence says where less can be had."""
import json
import os
import shutil
import signal
import socket
import subprocess
import unittest

from stack import DRIVER, Drilled, wait_until

from harness import PROGRAM, as_user, is_root
from redis_protect import RedisServer, free_port

# A user namespace of its own in which none of this kind can be made.
WITHOUT = ["unshare", "--user", "--map-current-user", "--keep-caps", "sh", "-c",
           'echo 0 > "/proc/sys/user/$0" && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"']


@unittest.skipUnless(RedisServer.PROGRAM, "redis-server is not installed")
class RedisDrills(Drilled):
    """As root everything belongs to an unprivileged account, which isolates by user namespaces."""

    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.live = RedisServer(self.scratch / "r", "--unixsocketperm", 777, "--port", self.port, "--bind", "127.0.0.1")
        self.addCleanup(self.live.kill)
        self.live.start()
        self.prefix = as_user("nobody") if is_root() else []
        self.write_config(f"  - {{name: cache, kind: redis, connection: '{self.live.address}'}}\n")
        for original in (PROGRAM, DRIVER):
            shutil.copy2(original, self.scratch / original.name)
        if is_root():
            for path in (self.scratch, self.config, self.scratch / "pass", self.place):
                shutil.chown(path, "nobody")
        self.live.run("SET", "k", "v")
        for words in ("init", "backup"):
            self.as_nobody(words)

    def as_nobody(self, *words, more=(), **options):
        return self.holdfast(*words, prefix=[*self.prefix, *more], program=self.scratch / PROGRAM.name, **options)

    @staticmethod
    def without(limit):
        """Words before a command: nothing for a whole machine."""
        return [*WITHOUT, limit] if limit else []

    def can_be_without(self, limit):
        argv = [*self.prefix, *self.without(limit), "true"]
        return subprocess.run(argv, capture_output=True, check=False, cwd="/").returncode == 0

    def begin_to_verify(self, limit):
        """A drill whose server has loaded everything, and which waits."""
        argv = [*self.prefix, *self.without(limit), self.scratch / DRIVER.name, self.config, self.place, self.registry, "verify", "stop"]
        drill = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, cwd=self.scratch)
        self.addCleanup(drill.wait)
        self.addCleanup(drill.kill)

        def stopped():
            self.assertIsNone(drill.poll(), "the drill ended")
            with open(f"/proc/{drill.pid}/stat", encoding="utf-8") as file:
                return file.read().rsplit(")", 1)[1].split()[0] == "T"

        wait_until("the drill", stopped)
        return drill

    def connect(self):
        data = next(self.place.glob("holdfast-drill-*/cache/data"))
        directory = os.open(data, os.O_RDONLY)  # its path may be too long for a socket's
        self.addCleanup(os.close, directory)
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(120)
        client.connect(f"/proc/self/fd/{directory}/redis.sock")
        return client

    def evidence(self):
        return self.as_nobody("drill", "--list", "--json").json()["drills"][-1]["evidence"]

    def migrate(self, ask, key):
        """Makes a server write into the live one."""
        self.assertEqual(ask("SET", key, "666"), "+OK")
        return ask("MIGRATE", "127.0.0.1", self.port, key, 0, 2000, "COPY", "REPLACE")

    def test_the_live_server_can_not_be_reached(self):
        # From outside of a drill the same command arrives.
        other = RedisServer(self.scratch / "o")
        self.addCleanup(other.kill)
        other.start()
        self.assertEqual(self.migrate(other.run, "from outside"), "+OK")
        self.assertEqual(self.live.run("GET", "from outside"), "666")
        for limit, level in ((None, "sealed"), ("max_mnt_namespaces", "network")):
            with self.subTest(level=level):
                if not self.can_be_without(limit):
                    self.skipTest("no user namespaces here")
                drill = self.begin_to_verify(limit)
                with self.connect() as client:
                    def ask(*words, client=client):
                        return RedisServer.ask(client, *words)

                    self.assertEqual(ask("GET", "k"), "v")
                    self.assertTrue(self.migrate(ask, "from inside").startswith("-IOERR"))
                    self.assertEqual(ask("REPLICAOF", "127.0.0.1", self.port), "+OK")
                    log = next(self.place.glob("holdfast-drill-*/cache/log"))
                    wait_until("the replica's try", lambda: "Error condition on socket for SYNC" in log.read_text())
                    self.assertIn("master_link_status:down", ask("INFO", "replication"))
                    # Of its own it has neither a port nor a master, and saves nothing.
                    for words in (("REPLICAOF", "NO", "ONE"), ("DEL", "from inside")):
                        self.assertFalse(ask(*words).startswith("-"))
                    self.assertIn("tcp_port:0", ask("INFO", "server"))
                    persistence = ask("INFO", "persistence")
                    self.assertIn("aof_enabled:0", persistence)
                self.assertEqual((self.live.run("EXISTS", "from inside"), self.live.info("connected_slaves")), (":0", "0"))
                drill.send_signal(signal.SIGCONT)
                self.assertEqual(drill.wait(), 0)
                evidence = self.evidence()
                self.assertEqual(evidence["result"], "passed", json.dumps(evidence, indent=1))
                isolation = evidence["components"][0]["isolation"]
                if level == "sealed" and isolation["level"] != level:
                    self.skipTest("no namespaces here: " + isolation["why_not_more"])
                self.assertEqual((isolation["level"], isolation["network"]), (level, "loopback only"))
                self.assertEqual(self.left_behind(), [])

    def test_a_server_that_holds_other_keys_than_the_file_fails_the_drill(self):
        drill = self.begin_to_verify(None)
        with self.connect() as client:
            RedisServer.ask(client, "SET", "k", "w")
            RedisServer.ask(client, "XADD", "more", "1-1", "f", "v")
        drill.send_signal(signal.SIGCONT)
        self.assertEqual(drill.wait(), 0)
        evidence = self.evidence()
        self.assertEqual(evidence["result"], "failed")
        self.assertEqual(self.checks(evidence["components"][0])["keys"]["findings"],
                         [{"object": "string 'k' of database 0", "problem": "the server has another value than the file"},
                          {"object": "database 0", "problem": "the server has 2 keys, the file 1"}])
        self.assertEqual(self.left_behind(), [])

    def test_where_less_can_be_had_the_evidence_says_so(self):
        for limit, level, network, reasons in (("max_mnt_namespaces", "network", "loopback only", 1),
                                               ("max_user_namespaces", "none", "the machine's", 2)):
            with self.subTest(level=level):
                if not self.can_be_without(limit):
                    self.skipTest("no user namespaces here")
                made = self.as_nobody("drill", "--scratch", self.place, "--json", more=self.without(limit)).json()
                isolation = self.component(made, "cache")["isolation"]
                self.assertEqual((isolation["level"], isolation["network"]), (level, network), isolation)
                whys = isolation["why_not_more"].split("; ")
                self.assertEqual([why.split(": ")[0] for why in whys], ["sealed", "network"][:reasons], isolation)
                self.assertEqual(made["evidence"]["result"], "passed")
                report = self.as_nobody("drill", "--report", "latest").out
                self.assertIn(level, report)
                self.assertEqual(self.left_behind(), [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
