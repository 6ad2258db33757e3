"""Reading and reviewing runbooks: no peer does it, the goal is a time.

HOLDFAST_SHARED, or the folder "shared" beside the repository, holds the two documents
that are measured; without them the part says so and ends."""
import os
import subprocess
import time
from pathlib import Path

from .harness import median


def measure(bench):
    shared = Path(os.environ.get("HOLDFAST_SHARED", bench.root.parent / "shared")) / "seeds"
    documents = sorted(shared.glob("*.txt")) if shared.is_dir() else []
    if not documents:
        print("runbooks: skipped, there are no documents in HOLDFAST_SHARED/seeds")
        return
    times = []
    for _ in range(max(bench.runs, 5)):
        begin = time.monotonic()
        for document in documents:
            subprocess.run([bench.root / "build/holdfast", "runbook", "lint", document], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.monotonic() - begin)
    bench.row("runbooks: reading and reviewing both, s", median(times), None, "", goal=0.05, absolute=True)
