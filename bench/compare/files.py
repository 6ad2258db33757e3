"""First backup, backup of an unchanged tree and restore, beside restic and borg."""
import random
import shutil
import subprocess
import time

from compare.harness import median, tree_bytes
from compare.postgres import Holdfast

SMALL_FILES = 100_000
SMALL_BYTES = 790_000_000


class Restic:
    def __init__(self, bench, source):
        self.bench, self.source = bench, source
        self.name = " ".join(bench.run(["restic", "version"]).output.split()[:2])

    def start_anew(self):
        self.home = self.bench.directory("restic")
        (self.home / "passphrase").write_text("bench\n")
        self.bench.give(self.home)
        self("init", "--repository-version", "2")

    def __call__(self, *words):
        return self.bench.program(self.name, ["restic", "-q", "--no-cache", "-r", self.home / "repository", "-p", self.home / "passphrase", *words])

    def backup(self, force=False):
        return self("backup", *(["--force"] if force else []), self.source)

    def restore(self, target):
        return self("restore", "latest", "--target", target)

    def stored(self):
        return tree_bytes(self.home / "repository")


class Borg:
    def __init__(self, bench, source):
        self.bench, self.source = bench, source
        self.name = bench.run(["borg", "--version"]).output.strip()
        self.number = 0

    def start_anew(self):
        self.home = self.bench.directory("borg")
        self("init", "--encryption=repokey-blake2", self.home / "repository")

    def __call__(self, *words, script=None):
        argv = ["borg", *words] if script is None else ["sh", "-c", script, "sh", *words]
        return self.bench.program(self.name, argv, {"BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": str(self.home)})

    def backup(self):
        self.number += 1
        return self("create", "--compression=zstd,3", f"{self.home}/repository::{self.number}", self.source)

    def restore(self, target):
        """It extracts into the directory that it runs in."""
        return self(target, f"{self.home}/repository::{self.number}", script='cd "$1" && borg extract "$2"')


def component(source):
    return f"  - name: data\n    kind: files\n    paths: [{source}]\n"


def make_small_files(bench):
    """Many small files whose contents compress about as source code and documents do."""
    directory = bench.directory("small")
    source = random.Random(1)
    words = [bytes(source.randbytes(source.randrange(3, 9)).hex(), "ascii") for _ in range(4000)]
    count = round(SMALL_FILES * bench.gigabytes / 4)
    size = SMALL_BYTES // SMALL_FILES
    for number in range(count):
        folder = directory / f"{number // 1000:03d}"
        if number % 1000 == 0:
            folder.mkdir()
        length = source.randrange(size // 4, size * 7 // 4)
        content = b" ".join(source.choices(words, k=length // 11 + 1))
        (folder / f"{number:06d}").write_bytes(content[:length])
    bench.give(directory)
    # As nearly all files are: what changed in the minute before a backup is read again by the next one.
    time.sleep(61)
    return directory


def measure_tree(bench, name, source, many_files):
    ours, restic, borg = Holdfast(bench, component(source)), Restic(bench, source), Borg(bench, source)
    first, again, back = ([], [], []), ([], [], []), ([], [], [])
    stored, durable, restored = ([], []), {ours: [], restic: [], borg: []}, []
    force = not many_files  # few large files are read again, many small ones are only looked at
    for _ in range(bench.runs):
        for tool in (ours, restic, borg):
            tool.start_anew()
        for times, action in zip(first, (lambda: ours("backup"), restic.backup, borg.backup)):
            bench.settle(source)
            times.append(action().seconds)
        stored[0].append(ours.stored())
        stored[1].append(restic.stored())
        read_again = ["backup", "--full"] if force else ["backup"]
        for times, action in zip(again, (lambda: ours(*read_again), lambda: restic.backup(force), borg.backup)):
            bench.settle(source)
            times.append(action().seconds)
        for times, tool, action in zip(back, (ours, restic, borg),
                                       (lambda to: ours("restore", "--component", "data", "--to", to), restic.restore, borg.restore)):
            target = bench.directory("restored", str(len(restored)))
            restored.append(target)
            bench.settle(tool.home)
            began = time.monotonic()
            times.append(action(target).seconds)
            subprocess.run(["sync", "-f", str(target)], check=True)
            durable[tool].append(time.monotonic() - began)
            if not many_files:
                shutil.rmtree(target)
    # An ext4 without a journal looks, whenever it makes a file, at every inode that was deleted in
    # the last minutes (recently_deleted() in fs/ext4/ialloc.c): tar, restic and holdfast need ten
    # times as long where a tree of 100,000 files has just been removed. So all go at the end.
    shutil.rmtree(bench.work / "restored")
    how = "nothing changed, all read again" if force else "nothing changed"
    for peer, number, goals in ((restic, 1, (0.5, 0.5, 0.7)), (borg, 2, (None, None, None))):
        bench.row(f"files: {name}, first: time, s", median(first[0]), median(first[number]), peer.name, goals[0])
        bench.row(f"files: {name}, {how}: time, s", median(again[0]), median(again[number]), peer.name, goals[1])
        bench.row(f"files: {name}, restore: time, s", median(back[0]), median(back[number]), peer.name, goals[2])
        bench.row(f"files: {name}, restore, until it is on the disk: time, s", median(durable[ours]), median(durable[peer]), peer.name, None)
    bench.row(f"files: {name}, first: bytes", median(stored[0]), median(stored[1]), restic.name, 1.0)


def measure(bench):
    large = bench.work / "pg"
    if not large.exists():
        from compare.server import Server

        server = Server(bench, "pg")
        server.load(bench.gigabytes)
        server.stop()
    measure_tree(bench, "one database directory", large, many_files=False)


def measure_small(bench):
    small = make_small_files(bench)
    measure_tree(bench, f"{round(SMALL_FILES * bench.gigabytes / 4)} small files", small, many_files=True)
