"""What the suites of the command line share: a scratch directory, the program, a
private PostgreSQL."""
import errno
import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

# ctest ends a suite that takes too long with a signal: servers are then stopped
# as at any other end.
signal.signal(signal.SIGTERM, signal.default_int_handler)

PROGRAM = Path(os.environ["HOLDFAST_PROGRAM"]).resolve()
SOURCE = Path(os.environ["HOLDFAST_SOURCE_DIR"]).resolve()

# The registry of base/errors.h, as people see it.
USAGE, CONFIG, NOT_FOUND, ALREADY_EXISTS = 2, 3, 4, 5
NO_REPOSITORY, WRONG_PASSPHRASE, NEWER_FORMAT, DAMAGED = 10, 11, 12, 13
REFUSED, PERMISSION, NO_SPACE, IO, UNAVAILABLE, TIMEOUT = 16, 17, 18, 19, 20, 21
TARGET_NOT_EMPTY, TARGET_RUNNING, UNREACHABLE, MISMATCH = 22, 23, 24, 25
VERIFY_FAILED, INCOMPLETE, SOURCE_DAMAGED, INTERRUPTED = 26, 27, 28, 33


def wait_until(what, condition, deadline_s=240):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        time.sleep(0.02)


def as_user(name):
    """Words that make a command run as an unprivileged account (root only)."""
    account = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]


def is_root():
    return os.geteuid() == 0


def contents(directory):
    """Everything below a directory: names, kinds, bytes."""
    found = {}
    for path in sorted(Path(directory).rglob("*")):
        name = path.relative_to(directory).as_posix()
        if path.is_symlink():
            found[name] = "-> " + os.readlink(path)
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = "directory"
    return found


class Outcome:
    def __init__(self, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"exit status {self.status}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


class Case(unittest.TestCase):
    """One test with a scratch directory, a stack file and a files component."""

    def setUp(self):
        self.scratch = Path(tempfile.mkdtemp(prefix="holdfast-cli-"))
        self.scratch.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.scratch, ignore_errors=True)
        self.config = self.scratch / "holdfast.yaml"
        self.repository = self.scratch / "repository"
        self.data = self.scratch / "data"

    def small_disk(self, options):
        """A file system of its own, with the options of a tmpfs; skips where none can be mounted."""
        small = self.scratch / "small"
        small.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", small], capture_output=True, check=False).returncode != 0:
            self.skipTest("can't mount here")
        self.addCleanup(subprocess.run, ["umount", "--lazy", small], check=False)
        return small

    def fill(self, small):
        ballast = small / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError as error:
                self.assertEqual(error.errno, errno.ENOSPC)
        return ballast

    def holdfast(self, *words, expect=0, environment=None, prefix=(), config=True, cwd=None, stdin=subprocess.DEVNULL, program=PROGRAM):
        argv = [*prefix, str(program), *(["--config", str(self.config)] if config else []), *map(str, words)]
        env = {key: value for key, value in os.environ.items() if not key.startswith(("HOLDFAST_", "DB_", "PG", "BACKUP_", "REDIS_"))}
        env["HOLDFAST_DRILLS"] = str(self.scratch / "drills")
        env.update(environment or {})
        done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=cwd or self.scratch, stdin=stdin, check=False)
        outcome = Outcome(done)
        if expect is not None:
            self.assertEqual(outcome.status, expect, f"holdfast {' '.join(map(str, words))}\n{outcome}")
        return outcome

    def program(self, original=PROGRAM):
        """A program where the server's account can run it."""
        copy = self.scratch / original.name
        if not copy.exists():
            shutil.copy2(original, copy)
            copy.chmod(0o755)
        return copy

    def write_passphrase(self, text):
        """Where the server's account may read it, too, and not everybody."""
        path = self.scratch / "pass"
        path.touch(0o600)
        path.write_text(text)
        if is_root() and Server.BIN:
            os.chown(path, 0, pwd.getpwnam("postgres").pw_gid)
            path.chmod(0o640)

    def write_config(self, components=None, extra=""):
        self.write_passphrase("a passphrase\n")
        components = components or f"  - {{name: data, kind: files, paths: [{self.data}]}}\n"
        self.config.write_text(
            f"stack: test\nrepository:\n  location: {self.repository}\n  passphrase: file:{self.scratch}/pass\n"
            f"components:\n{components}{extra}")

    def path_with_program(self):
        """A PATH on which `holdfast` is the program under test, for steps of runbooks."""
        place = self.scratch / "programs"
        place.mkdir(exist_ok=True)
        if not (place / "holdfast").is_symlink():
            (place / "holdfast").symlink_to(PROGRAM)
        return f"{place}:{os.environ['PATH']}"

    def make_data(self):
        (self.data / "sub").mkdir(parents=True)
        (self.data / "a.txt").write_text("alpha\n")
        (self.data / "sub" / "b.bin").write_bytes(os.urandom(300_000))

    def make_stack(self, backup=True):
        self.make_data()
        self.write_config()
        self.holdfast("init")
        if backup:
            self.holdfast("backup")

    def refuse(self, *words, status, says="", whole=None, hint=None, **options):
        """The command fails with this status and these words (`whole`: no others), and nothing changes."""
        before = self.lasting_contents()
        outcome = self.holdfast(*words, expect=status, **options)
        self.assertIn(says, outcome.err, outcome)
        self.assertTrue(outcome.err.startswith("holdfast: "), outcome)
        if whole is not None:
            self.assertEqual(outcome.err, f"holdfast: {whole}\n" + (f"hint: {hint}\n" if hint else ""))
        if hint:
            self.assertIn("hint: " + hint, outcome.err, outcome)
        self.assertEqual(before, self.lasting_contents())
        return outcome

    def lasting_contents(self):
        """What is in the scratch directory but leases, which come and go, and what the machine notes of itself."""
        return {name: what for name, what in contents(self.scratch).items() if not name.startswith(("repository/leases", "drills"))}


