"""What a journaled, supervised step costs beyond its own process."""
from compare.harness import median

STEPS = 100


def write_document(path):
    text = "# Runbook\n\n## Scenario 1: Nothing happened\n\n### Recovery\n\n"
    for number in range(1, STEPS + 1):
        text += f"{number}. **Step {number}**\n   ```bash {{id=s{number}}}\n   true\n   ```\n\n"
    path.write_text(text)


def measure(bench):
    directory = bench.directory("runbook")
    write_document(directory / "dr.md")
    (directory / "true.sh").write_text("true\n")
    (directory / "all.sh").write_text(f"for i in $(seq {STEPS}); do bash -euo pipefail {directory}/true.sh </dev/null >>{directory}/out 2>&1; done\n")
    bench.give(directory)
    ours, peer = [], []
    for number in range(bench.runs):
        ours.append(bench.run([bench.holdfast_program, "runbook", "run", directory / "dr.md", "1", "--runs", directory / f"runs{number}"]).seconds)
        peer.append(bench.run(["bash", directory / "all.sh"]).seconds)
    overhead_ms = (median(ours) - median(peer)) / STEPS * 1000
    bench.row("runbook: journal and supervisor, ms a step beyond bash", overhead_ms, median(peer) / STEPS * 1000, "bash", goal=5, absolute=True)
