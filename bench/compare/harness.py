"""Runs commands under measurement, keeps the rows, and ends what it started."""
import os
import platform
import pwd
import shutil
import statistics
import subprocess
import time
from pathlib import Path


class BenchError(Exception):
    pass


class Measured:
    def __init__(self, seconds, rss_bytes, cpu_seconds, output):
        self.seconds = seconds
        self.rss_bytes = rss_bytes
        self.cpu_seconds = cpu_seconds
        self.output = output


def tree_bytes(directory):
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            total += os.lstat(os.path.join(folder, name)).st_size
    return total


class Bench:
    """As root, everything that is measured runs as the account `postgres`, ours and
    the peers' alike; otherwise as the caller."""

    def __init__(self, root, work, gigabytes, runs):
        self.root, self.work, self.gigabytes, self.runs = root, work, gigabytes, runs
        self.rows = []
        self.peak_rss_bytes = 0
        self.peak_rss_of = {}
        self.ended = []
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self.prefix = []
        if self.user:
            self.prefix = ["setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups"]
        self.holdfast_program = root / "build/holdfast"

    def prepare(self):
        if self.work.exists():
            shutil.rmtree(self.work)
        self.work.mkdir(parents=True)
        self.give(self.work)
        self.machine = machine_description(self.work)
        print(f"{self.machine}; {self.gigabytes:g} GB, {self.runs} runs of each row; in {self.work}", flush=True)

    def at_end(self, action):
        self.ended.append(action)

    def end(self):
        while self.ended:
            self.ended.pop()()
        shutil.rmtree(self.work, ignore_errors=True)

    def give(self, path):
        if self.user:
            subprocess.run(["chown", "-R", f"{self.user.pw_uid}:{self.user.pw_gid}", str(path)], check=True)

    def directory(self, *names):
        """An empty directory; what was there is removed."""
        path = self.work.joinpath(*names)
        if path.exists():
            shutil.rmtree(path)
        path.mkdir(parents=True)
        path.chmod(0o700)
        self.give(path)
        return path

    def tool(self, name):
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
        if not found:
            raise BenchError(f"{name} is missing: make deps")
        return found[-1]

    def run(self, argv, environment=None):
        """Runs to the end; wall time and the largest resident set of any of its processes."""
        words = self.prefix + [str(word) for word in argv]
        log = self.work / "output"
        with open(log, "wb") as output:
            began = time.monotonic()
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                                       env={**os.environ, "HOME": str(self.work), "LC_ALL": "C.UTF-8", **(environment or {})})
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        text = log.read_text(errors="replace")
        if process.returncode != 0:
            raise BenchError(f"{' '.join(words)} ended with {process.returncode}:\n{text[-4000:]}")
        return Measured(seconds, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime, text)

    def settle(self, *directories):
        """Before a measurement: what was written before is on the disk, and what will be read is in memory."""
        os.sync()
        for directory in directories:
            subprocess.run(["find", str(directory), "-type", "f", "-exec", "cat", "{}", "+"], stdout=subprocess.DEVNULL, check=True)

    def holdfast(self, config, *words):
        measured = self.run([self.holdfast_program, "--config", config, *words])
        self.peak_rss_bytes = max(self.peak_rss_bytes, measured.rss_bytes)
        return measured

    def program(self, name, argv, environment=None):
        """A peer's run, which its name keeps the largest resident set of."""
        measured = self.run(argv, environment)
        self.peak_rss_of[name] = max(self.peak_rss_of.get(name, 0), measured.rss_bytes)
        return measured

    def write_config(self, directory, component):
        """holdfast.yaml with one component in `directory`; returns its path."""
        (directory / "passphrase").write_text("a passphrase for the comparison\n")
        config = directory / "holdfast.yaml"
        config.write_text(
            f"stack: bench\nrepository:\n  location: {directory}/repository\n  passphrase: file:{directory}/passphrase\n"
            f"  compression: 3\nthreads: 2\ncomponents:\n{component}"
        )
        self.give(directory)
        return config

    def row(self, name, ours, peer, peer_name, goal, absolute=False):
        """A goal is the largest ratio that is good (ours / peer) or, absolute, the largest value of ours.
        A goal with a minus sign is the smallest ratio that is good."""
        ratio = None if peer in (None, 0) else ours / peer
        judged = ours if absolute else ratio
        met = None
        if goal is not None and judged is not None:
            met = judged >= -goal if goal < 0 else judged <= goal
        self.rows.append({"row": name, "ours": round(ours, 3), "peer": None if peer is None else round(peer, 3),
                          "peer_name": peer_name, "ratio": None if ratio is None else round(ratio, 3), "goal": goal, "met": met})
        self._print(self.rows[-1])

    @staticmethod
    def _print(row):
        def figure(value):
            if value is None:
                return "-"
            return f"{value / 1e6:.1f} M" if value > 1e6 else f"{value:.2f}"

        goal = "" if row["goal"] is None else (f">= {-row['goal']:g}" if row["goal"] < 0 else f"<= {row['goal']:g}")
        met = {True: "met", False: "NOT MET", None: ""}[row["met"]]
        print(f"{row['row']:<62} {figure(row['ours']):>10} {figure(row['peer']):>10} {figure(row['ratio']):>7}  {goal:<8} {met:<8} {row['peer_name']}",
              flush=True)

    def show(self):
        print()
        for row in self.rows:
            self._print(row)
        judged = [row for row in self.rows if row["met"] is not None]
        print(f"\n{sum(row['met'] for row in judged)} of {len(judged)} goals are met")


def median(values):
    return statistics.median(values)


def machine_description(work):
    """Processor, memory, kernel, and the file system that holds `work`."""
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal"))) // 1024 // 1024
    file_system = subprocess.run(
        ["findmnt", "--noheadings", "--output", "FSTYPE,OPTIONS", "--target", str(work)],
        check=True, capture_output=True, text=True,
    ).stdout.split()
    return (
        f"{model}, {os.cpu_count()} cores, {memory} GB, Linux {platform.release()},"
        f" {file_system[0]} ({file_system[1]})"
    )


def write_speed_seconds(bench, source):
    """Time to write the bytes of a directory's files into one file, durably: what a restore can't beat."""
    os.sync()
    target = bench.work / "written"
    block = bytearray(os.urandom(1 << 20))
    left = tree_bytes(source)
    began = time.monotonic()
    with open(target, "wb", buffering=0) as file:
        while left > 0:
            file.write(block[: min(left, len(block))])
            left -= len(block)
        os.fsync(file.fileno())
    seconds = time.monotonic() - began
    target.unlink()
    return seconds