class Server:
    """A private PostgreSQL below a directory; as root it runs as `postgres`."""

    BIN = next((path for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True) if (path / "initdb").exists()), None)

    def __init__(self, directory, settings=(), superuser="postgres"):
        self.directory, self.superuser = Path(directory), superuser
        self.directory.mkdir(parents=True)
        self.socket = tempfile.mkdtemp(prefix="hf-")
        self.data = self.directory / "db"
        self.prefix = as_user("postgres") if is_root() else []
        if is_root():
            account = pwd.getpwnam("postgres")
            for path in (self.directory, self.socket):
                os.chown(path, account.pw_uid, account.pw_gid)
        self.run("initdb", "-D", self.data, "-U", superuser, "-A", "trust", "-N", "-k")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as file:
            file.write("listen_addresses = ''\nfsync = off\nmax_wal_senders = 8\n" + "".join(f"{line}\n" for line in settings))

    def run(self, program, *words, check=True):
        argv = [*self.prefix, str(self.BIN / program), *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, cwd="/", check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
        return done

    def start(self, data=None):
        data = data or self.data
        self.run("pg_ctl", "-D", data, "-l", str(data) + ".log", "-o", f"-k {self.socket}", "-w", "-t", "60", "start")

    def stop(self, data=None, mode="fast"):
        self.run("pg_ctl", "-D", data or self.data, "-m", mode, "-w", "stop", check=False)

    def sql(self, query):
        done = self.run("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.socket, "-U", self.superuser, "-d", "postgres", "-c", query)
        return done.stdout.strip()

    @property
    def connection(self):
        return f"host={self.socket} user={self.superuser} dbname=postgres"

    def remove(self):
        shutil.rmtree(self.socket, ignore_errors=True)


# Server programs of other majors, as `scripts/servers` fetches them.
FETCHED = sorted(SOURCE.glob(".cache/pg/*/bin"), key=lambda path: int(path.parent.name))


def tests_of_each_major(case, loader):
    """The tests of a case whose BIN is where a fetched server's programs are, for each."""
    suite = unittest.TestSuite()
    for fetched in FETCHED if Server.BIN else []:
        suite.addTests(loader.loadTestsFromTestCase(type(f"Postgres{fetched.parent.name}", (case,), {"BIN": fetched})))
    if not suite.countTestCases():
        print("skipped: no other PostgreSQL is there: scripts/servers")
    return suite



class FetchedServer(Server):
    """A server of another major, asked with Debian's psql where it has none."""

    def __init__(self, fetched, directory, settings=()):
        self.fetched = fetched
        super().__init__(directory, settings)

    def run(self, program, *words, check=True):
        path = self.fetched / program
        return super().run(path if path.exists() else program, *words, check=check)


class Background:
    """A command that runs until it is told to end."""

    def __init__(self, argv, log, environment=None):
        self.log = Path(log)
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env={**os.environ, **(environment or {})})

    def end(self, with_signal=signal.SIGTERM, deadline_s=120):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        try:
            return self.process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.process.args} does not end: {self.log.read_text()}") from None
