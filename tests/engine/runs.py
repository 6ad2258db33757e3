"""What the campaigns share: plans, the chain of a journal, processes of a run."""
import hashlib
import json
import os
import signal
import sqlite3
import struct
import subprocess
import time
from pathlib import Path

DRIVER = Path(os.environ.get("HOLDFAST_DRIVER", "build-dev/tests/engine/engine_driver")).resolve()
PROGRAM = Path(os.environ["HOLDFAST_PROGRAM"]).resolve() if "HOLDFAST_PROGRAM" in os.environ else None
NEEDS_PERSON, NO_SPACE, LOCKED, FAILED, ALREADY = 40, 18, 14, 31, 5


def step(name, script, **more):
    """One step of a plan, as plan.h writes it."""
    return {"id": name, "title": name, "kind": "shell", "language": "bash", "script": script, "line": 1,
            "on_crash": "ask", "retries": 0, "optional": False, "hazards": [], **more}


def plan(steps):
    return {"version": 1, "document": "campaign.md", "document_sha256": "", "procedure": "campaign",
            "title": "Campaign", "choices": {}, "warnings": [], "steps": steps}


class Event:
    def __init__(self, row):
        self.seq, self.time_us, self.run, self.step, self.attempt, self.kind, self.text, self.digest = row
        self.payload = json.loads(self.text)


def events_of(directory):
    """The events of a journal, each held against the chain that docs/engine.md specifies."""
    database = sqlite3.connect(f"file:{directory}/journal.db?mode=ro", uri=True)
    rows = database.execute("SELECT seq, time_us, run, step, attempt, kind, payload, digest FROM event ORDER BY seq").fetchall()
    database.close()
    previous, events = bytes(32), []
    for row in rows:
        event = Event(row)
        chained = bytearray(previous)
        for field in (event.seq, event.time_us, event.run, event.step, event.attempt, event.kind, event.text):
            data = str(field).encode()
            chained += struct.pack("<Q", len(data)) + data
        previous = hashlib.sha256(chained).digest()
        assert event.digest == previous, f"event {event.seq} breaks the chain"
        assert event.seq == len(events) + 1, f"event {event.seq} follows {len(events)}"
        events.append(event)
    return events


def drive(*words, **options):
    return subprocess.Popen([DRIVER, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def command(*words, **options):
    return subprocess.Popen([PROGRAM, *map(str, words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def fields(pid):
    """(state, parent, session) of a process; None when it is gone."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return words[0], int(words[1]), int(words[3])
    except (OSError, IndexError):
        return None


def fork_servers(engine):
    """The process that starts supervisors for the engine."""
    return [pid for pid, words in command_lines() if words[1:2] == [b"__supervisors"] and (fields(pid) or (0, 0))[1] == engine]


def supervisors(directory):
    """The supervisors below a directory: their titles name it."""
    below = str(directory).encode()
    return [pid for pid, words in command_lines() if words[1:2] == [b"__supervise"] and words[2].startswith(below)]


def command_lines():
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            line = Path(f"/proc/{entry}/cmdline").read_bytes()
        except OSError:
            continue
        found.append((int(entry), line.replace(b"\0", b" ").split()))
    return found


def members(sessions):
    """Processes of these sessions, the leaders left out."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) not in sessions:
            what = fields(entry)
            if what and what[2] in sessions and what[0] != "Z":
                found.append(int(entry))
    return found


def kill(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def wait_until(what, condition, deadline_s=30):
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}")
        time.sleep(0.01)
