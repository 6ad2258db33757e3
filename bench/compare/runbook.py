"""Runbooks: no peer reads one, so the first goal is a time; and what a journaled,
supervised step costs beyond its own process, beside bash.

HOLDFAST_SHARED, or the folder "shared" beside the repository, holds the two documents
that are read; without them that row is left out, and said so."""
import os
import subprocess
import time
from pathlib import Path

from compare.harness import BenchError, median

STEPS = 100


def measure_review(bench):
    shared = Path(os.environ.get("HOLDFAST_SHARED", bench.root.parent / "shared")) / "seeds"
    documents = sorted(shared.glob("*.txt")) if shared.is_dir() else []
    if not documents:
        print("runbook: reading is skipped, there are no documents in HOLDFAST_SHARED/seeds")
        return
    times = []
    for _ in range(max(bench.runs, 5)):
        begin = time.monotonic()
        # Both have findings: the status is that of a review.
        subprocess.run([bench.holdfast_program, "runbook", "lint", *documents], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       check=False)
        times.append(time.monotonic() - begin)
    bench.row("runbook: reading and reviewing both documents, s", median(times), None, "", goal=0.05, absolute=True)


def write_document(path):
    text = "# Runbook\n\n## Scenario 1: Nothing happened\n\n### Recovery\n\n"
    for number in range(1, STEPS + 1):
        text += f"{number}. **Step {number}**\n   ```bash {{id=s{number}}}\n   true\n   ```\n\n"
    path.write_text(text)


def measure_overhead(bench):
    directory = bench.directory("runbook")
    write_document(directory / "dr.md")
    (directory / "true.sh").write_text("true\n")
    (directory / "all.sh").write_text(
        f"for i in $(seq {STEPS}); do bash -euo pipefail {directory}/true.sh </dev/null >>{directory}/out 2>&1; done\n")
    bench.give(directory)
    ours, peer = [], []
    for number in range(bench.runs):
        run = bench.run([bench.holdfast_program, "runbook", "run", directory / "dr.md", "1", "--runs", directory / f"runs{number}"])
        if run.output.count(": done in ") != STEPS:
            raise BenchError(f"not all of {STEPS} steps were run:\n{run.output[-2000:]}")
        ours.append(run.seconds)
        peer.append(bench.run(["bash", directory / "all.sh"]).seconds)
    overhead_ms = (median(ours) - median(peer)) / STEPS * 1000
    bench.row("runbook: journal and supervisor, ms a step beyond bash", overhead_ms, median(peer) / STEPS * 1000, "bash", goal=5,
              absolute=True)


def measure(bench):
    measure_review(bench)
    measure_overhead(bench)
