"""Redis through the command line: points, the log and its receiver, on private servers."""
import os
import shutil
import signal
import socket
import subprocess
import unittest
from datetime import datetime
from pathlib import Path

from harness import (CONFIG, NOT_FOUND, PERMISSION, PROGRAM, UNAVAILABLE, UNREACHABLE, USAGE, Background, Case,
                     is_root, wait_until)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def peak_kib(pid):
    """The largest resident set of a process until now; 0 once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(next((line for line in status.splitlines() if line.startswith("VmHWM")), "VmHWM: 0").split()[1])


class RedisServer:
    """A private redis-server: a socket in its directory, no port, no saving by itself."""

    PROGRAM = shutil.which("redis-server")

    def __init__(self, directory, *arguments):
        self.directory, self.arguments, self.process = Path(directory), arguments, None
        self.directory.mkdir(parents=True)
        self.socket = self.directory / "s"

    def start(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.PROGRAM, "--port", "0", "--unixsocket", str(self.socket), "--save", "", *map(str, self.arguments)],
                cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until("redis-server", self.answers)

    def answers(self):
        try:
            return self.run("PING").startswith(("+PONG", "-NOAUTH"))
        except OSError:
            return False

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def connect(self):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(120)
        try:
            client.connect(str(self.socket))
        except OSError:
            client.close()
            raise
        return client

    @staticmethod
    def ask(client, *words):
        """The first line of the reply, or of a text the whole of it."""
        out = b"*%d\r\n" % len(words)
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            out += b"$%d\r\n%b\r\n" % (len(data), data)
        client.sendall(out)
        with client.makefile("rb") as reply:
            line = reply.readline().decode().strip()
            if line.startswith("$") and line != "$-1":
                return reply.read(int(line[1:]) + 2)[:-2].decode()
            return line

    def run(self, *words):
        with self.connect() as client:
            return self.ask(client, *words)

    def info(self, name):
        for line in self.run("INFO", "everything").splitlines():
            if line.startswith(name + ":"):
                return line[len(name) + 1:].strip()
        return None

    @property
    def address(self):
        return f"unix://{self.socket}"


@unittest.skipUnless(RedisServer.PROGRAM, "redis-server is not installed")
class Redis(Case):
    def serve(self, *arguments):
        # Short: a socket's path has at most 107 bytes.
        self.server = RedisServer(self.scratch / "r", *arguments)
        self.addCleanup(self.server.kill)
        self.server.start()

    def make_redis_stack(self, more="", *arguments):
        self.serve(*arguments)
        self.write_config(f"  - {{name: cache, kind: redis, connection: '{self.server.address}', rpo: 1h{more}}}\n")
        self.holdfast("init")

    def receive(self, name="receive.log"):
        receiver = Background([PROGRAM, "--config", self.config, "log", "receive"], self.scratch / name)
        self.addCleanup(receiver.process.kill)
        return receiver

    def write_and_wait(self, *commands):
        """Executes commands; returns when the receiver has stored them."""
        with self.server.connect() as client:
            for words in commands:
                self.assertFalse(self.server.ask(client, *words).startswith("-"), words)
            wait_until("the receiver's acknowledgement", lambda: self.server.ask(client, "WAIT", 1, 1000) == ":1")

    def log(self):
        return self.holdfast("log", "--json").json()["logs"][0]

    def test_a_point_of_a_server(self):
        self.make_redis_stack()
        self.server.run("SET", "a", "1")
        outcome = self.holdfast("backup", "--json").json()
        snapshot = outcome["point"]["components"][0]
        self.assertEqual((snapshot["component"], snapshot["kind"], snapshot["files"]), ("cache", "redis", 1))
        self.assertGreater(snapshot["source_bytes"], 50)
        self.holdfast("check", "--read-data")
        log = self.log()
        self.assertEqual((log["kind"], log["records"], log["gaps"], len(log["windows"])), ("redis", 0, [], 1))
        self.assertEqual(log["windows"][0]["from"], log["windows"][0]["until"])
        self.assertIn("cache", self.holdfast("stats").out)

    def test_users_of_the_acl_are_said_to_be_left_out(self):
        self.make_redis_stack()
        self.assertEqual(self.holdfast("backup", "--json").json()["notes"], [])
        self.server.run("ACL", "SETUSER", "app", "on", ">secret", "~*", "+@all")
        note = "cache: the users of the server's ACL are in no RDB: keep its users.acl or redis.conf in a files component"
        self.assertEqual(self.holdfast("backup", "--json").json()["notes"], [note])
        self.assertIn(f"note: {note}\n", self.holdfast("backup").out)
        # Where a person chooses a point, and decides on a restore.
        self.assertEqual([point["notes"] for point in self.holdfast("points", "--json").json()["points"]], [[], [note], [note]])
        self.assertEqual(self.holdfast("points").out.count(f"note: {note}\n"), 1)
        planned = self.holdfast("restore", "--to", self.scratch / "out", "--dry-run", "--json").json()
        self.assertEqual(planned["components"][0]["notes"], ["the server had users of an ACL, which are in no RDB and do not come back: "
                                                             "they are in its users.acl or redis.conf"])
        # Who may ask nothing logs in as one of them.
        self.server.run("ACL", "SETUSER", "holdfast", "on", "nopass", "resetkeys", "resetchannels", "-@all", "+psync", "+replconf", "+ping", "+info")
        self.write_config(f"  - {{name: cache, kind: redis, connection: '{self.server.address}', user: holdfast}}\n")
        self.assertEqual(self.holdfast("backup", "--json").json()["notes"], [note])

    def test_receives_is_killed_and_goes_on(self):
        self.make_redis_stack()
        self.holdfast("backup")
        receiver = self.receive()
        self.write_and_wait(("SET", "a", "1"), ("INCR", "n"))
        receiver.process.send_signal(signal.SIGKILL)
        receiver.process.wait()
        self.server.run("SET", "a", "2")
        receiver = self.receive("again.log")
        self.write_and_wait(("SET", "a", "3"))
        wait_until("all to be stored", lambda: str(self.log()["ranges"][0]["to"]) == self.server.info("master_repl_offset"))
        log = self.log()
        self.assertEqual((len(log["ranges"]), log["gaps"], len(log["windows"])), (1, [], 1))
        self.assertTrue(log["absences"])
        self.assertEqual(receiver.end(), 0, receiver.log.read_text())
        words = receiver.log.read_text()
        self.assertIn("stopped: all that was received is stored, up to offset", words)
        text = self.holdfast("log").out
        self.assertIn("cache (Redis):", text)
        self.assertIn("received late from", text)

    @unittest.skipUnless(is_root(), "needs to mount a small file system")
    def test_a_full_repository_is_told_of_by_the_receiver_and_so_is_its_end(self):
        small = self.small_disk("size=16m")
        self.repository = small / "repository"
        self.make_redis_stack()
        self.holdfast("backup")
        receiver = self.receive()
        self.write_and_wait(("SET", "a", "1"))
        ballast = self.fill(small)
        self.server.run("SET", "b", os.urandom(20000))
        said = lambda: " ".join(receiver.log.read_text().split())
        wait_until("the words", lambda: f"the disk of {self.repository} is full: nothing is stored beyond offset " in said())
        self.assertIn("Make room on that disk, and it goes on by itself", said())
        self.assertNotIn("takes commands again", said())
        ballast.unlink()
        wait_until("the end of it", lambda: "the repository takes commands again" in said())
        self.assertEqual(receiver.end(), 0, said())

    def test_a_server_that_is_away_is_told_of_at_once(self):
        self.make_redis_stack()
        self.holdfast("backup")
        words, events = self.scratch / "words", self.scratch / "events"
        for quiet in ([], ["--quiet"]):
            self.server.kill()
            with open(words, "wb") as out, open(events, "wb") as err:
                receiver = subprocess.Popen([PROGRAM, "--config", str(self.config), *quiet, "log", "receive"],
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)
            self.addCleanup(receiver.kill)
            if not quiet:
                wait_until("the trouble in words", lambda: len(words.read_text().splitlines()) > 1)
            wait_until("the trouble's event", lambda: "receive.interrupted component=cache kind=redis problem=" in events.read_text())
            receiver.send_signal(signal.SIGTERM)
            receiver.wait(60)
            self.server.start()
        self.assertEqual(words.read_text(), "")
        # Where both are one log, a trouble is told once.
        self.server.kill()
        receiver = self.receive()
        wait_until("the trouble", lambda: "  " in receiver.log.read_text())
        receiver.end()
        self.assertNotIn("receive.interrupted", receiver.log.read_text())

    def test_a_server_that_lost_its_history_leaves_a_gap_that_is_told(self):
        self.make_redis_stack()
        receiver = self.receive()
        self.write_and_wait(("SET", "a", "1"))
        self.server.kill()
        self.server.start()
        wait_until("the receiver", lambda: self.server.info("connected_slaves") == "1")
        self.write_and_wait(("SET", "a", "2"))
        self.assertEqual(receiver.end(), 0, receiver.log.read_text())
        self.assertIn("the server sent all its data: committed as a recovery point", receiver.log.read_text())
        self.assertIn("there is a gap in front of it", receiver.log.read_text())
        self.assertEqual(len(self.holdfast("points", "--json").json()["points"]), 2)
        log = self.log()
        self.assertEqual((len(log["windows"]), len(log["gaps"])), (2, 1))
        gap, (first, second) = log["gaps"][0], log["windows"]
        self.assertEqual((gap["from"], gap["until"]), (first["until"], second["from"]))
        self.assertIn("another history", gap["reason"])
        self.assertIn("  gap: ", self.holdfast("log").out)

    def test_prune_removes_commands_that_no_point_needs(self):
        self.make_redis_stack()
        receiver = self.receive()
        self.write_and_wait(("SET", "a", "1"))
        self.write_and_wait(("SET", "a", "2"))
        self.holdfast("backup")
        self.write_and_wait(("SET", "a", "3"))
        self.assertEqual(receiver.end(), 0, receiver.log.read_text())
        before = self.log()
        dry = self.holdfast("prune", "--keep-last", 1, "--dry-run", "--json").json()["logs"][0]
        self.assertEqual(dry["stream"], "cache")
        self.assertGreater(dry["records"], 0)
        self.assertEqual(self.log()["records"], before["records"])
        self.holdfast("prune", "--keep-last", 1)
        after = self.log()
        self.assertLess(after["records"], before["records"])
        self.assertEqual((after["gaps"], len(after["windows"])), ([], 1))
        self.assertEqual(after["windows"][0]["until"], before["windows"][-1]["until"])

    def test_a_large_value_passes_through_little_memory(self):
        self.make_redis_stack("", "--client-output-buffer-limit", "replica 0 0 0")
        receiver = self.receive()
        size = 200 << 20
        # Behind its snapshot: the server waits some seconds before it forks.
        wait_until("the receiver", lambda: "stored up to offset" in receiver.log.read_text())
        self.write_and_wait(("SET", "large", b"x" * size), ("SET", "after", "it"))
        self.assertLess(peak_kib(receiver.process.pid), 150 << 10)
        self.assertGreater(self.log()["ranges"][0]["bytes"], size)
        self.assertEqual(receiver.end(), 0, receiver.log.read_text())
        # Out of the log again.
        target = self.scratch / "restored"
        restore = Background([PROGRAM, "--config", self.config, "restore", "--to", target], self.scratch / "restore.log")
        peaks = [0]

        def ended():
            peaks.append(peak_kib(restore.process.pid))
            return restore.process.poll() is not None

        wait_until("the restore", ended)
        self.assertEqual(restore.end(), 0, restore.log.read_text())
        self.assertLess(max(peaks), 150 << 10)
        restored = RedisServer(self.scratch / "again", "--dir", target)
        self.addCleanup(restored.kill)
        restored.start()
        self.assertEqual((restored.run("STRLEN", "large"), restored.run("GET", "after")), (f":{size}", "it"))
        # And as a snapshot.
        self.assertGreater(self.holdfast("backup", "--json").json()["point"]["source_bytes"], 1 << 20)

    def test_a_point_beside_a_receiver_leaves_no_gap(self):
        # No PING tells that nothing happened.
        self.make_redis_stack("", "--repl-ping-replica-period", "3600")
        receiver = self.receive()
        self.write_and_wait(("SET", "a", "1"))
        before = datetime.fromisoformat(self.log()["windows"][-1]["until"])
        point = self.holdfast("backup", "--json").json()["point"]["components"][0]
        log = self.log()
        self.assertEqual((log["gaps"], len(log["windows"])), ([], 1))
        self.assertEqual(log["windows"][0]["until"], point["instant"])
        taken = datetime.fromisoformat(point["instant"])
        self.assertLess(before, taken)
        self.holdfast("restore", "--to", self.scratch / "between", "--at", (before + (taken - before) / 2).isoformat())
        restored = RedisServer(self.scratch / "again", "--dir", self.scratch / "between")
        self.addCleanup(restored.kill)
        restored.start()
        self.assertEqual(restored.run("GET", "a"), "1")
        self.holdfast("restore", "--to", self.scratch / "beyond", "--at", (taken + (taken - before)).isoformat(),
                      expect=UNREACHABLE)
        self.assertEqual(receiver.end(), 0, receiver.log.read_text())

    def test_the_window_grows_while_nothing_happens(self):
        self.make_redis_stack("", "--repl-ping-replica-period", "1")
        self.receive()
        self.write_and_wait(("SET", "a", "1"))
        until = lambda: datetime.fromisoformat(self.log()["windows"][-1]["until"])
        first = until()
        wait_until("the window's end to move", lambda: (until() - first).total_seconds() > 2)

    def test_a_password_is_used_and_never_said(self):
        self.serve("--requirepass", "geheimnis")
        (self.scratch / "right").write_text("geheimnis\n")
        (self.scratch / "wrong").write_text("falschesgeheimnis\n")
        config = f"  - {{name: cache, kind: redis, connection: '{self.server.address}', password: 'file:%s'}}\n"
        self.write_config(config % (self.scratch / "right"))
        self.holdfast("init")
        self.holdfast("backup")
        self.write_config(config % (self.scratch / "wrong"))
        for words in (["backup"], ["log", "receive"]):
            outcome = self.holdfast(*words, expect=PERMISSION)
            self.assertIn("component cache", outcome.err)
            self.assertIn("WRONGPASS", outcome.err)
            self.assertNotIn("falschesgeheimnis", outcome.err + outcome.out)

    def test_init_finds_a_server_and_writes_no_password(self):
        port = free_port()
        self.serve("--port", port, "--requirepass", "geheim")
        here = {"REDIS_URL": f"redis://:geheim@127.0.0.1:{port}/3"}
        outcome = self.holdfast("init", environment=here)
        written = self.config.read_text()
        self.assertIn(f'connection: "redis://127.0.0.1:{port}"', written)
        self.assertIn("# password: file:PATH", written)
        self.assertRegex(outcome.out, rf"found Redis [67]\.[0-9.]+ \(redis://127\.0\.0\.1:{port}\)")
        self.assertIn("the password in REDIS_URL is not written", outcome.out + outcome.err)
        self.assertNotIn("geheim", written + outcome.out + outcome.err)

    def test_init_takes_a_server_that_is_named(self):
        port = free_port()
        self.serve("--port", port, "--requirepass", "geheim")
        there, secret = f"redis://127.0.0.1:{port}", {"REDIS_PASSWORD": "geheim"}
        outcome = self.holdfast("init", "--redis", there, expect=PERMISSION)
        self.assertIn("NOAUTH", outcome.err)
        self.assertFalse(self.config.exists())
        document = self.holdfast("init", "--redis", there, "--json", environment=secret).json()
        self.assertEqual(document["components"], [{"name": "cache", "kind": "redis"}])
        self.assertIn('password: "env:REDIS_PASSWORD"', self.config.read_text())
        self.holdfast("backup", environment=secret)
        self.assertEqual(len(self.holdfast("points", "--json").json()["points"]), 1)

    def test_a_restore_logs_in_as_the_user_that_is_named(self):
        port = free_port()
        self.serve("--port", port)
        self.server.run("SET", "a", "1")
        self.server.run("ACL", "SETUSER", "other", "on", ">anders", "~*", "&*", "+@all")
        self.write_config(f"  - {{name: cache, kind: redis, connection: 'redis://127.0.0.1:{port}'}}\n")
        self.holdfast("init")
        self.holdfast("backup")
        into = ["restore", "--into", f"redis://other@127.0.0.1:{port}", "--replace"]
        self.assertIn("1 key was loaded", str(self.holdfast(*into, "--into-password", "env:THEIRS", environment={"THEIRS": "anders"})))
        # Without its password not as the default user, which the component is and which may do all.
        self.holdfast(*into, expect=PERMISSION)

    def test_what_is_wrong_is_said(self):
        self.make_redis_stack()
        self.server.kill()
        outcome = self.holdfast("backup", expect=UNAVAILABLE)
        self.assertIn("component cache: can't connect to the Redis server at unix://", outcome.err)
        self.assertEqual(self.holdfast("points", "--json").json()["points"], [])
        self.refuse("log", "receive", "--component", "other", status=NOT_FOUND, whole="the stack has no Redis component 'other'")
        self.write_config("".join(f"  - {{name: c{n}, kind: redis}}\n" for n in (1, 2)))
        self.refuse("log", "receive", status=USAGE, whole="the stack has several Redis components", hint="say which one with --component NAME")
        self.write_config()
        self.refuse("log", "receive", status=CONFIG, whole="the stack has no Redis component",
                    hint="the WAL of PostgreSQL is received by 'holdfast wal receive'")
        for keys, says in (("connection: 'redis://u:geheim@h'", "holds a password"), ("connection: 'redis://h/3'", "it names none"),
                           ("password: geheim", "must be a reference"), ("tls: {cafile: x}", "unknown key 'cafile' in tls")):
            self.write_config(f"  - {{name: cache, kind: redis, {keys}}}\n")
            outcome = self.refuse("points", status=CONFIG, says=says)
            self.assertIn("holdfast.yaml:6: ", outcome.err)
            self.assertNotIn("geheim", outcome.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
