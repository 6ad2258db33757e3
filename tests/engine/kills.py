#!/usr/bin/env python3
"""Runs of which the engine, the supervisors, the process that starts these, the steps, or
all of them are killed at random instants. After resuming: every finished step ran exactly once, no two attempts
ran at once, unknown ends were settled as on_crash says, the journal's chain holds, and
the result is that of an undisturbed run.

    HOLDFAST_SEED=N repeats one run; HOLDFAST_RUNS_COUNT=N makes so many (200).
"""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runs import ALREADY, FAILED, NEEDS_PERSON, PROGRAM, command, drive, events_of, fork_servers, kill, members, plan, step, supervisors

COUNT = int(os.environ.get("HOLDFAST_RUNS_COUNT", "200"))
WORKERS = 4
RESUMES_MAX = 40
COMMAND_SHARE = 4  # each fourth run is of the command itself
EXPECTED = ("step.unknown", "settled by on_crash", "settled by probe", "settled by campaign", "settled by retries")

# Each attempt says that it began and that it ended; two at once can't both have the lock.
SCRIPT = """
exec 9>>"$EFFECTS/{name}.lock"
flock -n 9 || echo "$HOLDFAST_ATTEMPT" >> "$EFFECTS/{name}.overlap"
echo "$HOLDFAST_ATTEMPT" >> "$EFFECTS/{name}.began"
echo "working on {name}"
{work}
printf %s "{name} done" > "$EFFECTS/{name}.state"
echo "$HOLDFAST_ATTEMPT" >> "$EFFECTS/{name}.ended"
"""


def campaign_plan():
    def one(name, on_crash, work="sleep 0.1", **more):
        return step(name, SCRIPT.format(name=name, work=work), on_crash=on_crash, retries=30, **more)

    return plan([
        one("first", "retry"),
        one("probed", "probe", verify='test -s "$EFFECTS/probed.ended"'),
        one("left", "retry", parallel="pair"),
        one("right", "ask", parallel="pair", work="sleep 0.12"),
        one("failing", "fail", work="seq 1000; sleep 0.1"),
        one("skipped", "skip"),
        one("quick", "ask", work=":"),
        one("last", "retry", work="(sleep 0.02; :) & wait"),
    ])


def campaign_document():
    """The same plan as a runbook."""
    text = "# Campaign\n\n## Scenario 1: Campaign\n\n**Symptoms:**\n- none\n\n### Recovery Procedure\n\n"
    for number, one in enumerate(campaign_plan()["steps"], 1):
        attributes = f"id={one['id']} on_crash={one['on_crash']} retries={one['retries']}"
        for key in ("verify", "parallel"):
            if key in one:
                attributes += f" {key}='{one[key]}'"
        text += f"{number}. **{one['title']}**\n   ```bash {{{attributes}}}\n"
        text += "".join(f"   {line}\n" for line in one["script"].strip().splitlines()) + "   ```\n\n"
    return text


def lines(path):
    return path.read_text().split() if path.exists() else []


