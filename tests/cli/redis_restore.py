"""Redis restored through the command line: to a directory, into a running server, to an instant."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from datetime import datetime, timezone
from pathlib import Path

from harness import (PERMISSION, PROGRAM, REFUSED, SOURCE, TARGET_NOT_EMPTY, TARGET_RUNNING, UNREACHABLE, USAGE, Background, Case,
                     wait_until)

SERVER = shutil.which("redis-server")


class Redis:
    """A private server on a directory: a unix socket, no port."""

    def __init__(self, directory, *settings):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.place = Path(tempfile.mkdtemp(prefix="hf-"))
        self.socket = self.place / "s"
        words = ["--port", "0", "--unixsocket", self.socket, "--dir", self.directory, "--save", "", "--repl-diskless-sync-delay", "0",
                 "--enable-debug-command", "yes", *settings]
        self.server = Background([SERVER, *words], self.place / "log")
        wait_until("the server", lambda: self.socket.exists() and self.ask("PING").startswith(("PONG", "NOAUTH")), 60)

    def ask(self, *words, db=0):
        done = subprocess.run(["redis-cli", "-s", str(self.socket), "-n", str(db), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip()

    def ask_one_by_one(self, *lines):
        """What one client is answered, line by line."""
        done = subprocess.run(["redis-cli", "-s", str(self.socket)], input="\n".join(lines) + "\n", capture_output=True, text=True,
                              check=False)
        return done.stdout.split("\n")[:-1]

    @property
    def address(self):
        return f"unix://{self.socket}"

    def stop(self):
        self.server.end(signal.SIGKILL)
        shutil.rmtree(self.place, ignore_errors=True)


@unittest.skipUnless(SERVER, "redis-server is not installed")
class RedisRestore(Case):
    def setUp(self):
        super().setUp()
        self.server = self.serve("original")
        self.write_config(f"  - {{name: cache, kind: redis, connection: '{self.server.address}', rto: 1h}}\n")
        self.holdfast("init")
        self.server.ask("SET", "before", "1")
        self.server.ask("RPUSH", "list", "a", "b", db=5)
        self.holdfast("backup")

    def serve(self, name, *settings):
        server = Redis(self.scratch / name, *settings)
        self.addCleanup(server.stop)
        return server

    def receive(self):
        receiver = Background([PROGRAM, "--config", self.config, "log", "receive"], self.scratch / "receiver.log")
        self.addCleanup(receiver.end, signal.SIGKILL)
        wait_until("the receiver", lambda: "slave0:" in self.server.ask("INFO", "replication"), 60)
        return receiver

    def write_confirmed(self, command):
        """Waits until what was written is stored; an instant by which it was. WAIT waits for its own client's writes alone."""
        said = self.server.ask_one_by_one(command, "WAIT 1 60000")
        self.assertEqual(said[-1], "1", said)
        return datetime.now(timezone.utc).isoformat()

    def write_history(self):
        receiver = self.receive()
        instant = self.write_confirmed("SET during 2")
        self.write_confirmed("FLUSHALL")
        self.assertEqual(receiver.end(), 0)
        return instant

    def test_a_drill_boots_it_and_compares_every_key(self):
        instant = self.write_history()
        registry = {"HOLDFAST_DRILLS": str(self.scratch / "drills")}
        made = self.holdfast("drill", "--at", instant, "--scratch", self.scratch, "--json", environment=registry).json()["evidence"]
        component = made["components"][0]
        checks = {check["check"]: check for check in component["checks"]}
        self.assertEqual((made["result"], made["destroyed"]), ("passed", True), made)
        self.assertEqual([checks[name]["outcome"] for name in ("replay", "keys", "rto")], ["passed"] * 3, checks)
        self.assertIn("digest of 3 keys", checks["keys"]["words"])
        self.assertTrue(component["server_version"].startswith("7."), component)
        self.assertIn(component["isolation"]["level"], ("sealed", "network", "none"))
        self.assertEqual(list(self.scratch.glob("holdfast-drill-*")), [])
        drawn = self.holdfast("drill", "--at", "random", "--scratch", self.scratch, "--json", environment=registry).json()
        self.assertEqual(drawn["evidence"]["result"], "passed", drawn)
        # Without a program that could fold the commands in, it says so.
        outcome = self.holdfast("drill", "--at", instant, "--scratch", self.scratch, expect=None,
                                environment=registry | {"HOLDFAST_REDIS_BIN": "/nowhere"})
        self.assertNotEqual(outcome.status, 0)
        self.assertIn("there is no redis-server in /nowhere", " ".join((outcome.out + outcome.err).split()))

    def test_a_point_to_a_directory(self):
        target = self.scratch / "restored"
        self.refuse("restore", status=USAGE, says="nothing says where its data directory is")
        planned = self.holdfast("restore", "--dry-run", expect=USAGE)
        self.assertIn("will be as at", planned.out)
        self.assertIn("note: cache: nothing says where 'restore' is to put it: data_directory in holdfast.yaml does", self.holdfast("backup").out)
        notes = self.holdfast("stats", "--json").json()["components"][0]["notes"]
        self.assertIn("nothing says where 'restore' is to put it: data_directory in holdfast.yaml does", notes)
        alone = self.config.read_text()
        self.config.write_text(f"{alone}  - {{name: more, kind: files, paths: [{self.scratch}/pass]}}\n")
        refused = self.holdfast("restore", expect=USAGE)
        self.assertIn("; the rest without it: holdfast restore --component more\n", refused.err)
        self.config.write_text(alone)
        outcome = self.holdfast("restore", "--point", "latest", "--to", target, "--json").json()
        component = outcome["components"][0]
        self.assertEqual((component["kind"], component["into_server"]), ("redis", False))
        self.assertEqual(sorted(os.listdir(target)), ["appendonlydir", "dump.rdb"])
        for settings in ([], ["--appendonly", "yes"]):
            restored = self.serve("restored", *settings)
            self.assertEqual(restored.ask("GET", "before"), "1", settings)
            self.assertEqual(restored.ask("LLEN", "list", db=5), "2", settings)
            self.refuse("restore", "--to", target, status=TARGET_RUNNING, says="runs on")
            restored.stop()
        self.refuse("restore", "--to", target, status=TARGET_NOT_EMPTY, says="is not empty")
        self.refuse("restore", "--to", self.repository / "x", status=REFUSED, says="repository")

    def test_an_instant_before_everything_was_flushed(self):
        instant = self.write_history()
        self.holdfast("restore", "--at", instant, "--to", self.scratch / "then")
        then = self.serve("then")
        self.assertEqual([then.ask("GET", "before"), then.ask("GET", "during")], ["1", "2"])
        self.holdfast("restore", "--at", "latest", "--to", self.scratch / "latest")
        self.assertEqual(self.serve("latest").ask("DBSIZE"), "0")
        outcome = self.holdfast("restore", "--at", instant, "--to", self.scratch / "other", "--dry-run")
        self.assertRegex(outcome.out, r"[1-9][0-9]* B of commands")
        self.assertFalse((self.scratch / "other").exists())
        self.refuse("restore", "--at", "2 days ago", "--to", self.scratch / "other", status=UNREACHABLE, says="the recovery window is")
        # Without a server program the commands stay commands.
        self.holdfast("restore", "--at", instant, "--to", self.scratch / "plain", environment={"HOLDFAST_REDIS_BIN": "/nowhere"})
        self.assertEqual(os.listdir(self.scratch / "plain"), ["appendonlydir"])
        plain = self.serve("plain", "--appendonly", "yes")
        self.assertEqual([plain.ask("GET", "before"), plain.ask("GET", "during")], ["1", "2"])

    def test_into_a_running_server(self):
        instant = self.write_history()
        target = self.serve("target", "--requirepass", "a password")
        for words in ([], ["--dry-run"]):
            refused = self.holdfast("restore", "--into", target.address, *words, expect=PERMISSION)
            self.assertIn("hint: give its password with --into-password env:NAME, file:PATH or exec:COMMAND", refused.err)
        into = ["restore", "--component", "cache", "--at", instant, "--into", target.address, "--into-password", "env:TARGET_PASSWORD"]
        password = {"environment": {"TARGET_PASSWORD": "a password"}}
        outcome = self.holdfast(*into, **password)
        self.assertIn("3 keys were loaded", outcome.out + outcome.err)
        ask = lambda *words: target.ask("--no-auth-warning", "-a", "a password", *words)
        self.assertEqual([ask("GET", "before"), ask("GET", "during")], ["1", "2"])
        ask("SET", "during", "changed")
        ask("SET", "mine", "stays")
        self.holdfast(*into, expect=TARGET_NOT_EMPTY, **password)
        self.assertEqual(ask("GET", "during"), "changed")
        self.holdfast(*into, "--replace", **password)
        self.assertEqual([ask("GET", "during"), ask("GET", "mine")], ["2", "stays"])
        self.refuse("restore", "--replace", "--to", self.scratch / "x", status=USAGE, says="--replace needs --database or --into")

    def test_the_rights_that_a_load_needs_are_the_guides(self):
        guide = (SOURCE / "docs" / "redis.md").read_text()
        user = re.search("^user (holdfast .*)$", guide, re.MULTILINE)[1].replace(">secret", ">s3cret").split()
        more = re.search("^ACL SETUSER (holdfast .*)$", guide, re.MULTILINE)[1].split()
        self.assertEqual(self.server.ask("ACL", "SETUSER", *user), "OK")
        self.write_config(f"  - {{name: cache, kind: redis, connection: '{self.server.address}', user: holdfast, password: env:CACHE_PASSWORD}}\n")
        password = {"environment": {"CACHE_PASSWORD": "s3cret"}}
        self.holdfast("backup", **password)
        into = ["restore", "--component", "cache", "--into", self.server.address, "--replace"]
        refused = self.holdfast(*into, expect=PERMISSION, **password)
        self.assertIn('hint: docs/redis.md, "Into a running server", lists the rights that a load needs', refused.err)
        self.server.ask("DEL", "before")
        self.assertEqual(self.server.ask("ACL", "SETUSER", *more), "OK")
        self.holdfast(*into, **password)
        self.assertEqual(self.server.ask("GET", "before"), "1")

    def test_verify(self):
        outcome = self.holdfast("verify")
        self.assertIn("is right", outcome.out)
        outcome = self.holdfast("verify", "--boot", "--scratch", self.scratch / "aside")
        self.assertIn("2 objects", outcome.out)
        self.assertEqual(os.listdir(self.scratch / "aside"), [])

    def test_killed_while_it_restores(self):
        """Wherever a restore is killed, no server is left, and the restore can be repeated."""
        instant = self.write_history()
        target = self.scratch / "killed"
        for attempt in range(12):
            restore = Background([PROGRAM, "--config", self.config, "restore", "--at", instant, "--to", target], self.scratch / "restore.log")
            time.sleep(0.01 * attempt)
            restore.end(signal.SIGKILL)
            wait_until("the private server's end", lambda: not self.servers_below(target), 60)
            if (target / "dump.rdb").exists() and not (target / ".holdfast-restore").exists():
                shutil.rmtree(target)
        if not (target / "dump.rdb").exists() or (target / ".holdfast-restore").exists():
            self.holdfast("restore", "--at", instant, "--to", target)
        self.assertEqual(self.serve("killed").ask("GET", "during"), "2")

    @staticmethod
    def servers_below(directory):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if (process / "comm").read_text() == "redis-server\n" and os.readlink(process / "cwd").startswith(str(directory)):
                    found.append(process.name)
            except OSError:
                continue
        return found


if __name__ == "__main__":
    unittest.main(verbosity=2)
