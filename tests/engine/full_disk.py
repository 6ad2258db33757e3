#!/usr/bin/env python3
"""A disk that is full under the journal: whatever room there is, the engine stops before
it acts. Every step that left an effect was journaled as started; after room was made,
`resume` goes on and each step has run once.

Needs a small file system of its own, so it needs root: without, it is skipped."""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from runs import NO_SPACE, drive, events_of, plan, step

SKIPPED = 77  # SKIP_RETURN_CODE
SIZE_KB = 512
STEPS = 12


def filler(mount, leave_kb):
    """Takes what is free but for `leave_kb`; returns the file."""
    path = mount / "filler"
    stat = os.statvfs(mount)
    take = stat.f_bavail * stat.f_frsize - leave_kb * 1024
    if take > 0:
        path.write_bytes(bytes(take))
    return path


def one_round(leave_kb, scratch):
    mount, effects = scratch / f"disk{leave_kb}", scratch / f"effects{leave_kb}"
    mount.mkdir()
    effects.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", mount], check=True)
    try:
        words = plan([step(f"s{i}", f"echo talk; echo $HOLDFAST_ATTEMPT >> {effects}/s{i}") for i in range(STEPS)])
        (scratch / "plan.json").write_text(json.dumps(words))
        full = filler(mount, leave_kb)
        process = drive("run", mount / "runs", scratch / "plan.json")
        out, err = process.communicate()
        assert process.returncode in (0, NO_SPACE), f"{leave_kb} KiB: status {process.returncode}: {out} {err}"
        full.unlink(missing_ok=True)  # a reader of a WAL journal needs a little room too
        acted = sorted(path.name for path in effects.iterdir())
        directory = mount / "runs" / out.strip()
        started = [event.step for event in events_of(directory) if event.kind == "step.started"] if out.strip() else []
        assert set(acted) <= set(started), f"{leave_kb} KiB: {acted} acted, {started} are journaled"
        if process.returncode != 0 and started:
            again = drive("resume", mount / "runs", "latest")
            out, err = again.communicate()
            assert again.returncode == 0, f"{leave_kb} KiB, resumed: status {again.returncode}: {out} {err}"
        if started:
            for i in range(STEPS):
                attempts = (effects / f"s{i}").read_text().split()
                assert len(attempts) == 1, f"{leave_kb} KiB: s{i} ran {len(attempts)} times"
            events_of(directory)
        return process.returncode, len(started)
    finally:
        subprocess.run(["umount", "-l", mount], check=True)


def main():
    if os.geteuid() != 0:
        print("skipped: mounting a small file system needs root")
        return SKIPPED
    stopped = finished = 0
    with tempfile.TemporaryDirectory(prefix="holdfast-full-") as name:
        for leave_kb in range(0, SIZE_KB, 12):
            status, started = one_round(leave_kb, Path(name))
            stopped += status == NO_SPACE and started > 0
            finished += status == 0
    print(f"{stopped} runs were stopped by the full disk in mid-course, {finished} had room enough")
    if not stopped or not finished:
        print("the sizes meet no run in mid-course: change them")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