class Campaign:
    def __init__(self, seed, scratch):
        self.random = random.Random(seed)
        self.effects, self.runs = scratch / "effects", scratch / "runs"
        self.effects.mkdir()
        self.plan_path, self.document = scratch / "plan.json", scratch / "plan.md"
        self.plan_path.write_text(json.dumps(campaign_plan()))
        self.document.write_text(campaign_document())
        self.by_command = PROGRAM is not None and seed % COMMAND_SHARE == 0
        self.environment = {**os.environ, "EFFECTS": str(self.effects)}
        self.kills = []

    def directory(self):
        found = [path for path in self.runs.iterdir() if not path.name.startswith(".")] if self.runs.exists() else []
        return found[0] if found else None

    def disturb(self, process):
        """Kills one or the other after a random while; true when the engine is among them."""
        what = self.random.choice(["engine", "engine", "supervisor", "server", "step", "all", "all"])
        try:
            process.wait(self.random.uniform(0, 0.6))
            return True
        except subprocess.TimeoutExpired:
            pass
        self.kills.append(what)
        servers = fork_servers(process.pid)
        if what in ("engine", "all"):
            process.kill()
        owners = supervisors(self.runs)
        below = members(set(owners))
        if what in ("step", "all"):
            kill(below)
        if what in ("supervisor", "all"):
            kill(owners)
        if what in ("server", "all"):
            kill(servers)
        return what in ("engine", "all")

    def settlements(self):
        """What a person who looks would say of steps whose end is not known."""
        last = {}
        for event in events_of(self.directory()):
            if event.kind.startswith("step."):
                last[event.step] = event.kind
        unknown = [name for name in ("right", "quick") if last.get(name) == "step.unknown"]
        return {name: "done" if lines(self.effects / (name + ".ended")) else "retry" for name in unknown}

    def start(self, again):
        """The driver of plans, or in a share of the runs the command that people use."""
        said = self.settlements() if again else {}
        if self.by_command:
            words = [word for name, what in said.items() for word in ("--" + what, name)]
            verb = ["resume", "latest"] if again else ["run", self.document, "1"]
            return command("runbook", *verb, *words, "--unattended", "--runs", self.runs, env=self.environment, cwd=self.effects)
        words = [f"{name}={what}" for name, what in said.items()]
        verb = ["resume", self.runs, "latest"] if again else ["run", self.runs, self.plan_path]
        return drive(*verb, *words, env=self.environment)

    def run(self):
        kills_left = self.random.randrange(1, 5)
        process = self.start(again=False)
        for _ in range(RESUMES_MAX):
            while kills_left > 0:
                kills_left -= 1
                if self.disturb(process):
                    break
            out, err = process.communicate()
            # Killed between the last event and its own end: there is nothing to resume.
            finished_before = process.returncode == ALREADY and "is finished: recovered" in err
            if process.returncode == 0 or finished_before:
                return
            # A verification that was killed has said nothing: the run stops, and resuming asks again.
            unanswered = process.returncode == FAILED and "gave no answer" in err + out
            if process.returncode not in (-9, NEEDS_PERSON) and not unanswered:
                raise AssertionError(f"exit status {process.returncode}: {out} {err}")
            process = self.start(again=self.directory() is not None)  # else killed before there was a run
        raise AssertionError(f"not finished after {RESUMES_MAX} resumes")

    def check(self):
        events = events_of(self.directory())
        self.seen = {event.kind for event in events}
        self.seen |= {"settled by " + event.payload["by"] for event in events if event.kind == "step.settled"}
        assert events[-1].kind == "run.finished" and events[-1].payload["outcome"] == "recovered", events[-1].kind
        for one in campaign_plan()["steps"]:
            self.check_step(one, [event for event in events if event.step == one["id"]])

    def check_step(self, one, events):
        name = one["id"]
        began, ended = lines(self.effects / f"{name}.began"), lines(self.effects / f"{name}.ended")
        assert not (self.effects / f"{name}.overlap").exists(), f"two attempts of {name} at once"
        assert (self.effects / f"{name}.state").exists() or one["on_crash"] == "skip", f"{name} left no state"
        assert len(set(began)) == len(began), f"an attempt of {name} began twice: {began}"
        by_kind = {}
        for event in events:
            by_kind.setdefault(event.kind, []).append(str(event.attempt))
        started = by_kind.get("step.started", [])
        assert set(began) <= set(started), f"{name}: began {began}, journaled {started}"
        assert not set(began) & set(by_kind.get("step.void", [])), f"{name}: a void attempt began"
        succeeded = [str(event.attempt) for event in events if event.kind == "step.finished" and event.payload["status"] == 0]
        unknown = by_kind.get("step.unknown", [])
        assert len(succeeded) <= 1 and set(succeeded) <= set(ended), f"{name}: succeeded {succeeded}, ended {ended}"
        assert set(ended) <= set(succeeded) | set(unknown) | self.killed_at_the_end(events), f"{name}: {ended}, {unknown}"
        done_at = [event.seq for event in events if (event.kind == "step.finished" and event.payload["status"] == 0)
                   or (event.kind == "step.settled" and event.payload["as"] == "done")]
        assert done_at, f"{name} is not done"
        assert all(event.seq < done_at[0] for event in events if event.kind == "step.started"), f"{name}: run after it was done"
        for event in events:
            if event.kind == "step.settled" and event.payload["by"] in ("on_crash", "probe"):
                allowed = {"retry": ["retry"], "skip": ["done"], "fail": ["failed"], "probe": ["done", "retry"]}
                assert event.payload["as"] in allowed[one["on_crash"]], f"{name}: settled {event.payload}"

    @staticmethod
    def killed_at_the_end(events):
        """Attempts that had said everything when the kill met their shell."""
        return {str(event.attempt) for event in events if event.kind == "step.finished" and event.payload["signal"] == 9}


def one_run(seed):
    scratch = Path(tempfile.mkdtemp(prefix="holdfast-kills-"))
    campaign = Campaign(seed, scratch)
    try:
        campaign.run()
        campaign.check()
        return campaign.kills, campaign.seen
    except BaseException as error:
        raise AssertionError(f"HOLDFAST_SEED={seed} after {campaign.kills} in {scratch}: {error}") from error
    finally:
        if sys.exc_info()[0] is None:
            shutil.rmtree(scratch, ignore_errors=True)


def main():
    seed = os.environ.get("HOLDFAST_SEED")
    seeds = [int(seed)] if seed else range(1, COUNT + 1)
    failed, tally, seen, lock = [], {}, {}, threading.Lock()

    def guarded(number):
        try:
            kills, kinds = one_run(number)
            with lock:
                for what in kills:
                    tally[what] = tally.get(what, 0) + 1
                for what in kinds:
                    seen[what] = seen.get(what, 0) + 1
        except AssertionError as error:
            with lock:
                failed.append(str(error))

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(guarded, seeds))
    print("\n".join(failed))
    print(f"{len(seeds)} runs, {len(failed)} wrong; kills: {tally}")
    print("runs in which it happened: " + ", ".join(f"{what} {count}" for what, count in sorted(seen.items())))
    # A campaign that never met these would show nothing.
    missing = [what for what in EXPECTED if what not in seen] if len(seeds) >= 200 else []
    if missing:
        print(f"never happened: {missing}")
    return 1 if failed or missing else 0


if __name__ == "__main__":
    sys.exit(main())
