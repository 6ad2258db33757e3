"""The processes and directories of the demonstration, and how to end them."""
import ctypes
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from demo.shared_memory import SharedMemory


class DemoError(Exception):
    pass


def wait_until(what, condition, deadline_s=60):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise DemoError(f"waited {deadline_s} s in vain for {what}")
        time.sleep(0.05)


def sql_count(machine, query):
    return int(machine.sql(machine.socket, query)[0][0])


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """A server's parent is gone when it is killed. In a container nobody may collect
    what is left of it, and its lock file would seem to belong to a live process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def children(parent):
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(words[1]) == parent:
                found.append(int(entry.name))
    return found


class Machine:
    """Servers and programs of one demonstration. As root they run as the account
    `postgres`, otherwise as the caller. What runs is noted in state.json."""

    def __init__(self, root):
        adopt_orphans()
        self.root = root
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.prefix = []
        if self.user:
            self.prefix = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        self.program = self._reachable_program()
        self.base = self._choose_base()
        self.state_path = self.base / "state.json"
        self.state = json.loads(self.state_path.read_text()) if self.state_path.exists() else {}
        self.socket = self.state.get("socket", "")

    # -- places

    def _can_reach(self, path):
        return subprocess.run(self.prefix + ["test", "-x", str(path)], check=False).returncode == 0

    def _elsewhere(self):
        return Path("/var/tmp") / ("holdfast-run-" + hashlib.sha256(str(self.root).encode()).hexdigest()[:12])

    def _choose_base(self):
        run = self.root / "run"
        if run.is_symlink():
            return run.resolve()
        if not self.prefix or self._can_reach(self.root):
            run.mkdir(exist_ok=True)
            return run
        elsewhere = self._elsewhere()
        elsewhere.mkdir(exist_ok=True)
        run.symlink_to(elsewhere)
        return elsewhere

    def _reachable_program(self):
        program = self.root / "build/holdfast"
        if self.prefix and program.exists() and not self._can_reach(program):
            copy = self._elsewhere().with_suffix(".bin")
            copy.mkdir(exist_ok=True)
            shutil.copy2(program, copy / "holdfast")
            copy.chmod(0o755)
            return copy / "holdfast"
        return program

    def clear(self):
        for entry in self.base.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.state = {"programs": {}, "clusters": [], "sockets": []}
        self.give(self.base)
        self.socket = self.make_socket_directory("main")
        self.state["socket"] = self.socket
        (self.base / "logs").mkdir()
        self.give(self.base / "logs")
        self._note()

    def give(self, path):
        """Makes a tree belong to whom the servers run as."""
        if self.user:
            subprocess.run(["chown", "-Rh", f"{self.user.pw_uid}:{self.user.pw_gid}", str(path)], check=True)

    def make_socket_directory(self, name):
        # A socket's path has room for 107 bytes only, so it can't lie below run/.
        path = tempfile.mkdtemp(prefix=f"holdfast-{name}-", dir="/tmp")
        self.give(path)
        self.state["sockets"].append(path)
        self._note()
        return path

    def _note(self):
        self.state_path.write_text(json.dumps(self.state, indent=1))

    def tool(self, name):
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        if not found:
            raise DemoError(f"{name} is missing: make deps")
        return found[-1]

    # -- commands

    def shown_base(self):
        return self.base.relative_to(self.root) if self.base.is_relative_to(self.root) else self.base

    def prefix_words(self):
        return " ".join(self.prefix) + " " if self.prefix else ""

    def run(self, argv):
        words = self.prefix + [str(word) for word in argv]
        done = subprocess.run(words, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode != 0:
            raise DemoError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def holdfast_argv(self, *words):
        return [self.program, "--config", self.base / "holdfast.yaml", *words]

    def holdfast(self, *words):
        return self.run(self.holdfast_argv(*words))

    def timed_holdfast(self, *words):
        began = time.monotonic()
        report = self.holdfast(*words).strip().splitlines()
        return report[-1].strip() if report else f"{time.monotonic() - began:.2f} s"

    def sql(self, socket, query):
        lines = self.run([self.tool("psql"), "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", socket,
                          "-U", "postgres", "-d", "postgres", "-c", query]).splitlines()
        return [line.split("\t") for line in lines]

    # -- programs that go on

    def background(self, name, argv):
        with open(self.base / "logs" / f"{name}.log", "ab") as log:
            process = subprocess.Popen(self.prefix + [str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=log,
                                       stderr=log, cwd="/", start_new_session=True)
        self.state["programs"][name] = process.pid
        self._note()

    def wait_background(self, name):
        pid = self.state["programs"].pop(name)
        wait_until(f"{name} to end", lambda: not self._still_runs(pid))
        self._note()

    def stop_background(self, name):
        """True when it still ran. A process that has got the number since is left alone."""
        pid = self.state["programs"][name]
        ours = alive(pid) and str(self.base) in command_line(pid)
        if ours:
            os.kill(pid, signal.SIGTERM)
            self.wait_background(name)
        else:
            del self.state["programs"][name]
            self._note()
        return ours

    @staticmethod
    def _still_runs(pid):
        reap(pid)
        return alive(pid)

    # -- Redis

    def start_cache(self, data, socket_directory):
        """Returns the path of the server's socket."""
        data, path = Path(data), Path(socket_directory) / "redis.sock"
        if not data.exists():
            data.mkdir(mode=0o700)
            self.give(data)
        self.background(data.name, ["redis-server", "--port", "0", "--unixsocket", path, "--dir", data, "--save", "",
                                    "--appendonly", "no", "--set-proc-title", "no", "--repl-ping-replica-period", "1",
                                    "--repl-backlog-size", "64mb"])
        wait_until(f"the server in {data}", lambda: self._answers(path))
        return path

    def _answers(self, path):
        asked = subprocess.run(self.prefix + ["redis-cli", "-s", str(path), "ping"], capture_output=True, text=True, check=False)
        return asked.stdout.strip() == "PONG"

    def cache(self, path, *words):
        return self.run(["redis-cli", "-s", path, *words]).strip().splitlines()

    def kill_cache(self, data):
        pid = self.state["programs"][Path(data).name]
        os.kill(pid, signal.SIGKILL)
        self.wait_background(Path(data).name)

    # -- clusters

    def init_database(self, data):
        self.run([self.tool("initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                  "--data-checksums"])

    def start_database(self, data, socket, settings=None, promoted=False):
        settings = {"listen_addresses": "", "unix_socket_directories": socket, "port": "5432", "max_wal_senders": "8",
                    "logging_collector": "off", "shared_buffers": "64MB", **(settings or {})}
        words = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        self.state["clusters"].append(str(data))
        self._note()
        log = self.base / "logs" / f"{Path(data).name}.log"
        try:
            self.run([self.tool("pg_ctl"), "-D", data, "-l", log, "-o", words, "-w", "-t", "60", "start"])
        except DemoError as error:
            raise DemoError(f"{error}\n{log.read_text()[-2000:] if log.exists() else ''}") from None
        if promoted:
            wait_until("the end of recovery", lambda: self.sql(socket, "select pg_is_in_recovery()") == [["f"]])

    def postmaster(self, data):
        try:
            pid = int((Path(data) / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if alive(pid) and str(data) in command_line(pid) else None

    def kill_database(self, data):
        """SIGKILL to the postmaster and to all that it started."""
        postmaster = self.postmaster(data)
        os.kill(postmaster, signal.SIGSTOP)
        victims = [postmaster, *children(postmaster)]
        shared = SharedMemory(victims)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)
        wait_until("the server to be dead", lambda: not any(self._still_runs(pid) for pid in victims))
        shared.free()
        self.state["clusters"].remove(str(data))
        self._note()

    def stop_database(self, data):
        if self.postmaster(data):
            self.run([self.tool("pg_ctl"), "-D", data, "-m", "fast", "-w", "stop"])
        if str(data) in self.state.get("clusters", []):
            self.state["clusters"].remove(str(data))
            self._note()

    def stop_all(self):
        """Ends what an earlier demonstration left; only what the state names and what still is ours."""
        ended = 0
        for name in list(self.state.get("programs", {})):
            ended += self.stop_background(name)
        for data in list(self.state.get("clusters", [])):
            ended += self.postmaster(data) is not None
            self.stop_database(data)
        for path in self.state.pop("sockets", []):
            shutil.rmtree(path, ignore_errors=True)
        if self.state:
            self._note()
        return ended
