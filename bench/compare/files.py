"""First backup, backup of an unchanged tree and restore, beside restic and borg."""
import random
import shutil

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
        return self.bench.run(["restic", "-q", "--no-cache", "-r", self.home / "repository", "-p", self.home / "passphrase", *words])

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

    def __call__(self, *words):
        return self.bench.run(["borg", *words], {"BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": str(self.home)})

    def backup(self):
        self.number += 1
        return self("create", "--compression=zstd,3", f"{self.home}/repository::{self.number}", self.source)


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
    return directory


def measure_tree(bench, name, source, force):
    ours, restic, borg = Holdfast(bench, component(source)), Restic(bench, source), Borg(bench, source)
    first, again, back = ([], [], []), ([], [], []), ([], [])
    stored = ([], [])
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
        target = bench.directory("restored-ours")
        bench.settle(ours.home)
        back[0].append(ours("restore", "--component", "data", "--to", target).seconds)
        shutil.rmtree(target)
        target = bench.directory("restored-peer")
        bench.settle(restic.home)
        back[1].append(restic.restore(target).seconds)
        shutil.rmtree(target)
    how = "nothing changed, all read again" if force else "nothing changed"
    for peer, number, goals in ((restic, 1, (0.5, 0.5)), (borg, 2, (None, None))):
        bench.row(f"files: {name}, first: time, s", median(first[0]), median(first[number]), peer.name, goals[0])
        bench.row(f"files: {name}, {how}: time, s", median(again[0]), median(again[number]), peer.name, goals[1])
    bench.row(f"files: {name}, first: bytes", median(stored[0]), median(stored[1]), restic.name, 1.0)
    bench.row(f"files: {name}, restore: time, s", median(back[0]), median(back[1]), restic.name, 0.7)


def measure(bench):
    large = bench.work / "pg"
    if not large.exists():
        from compare.server import Server

        server = Server(bench, "pg")
        server.load(bench.gigabytes)
        server.stop()
    measure_tree(bench, "one database directory", large, force=True)
    small = make_small_files(bench)
    measure_tree(bench, f"{round(SMALL_FILES * bench.gigabytes / 4)} small files", small, force=False)
