#!/usr/bin/env python3
"""`holdfast runbook plan|run|resume|runs|report` as people and scripts use them."""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))
from harness import NOT_FOUND, PROGRAM, REFUSED, Background, Case, Server, wait_until  # noqa: E402
from redis_restore import SERVER as REDIS_SERVER, Redis  # noqa: E402
from runs import LOCKED, NEEDS_PERSON, events_of, fields, kill, supervisors  # noqa: E402

FAILED, INTERRUPTED = 31, 33
SECRET = "s3cr3t-Value/with+odd=chars"


def document(*steps, title="Database lost"):
    """A runbook with one scenario; each step is (title, attributes, text)."""
    text = "# Shop runbook\n\n- **RTO**: < 1 hour\n- **RPO**: < 5 minutes\n\n## Scenario 1: " + title + "\n\n"
    text += "**Symptoms:**\n- the database does not answer\n\n### Recovery Procedure\n\n"
    for number, (name, attributes, body) in enumerate(steps, 1):
        text += f"{number}. **{name}**\n   ```bash {{{attributes}}}\n"
        text += "".join(f"   {line}\n" for line in body.splitlines()) + "   ```\n\n"
    return text + "## Recovery Metrics\n\n| Metric | Target | Actual |\n|---|---|---|\n| Time to Recovery | < 1 hour | |\n| Data Loss | < 5 minutes | |\n"


def lives(pid):
    """A zombie has ended; when its entry goes is up to the first process of the machine."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class RunbookCase(Case):
    def setUp(self):
        super().setUp()
        self.runs, self.effects = self.scratch / "runs", self.scratch / "effects"
        self.effects.mkdir()
        self.document = self.scratch / "dr.md"

    def write(self, *steps):
        self.document.write_text(document(*steps))

    def runbook(self, verb, *words, expect=0, environment=None, **options):
        files = [self.document, "1"] if verb in ("plan", "run") else []
        return self.holdfast("runbook", verb, *files, *words, "--runs", self.runs, expect=expect, config=self.config.exists(),
                             environment={"EFFECTS": str(self.effects), **(environment or {})}, **options)

    def effect(self, name):
        path = self.effects / name
        return path.read_text().split() if path.exists() else []

    def the_run(self):
        return next(path for path in self.runs.iterdir() if not path.name.startswith("."))

    def assert_in_no_argv(self, secret):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                self.assertNotIn(secret.encode(), words, entry)

    def background(self, verb, *words, config=None):
        files = [str(self.document), "1"] if verb == "run" else []
        env = {**os.environ, "EFFECTS": str(self.effects)}
        return subprocess.Popen([PROGRAM, *(["--config", config] if config else []), "runbook", verb, *files, *words, "--runs", self.runs], cwd=self.scratch, env=env,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def count(self, name, more=""):
        return f'{more}\necho "$HOLDFAST_ATTEMPT" >> "$EFFECTS/{name}"'.strip()


class Runbooks(RunbookCase):
    def test_a_run_and_its_report(self):
        self.write(("Stop it", "id=stop", self.count("stop", "echo stopping")), ("Start it", "id=start", self.count("start")))
        outcome = self.runbook("run")
        self.assertRegex(outcome.out, r"(?m)^run \d{8}-\d{4}-[0-9a-f]{4}: ")
        self.assertIn("stop: done in", outcome.out)
        self.assertEqual(self.effect("stop") + self.effect("start"), ["1", "1"])
        report = self.runbook("report").out
        for part in ("## Targets and actuals", "| Time to Recovery | \\< 1 hour |", "met", "## Timeline", "stopping", "None: every step ran as it is written"):
            self.assertIn(part, report)
        page = self.runbook("report", "--format", "html").out
        self.assertTrue(page.startswith("<!doctype html>"))
        listed = self.runbook("runs", "--json").json()["runs"]
        self.assertEqual([run["outcome"] for run in listed], ["recovered"])
        self.assertEqual(self.runbook("report", "--json").json()["journal_digest"], events_of(self.the_run())[-1].digest.hex())

    def test_a_plan_runs_nothing(self):
        self.write(("Wipe", "id=wipe destructive=yes", self.count("wipe")), ("Next", "id=next timeout=5m", self.count("next")))
        outcome = self.runbook("plan")
        self.assertIn("wipe", outcome.out)
        self.assertIn("destroys", outcome.out)
        plan = self.runbook("plan", "--json").json()
        self.assertEqual([step["step"] for step in plan["steps"]], ["wipe", "next"])
        self.assertTrue(plan["steps"][0]["destructive"])
        self.assertEqual(plan["rto_seconds"], 3600)
        self.assertIn("it is ended after 5 min", self.runbook("plan", "--explain", "next").out)
        self.runbook("plan", "--explain", "nothing", expect=NOT_FOUND)
        self.assertEqual(list(self.effects.iterdir()), [])
        self.assertFalse(self.runs.exists())

    def test_a_failed_step_is_resumed_and_a_finished_one_is_not_repeated(self):
        self.write(("One", "id=one", self.count("one")), ("Two", "id=two", 'test -e "$EFFECTS/go"\n' + self.count("two")))
        outcome = self.runbook("run", expect=FAILED)
        self.assertIn("step two ended with status 1", outcome.err)
        (self.effects / "go").touch()
        self.runbook("resume")
        self.assertEqual((self.effect("one"), self.effect("two")), (["1"], ["2"]))
        self.runbook("resume", expect=5)

    def test_a_part_or_a_drill_meets_no_target(self):
        self.write(("One", "id=one", "true"), ("Two", "id=two", "true"))
        for words, says in ((("--only", "two"), "within, in part"), (("--drill",), "within, in a drill"), ((), "met")):
            self.runbook("run", *words)
            self.assertIn(f"| {says} |", self.runbook("report").out)

    def test_steps_can_be_chosen(self):
        steps = [(name, f"id={name}", self.count(name)) for name in ("a", "b", "c")]
        self.write(*steps)
        self.runbook("run", "--from", "b", "--skip", "c=not tonight")
        self.assertEqual((self.effect("a"), self.effect("b"), self.effect("c")), ([], ["1"], []))
        self.assertIn("not tonight", self.runbook("report").out)
        self.runbook("run", "--skip", "c", expect=2)

    def test_a_drill_leaves_out_what_says_so(self):
        self.write(("Page people", "id=page drill=skip", self.count("page")), ("Restore", "id=restore", self.count("restore")))
        self.runbook("run", "--drill")
        self.assertEqual((self.effect("page"), self.effect("restore")), ([], ["1"]))
        self.assertTrue(self.runbook("runs", "--json").json()["runs"][0]["drill"])

    def test_nothing_runs_while_a_question_is_open(self):
        self.write(("One", "id=one", 'echo "$WHERE" >> "$EFFECTS/one"'))
        outcome = self.runbook("run", expect=REFUSED)
        self.assertIn("--set WHERE=", outcome.err)
        self.assertFalse(self.runs.exists())
        self.runbook("run", "--set", "WHERE=here")
        self.assertEqual(self.effect("one"), ["here"])

    def test_unattended_refuses_before_the_first_step_what_needs_a_person(self):
        self.write(("One", "id=one", self.count("one")), ("Two", "id=two approve=dba", self.count("two")))
        refusal = self.runbook("run", "--unattended", "--json", expect=REFUSED).out.splitlines()
        self.assertEqual([json.loads(line)["schema"] for line in refusal], ["holdfast.run-obstacles/1"])
        outcome = self.runbook("run", "--unattended", expect=REFUSED)
        self.assertIn("two: waits for the approval of dba", outcome.out)
        self.assertEqual(self.effect("one"), [])

    def test_a_missing_program_is_found_before_the_first_step(self):
        self.write(("One", "id=one", self.count("one")), ("Two", "id=two", "no-such-program --help"))
        outcome = self.runbook("run", expect=REFUSED)
        self.assertIn("two: no-such-program is not installed", outcome.out)
        self.assertEqual(self.effect("one"), [])

    def test_what_destroys_needs_a_proven_point_and_its_host(self):
        self.write(("Wipe", "id=wipe destructive=yes", self.count("wipe")))
        host = socket.gethostname()
        self.runbook("run", "--target", host, expect=REFUSED)
        self.make_stack(backup=False)
        outcome = self.runbook("run", "--target", host, expect=REFUSED)
        self.assertIn("no recovery point is proven", outcome.err)
        self.assertEqual(self.effect("wipe"), [])
        self.holdfast("backup")
        self.runbook("run", "--target", "another-host", expect=REFUSED)
        self.assertEqual(self.effect("wipe"), [])
        # The repository is opened more than once; what is wrong with the environment is said once.
        outcome = self.runbook("run", "--target", host, environment={"HOLDFAST_LOG": "nonsense"})
        self.assertEqual(outcome.err.count("HOLDFAST_LOG is"), 1, outcome.err)
        self.assertIn("read whole and right", outcome.out)
        self.assertEqual(self.effect("wipe"), ["1"])

    def test_an_override_is_journaled(self):
        self.write(("Wipe", "id=wipe destructive=yes", self.count("wipe")))
        self.runbook("run", "--unattended", "--override", "wipe=it is a test machine")
        said = [event.payload["why"] for event in events_of(self.the_run()) if event.kind == "step.overridden"]
        self.assertEqual(said, ["it is a test machine"])
        self.assertIn("it is a test machine", self.runbook("report").out)

    def test_what_options_name_has_to_be_there(self):
        self.write(("One", "id=one", self.count("one")))
        for words in (("--override", "two=why"), ("--skip", "two=why"), ("--from", "two"), ("--only", "two")):
            outcome = self.runbook("run", *words, expect=NOT_FOUND)
            self.assertIn("two", outcome.err)
        self.assertFalse(self.runs.exists())

    def test_a_plan_shows_the_points_that_its_restores_use(self):
        self.make_stack()
        (self.data / "later.txt").write_text("later\n")
        self.holdfast("backup")
        points = sorted(self.holdfast("points", "--json").json()["points"], key=lambda point: point["time"])
        older, newest = points[0], points[-1]
        self.assertNotEqual(older["id"], newest["id"])
        self.write(("Restore", "id=restore component=data", 'holdfast restore --component data --at "$RECOVER_TO" --delta'))
        for instant, point in ((older["time"], older), ("latest", newest)):
            plan = self.runbook("plan", "--json", "--set", f"RECOVER_TO={instant}").json()
            self.assertEqual([(each["component"], each["point"]) for each in plan["recovery_points"]], [("data", point["id"])])
            self.assertIsNotNone(plan["expected_loss_seconds"])
            told = self.runbook("plan", "--set", f"RECOVER_TO={instant}", "--explain", "restore").out
            self.assertIn(f"before, the recovery point of data for --at {instant} is read whole", told)
        plan = self.runbook("plan", "--json").json()
        self.assertIsNone(plan["expected_loss_seconds"], "nobody knows to which instant")
        self.assertIn("only the shell knows the value of --at", plan["warnings"][-1])

        self.runbook("run", "--set", f"RECOVER_TO={older['time']}", "--target", socket.gethostname(), "--assume-programs",
                     environment={"PATH": self.path_with_program(), "HOLDFAST_CONFIG": str(self.config)})
        proven = [event.payload for event in events_of(self.the_run()) if event.kind == "point.verified"]
        self.assertEqual([event["point"] for event in proven], [older["id"]])

    def test_a_plan_tells_what_drills_measured(self):
        self.make_stack()
        self.write(("Restore", "id=restore component=data", "holdfast restore --delta"), ("Look", "id=look", "true"))
        registry = {"HOLDFAST_DRILLS": str(self.scratch / "drills")}
        self.assertEqual([step["drilled"] for step in self.runbook("plan", "--json", environment=registry).json()["steps"]], [[], []])
        self.holdfast("drill", environment=registry)
        drill = self.holdfast("drill", "--list", "--json", environment=registry).json()["drills"][-1]["evidence"]
        steps = self.runbook("plan", "--json", environment=registry).json()["steps"]
        self.assertEqual([(each["component"], each["drill"]) for each in steps[0]["drilled"]], [("data", drill["id"])])
        self.assertEqual(steps[1]["drilled"], [])
        for words in ((), ("--explain", "restore")):
            self.assertRegex(self.runbook("plan", *words, environment=registry).out,
                             rf"data measured \S.* on \d{{4}}-\d\d-\d\d \(drill {drill['id']}\)")

    def test_options_and_alternatives_are_chosen(self):
        self.document.write_text(
            "# Shop runbook\n\n## Scenario 1: Outage\n\n### Recovery Procedure\n\n"
            "#### Option A: Restart (5 minutes)\n```bash\necho a >> $EFFECTS/done\n# or\necho b >> $EFFECTS/done\n```\n\n"
            "#### Option B: Restore (30 minutes)\n```bash\necho c >> $EFFECTS/done\n```\n")
        outcome = self.runbook("run", expect=REFUSED)
        self.assertIn("--choose recovery-procedure=?: A (Restart), B (Restore)", outcome.err)
        outcome = self.runbook("run", "--choose", "A", expect=REFUSED)
        self.assertIn("--choose restart=?", outcome.err)
        self.runbook("run", "--choose", "C", expect=2)
        self.assertEqual(self.effect("done"), [])
        self.runbook("run", "--choose", "B")
        self.assertEqual(self.effect("done"), ["c"])
        report = self.runbook("report").out
        self.assertIn("| Chosen for recovery-procedure | B |", report)
        self.assertIn("None: every step ran as it is written", report)
        self.runbook("run", "--choose", "recovery-procedure=A", "--choose", "restart=2")
        self.assertEqual(self.effect("done"), ["c", "b"])

    def test_of_two_that_resume_a_killed_run_one_wins(self):
        self.write(("Wait", "id=wait", 'while [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done\n' + self.count("wait")))
        first = self.background("run")
        wait_until("the step to begin", lambda: self.runs.exists() and list(self.runs.glob("2*/steps/wait/*/began")))
        first.kill()
        first.communicate(timeout=60)
        both = [self.background("resume"), self.background("resume")]
        wait_until("one to give way", lambda: any(each.poll() is not None for each in both))
        loser, winner = sorted(both, key=lambda each: each.poll() is None)
        err = loser.communicate(timeout=60)[1]
        self.assertEqual(loser.returncode, LOCKED, err)
        self.assertIn(f"(pid {winner.pid})", err)
        (self.effects / "go").touch()
        out, err = winner.communicate(timeout=60)
        self.assertEqual(winner.returncode, 0, out + err)
        self.assertEqual(self.effect("wait"), ["1"])

    def test_two_resume_one_run(self):
        self.write(("Wait", "id=wait", 'while [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done\n' + self.count("wait")))
        first = self.background("run")
        wait_until("the step to begin", lambda: self.runs.exists() and list(self.runs.glob("2*/steps/wait/*/began")))
        outcome = self.runbook("resume", expect=LOCKED)
        self.assertIn(f"(pid {first.pid})", outcome.err)
        (self.effects / "go").touch()
        out, err = first.communicate(timeout=60)
        self.assertEqual(first.returncode, 0, out + err)

    def test_a_run_that_is_left_goes_on_and_is_taken_up(self):
        self.write(("Wait", "id=wait", 'while [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done\n' + self.count("wait")), ("After", "id=after", self.count("after")))
        process = self.background("run")
        wait_until("the step to begin", lambda: self.runs.exists() and list(self.runs.glob("2*/steps/wait/*/began")))
        process.terminate()
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, out + err)
        self.assertIn("step wait goes on without us", out)
        (self.effects / "go").touch()
        wait_until("the step to end on its own", lambda: list(self.runs.glob("2*/steps/wait/*/status")))
        self.runbook("resume")
        self.assertEqual((self.effect("wait"), self.effect("after")), (["1"], ["1"]))

    def test_a_timeout_ends_a_step_and_all_below_it(self):
        self.write(("Hang", "id=hang timeout=1s", "sleep 1000 & echo $! > \"$EFFECTS/pid\"; wait"))
        outcome = self.runbook("run", expect=FAILED)
        self.assertIn("ended by its timeout", outcome.out)
        self.assertFalse(lives(self.effect("pid")[0]))

    def test_undo_goes_backwards(self):
        undo = 'compensate="echo {0} >> $EFFECTS/undone"'
        self.write(("A", "id=a " + undo.format("a"), "true"), ("B", "id=b " + undo.format("b"), "true"), ("C", "id=c", "false"))
        self.runbook("run", expect=FAILED)
        outcome = self.runbook("resume", "--undo")
        self.assertIn("not undone, since the runbook gives no compensate= for them: c", outcome.err + outcome.out)
        self.assertEqual(self.effect("undone"), ["b", "a"])
        self.assertEqual(self.runbook("runs", "--json").json()["runs"][0]["outcome"], "undone")

    def test_what_a_timeout_ended_is_undone_when_a_person_says_so(self):
        self.write(("A", 'id=a timeout=1s compensate="rm $EFFECTS/made"', 'touch "$EFFECTS/made"; sleep 60'))
        self.runbook("run", expect=FAILED)
        outcome = self.runbook("resume", "--undo", expect=NEEDS_PERSON)
        self.assertIn("step a was ended by its timeout, and may have done something before", outcome.err)
        self.runbook("resume", "--undo", "--done", "a")
        self.assertFalse((self.effects / "made").exists())

    def test_rules_hold_in_a_drill(self):
        self.write(("Wipe", "id=wipe destructive=yes", self.count("wipe")))
        self.runbook("run", "--drill", "--target", socket.gethostname(), expect=REFUSED)
        self.assertEqual(self.effect("wipe"), [])

    def test_a_failure_is_settled_by_a_word(self):
        self.write(("One", "id=one", self.count("one") + "\nfalse"), ("Two", "id=two", self.count("two")))
        self.runbook("run", expect=FAILED)
        self.runbook("resume", "--done", "two", expect=REFUSED)
        self.runbook("resume", "--done", "one")
        self.assertEqual((self.effect("one"), self.effect("two")), (["1"], ["1"]))
        self.assertIn("counts as done by", self.runbook("report").out)

    def test_what_is_inherited_has_to_stay(self):
        self.write(("One", "id=one", 'echo "$LEVEL" >> "$EFFECTS/one"\ntest -e "$EFFECTS/go"'))
        self.runbook("run", environment={"LEVEL": "low-level"}, expect=FAILED)
        (self.effects / "go").touch()
        outcome = self.runbook("resume", environment={"LEVEL": "high-level"}, expect=REFUSED)
        self.assertIn("the environment's LEVEL is not what it was", outcome.err)
        self.runbook("resume", environment={"LEVEL": "low-level"})
        self.assertEqual(self.effect("one"), ["low-level", "low-level"])
        self.assertNotIn("low-level", "".join(event.text for event in events_of(self.the_run())))

    def test_a_secret_of_the_environment_is_cut_out(self):
        self.write(("One", "id=one", "env"))
        self.runbook("run", environment={"SOME_PASSWORD": SECRET})
        for path in self.runs.rglob("output"):
            self.assertIn("SOME_PASSWORD=[secret SOME_PASSWORD]", path.read_text())

    def test_a_secret_that_comes_in_two_parts_is_cut_out(self):
        (self.scratch / "secret").write_text(SECRET + "\n")
        self.write(("One", "id=one", 'printf %s "${API_TOKEN:0:9}"\n(sleep 0.5; echo "${API_TOKEN:9}") &'))
        self.runbook("run", "--set", f"API_TOKEN=file:{self.scratch}/secret")
        output = next(self.runs.rglob("output"))
        wait_until("what the step left to end", lambda: output.read_text())
        self.assertEqual(output.read_text(), "[secret API_TOKEN]\n")

    def test_a_secret_placeholder_is_refused(self):
        self.write(("One", "id=one", "login --password <db-password>"))
        for words in ((), ("--set", "db_password=hunter2"), ("--set", "db_password=env:HOME")):
            outcome = self.runbook("run", *words, expect=REFUSED)
            self.assertIn("let the document use a variable there", outcome.err)
        self.assertFalse(self.runs.exists())

    def test_a_step_has_the_callers_umask_and_plain_signals(self):
        self.write(("One", "id=one", 'umask > "$EFFECTS/umask"\ngrep SigIgn /proc/self/status > "$EFFECTS/signals"'))
        before = os.umask(0o027)
        ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        try:
            self.runbook("run")
        finally:
            os.umask(before)
            signal.signal(signal.SIGUSR2, ignored)
        self.assertEqual(self.effect("umask"), ["0027"])
        self.assertEqual(int(self.effect("signals")[1], 16), 0)

    def test_what_a_killed_supervisor_left_is_settled_by_a_word(self):
        self.write(("Wait", "id=wait", 'echo $$ >> "$EFFECTS/pid"\nif [ "$HOLDFAST_ATTEMPT" = 1 ]; then sleep 1000; fi'))
        process = self.background("run")
        wait_until("the step to begin", lambda: self.effect("pid"))
        process.kill()
        process.communicate(timeout=60)
        kill(supervisors(self.runs))
        step = self.effect("pid")[0]
        self.assertIsNotNone(fields(step))
        self.runbook("resume", "--retry", "wait")
        left = fields(step)
        self.assertTrue(left is None or left[0] == "Z", left)
        self.assertEqual(len(self.effect("pid")), 2)

    def test_events_for_machines(self):
        self.write(("One", "id=one", "true"))
        lines = [json.loads(line) for line in self.runbook("run", "--json").out.splitlines()]
        self.assertEqual(lines[-1]["schema"], "holdfast.run/1")
        self.assertEqual(lines[-1]["outcome"], "recovered")
        kinds = [line["kind"] for line in lines[:-1]]
        self.assertEqual(kinds, ["run.created", "run.driven", "step.started", "step.finished", "run.finished"])
        self.assertEqual([line["seq"] for line in lines[:-1]], [1, 2, 3, 4, 5])

    def test_a_journal_that_has_lost_events_repeats_nothing(self):
        for damage in (self.flip, Path.unlink):
            shutil.rmtree(self.effects)
            self.effects.mkdir()
            shutil.rmtree(self.runs, ignore_errors=True)
            wait = 'while [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done\n'
            self.write(("A", "id=a", self.count("a")), ("B", "id=b", self.count("b")), ("C", "id=c", self.count("c") + "\n" + wait))
            process = self.background("run")
            wait_until("the last step to begin", lambda: self.effect("c"))
            process.kill()
            process.communicate(timeout=60)
            damage(self.the_run() / "journal.db-wal")
            outcome = self.runbook("resume", "--unattended", expect=29)
            self.assertIn("has lost events", outcome.err)
            self.assertIn("Not in the journal", self.runbook("report").out)
            words = ("--done", "a", "--done", "b", "--retry", "c")
            self.assertIn("step c still runs", self.runbook("resume", "--unattended", *words, expect=29).err)
            (self.effects / "go").touch()
            wait_until("what still ran to end", lambda: list(self.runs.glob("2*/steps/c/*/status")))
            self.runbook("resume", "--unattended", expect=29)
            self.assertEqual([self.effect(name) for name in "abc"], [["1"], ["1"], ["1"]])
            self.runbook("resume", "--unattended", "--done", "a", "--done", "b", "--done", "c")
            self.assertEqual([self.effect(name) for name in "abc"], [["1"], ["1"], ["1"]])
            self.assertNotIn("a: begun", self.runbook("report").out)

    @staticmethod
    def flip(path):
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)

    def test_an_effect_is_undone_whatever_came_after_it(self):
        undo = 'compensate="echo undone >> $EFFECTS/undone"'
        self.write(("A", f'id=a verify="test -e $EFFECTS/nope" fence="test ! -e $EFFECTS/nofence" {undo}', "true"))
        self.runbook("run", expect=FAILED)
        (self.effects / "nofence").touch()
        self.runbook("resume", expect=REFUSED)
        self.runbook("resume", "--undo")
        self.assertEqual(self.effect("undone"), ["undone"])

    def test_a_pipe_that_is_closed_early_is_an_answer(self):
        self.write(("A", 'id=a when="seq 1 100000 | grep -q 5" verify="seq 1 100000 | grep -q 5"', self.count("a")))
        self.runbook("run")
        self.assertEqual(self.effect("a"), ["1"])

    def test_a_failure_in_front_of_a_pipe_is_no_answer_of_yes(self):
        self.write(("A", 'id=a fence="holdfast verify --point latest --repository /nowhere 2>&1 | tee $EFFECTS/log"', self.count("a")))
        path = {"PATH": self.path_with_program()}
        self.assertIn("step a starts behind a fence only", self.runbook("run", expect=REFUSED, environment=path).err)
        self.assertEqual(self.effect("a"), [])
        self.assertTrue(self.effect("log"))

    def test_a_configuration_that_is_named_has_to_be_right(self):
        self.write(("A", "id=a", self.count("a")))
        self.config.write_text("stack: [")
        self.runbook("run", expect=3)
        broken = self.scratch / "broken.yaml"
        broken.write_text("stack: [")
        self.config.unlink()
        for environment in ({"HOLDFAST_CONFIG": str(broken)}, {"HOLDFAST_CONFIG": str(self.scratch / "none.yaml")}):
            self.assertNotEqual(self.runbook("run", expect=None, environment=environment).status, 0)
        self.assertFalse(self.runs.exists())

    def test_an_incident_did_not_begin_in_the_future(self):
        self.write(("A", "id=a", self.count("a")))
        outcome = self.runbook("run", "--began", "2099-01-01T00:00:00Z", expect=2)
        self.assertIn("in the future", outcome.err)
        self.assertFalse(self.runs.exists())

    def test_a_step_has_one_word(self):
        self.write(("A", "id=a", "false"))
        self.runbook("run", expect=FAILED)
        for words in (("--done", "a", "--retry", "a"), ("--done", "a", "--skip", "a=why"), ("--retry", "a", "--skip", "a=why")):
            self.assertIn("both name step a", self.runbook("resume", *words, expect=2).err)

    def test_a_stray_file_among_the_runs_disturbs_nobody(self):
        self.write(("A", "id=a", "true"))
        self.runbook("run")
        (self.runs / "notes.txt").write_text("x")
        self.assertEqual(len(self.runbook("runs", "--json").json()["runs"]), 1)
        self.runbook("report")

    def test_where_steps_run_has_to_be_there(self):
        self.write(("A", "id=a", self.count("a")))
        outcome = self.runbook("run", "--workdir", self.scratch / "none", expect=REFUSED)
        self.assertIn(f"the folder {self.scratch}/none does not exist", outcome.out)
        self.write(("A", "id=a workdir=none", self.count("a")))
        self.runbook("run", expect=REFUSED)
        outcome = self.runbook("run", "--assume-programs", expect=FAILED)
        self.assertIn(f"can't go to {self.scratch}/none", outcome.out)

    def test_what_a_timeout_ended_has_no_status_of_its_own(self):
        self.write(("A", "id=a timeout=1s", "trap 'exit 0' TERM\nwhile true; do sleep 0.05; done"))
        self.runbook("run", expect=FAILED)
        self.assertIsNone(self.runbook("report", "--json").json()["steps"][0]["exit_status"])
        self.assertIn("failed: it was ended by its timeout", self.runbook("report").out)

    def test_the_files_of_a_run_are_its_owners_alone(self):
        self.write(("A", "id=a", "true"))
        self.runbook("run")
        for path in self.the_run().rglob("*"):
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)

    def test_the_reason_of_a_step_that_is_left_out_tells_no_secret(self):
        (self.scratch / "secret").write_text(SECRET + "\n")
        self.write(("A", "id=a", "test -n $API_TOKEN"), ("B", "id=b", "true"))
        self.runbook("run", "--set", f"API_TOKEN=file:{self.scratch}/secret", "--skip", f"b=the token is {SECRET}")
        self.assertNotIn(SECRET, "".join(event.text for event in events_of(self.the_run())) + self.runbook("report").out)
        self.assertIn("[secret API_TOKEN]", self.runbook("report").out.replace("\\", ""))

    def test_a_step_restores_from_the_stack_that_is_proven(self):
        self.make_stack()
        text = self.config.read_text()
        self.write(("Wipe", "id=wipe destructive=yes", 'printenv HOLDFAST_CONFIG >> "$EFFECTS/wipe"\n'
                    "holdfast restore --component data --delta"))
        path = {"PATH": self.path_with_program()}
        self.config.unlink()
        elsewhere = self.scratch / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "stack.yaml").write_text(text)
        self.holdfast("--config", "elsewhere/stack.yaml", "runbook", "run", self.document, "1", "--runs", self.runs, "--target",
                      socket.gethostname(), config=False, environment={"EFFECTS": str(self.effects), **path})
        self.assertEqual(self.effect("wipe"), [str(elsewhere / "stack.yaml")])
        proof = next(event.payload for event in events_of(self.the_run()) if event.kind == "point.verified")
        self.assertRegex(proof["repository"], "^[0-9a-f]{32}$")

    def test_the_options_of_a_run_hold_for_its_steps_and_for_resume(self):
        self.make_stack()
        moved = self.scratch / "moved"
        self.repository.rename(moved)
        self.write(("Wipe", "id=wipe destructive=yes", 'test -e "$EFFECTS/go"\nholdfast points --json > "$EFFECTS/points"'))
        run = ("--repository", "moved", "--passphrase", "file:pass")
        words = {"config": True, "environment": {"EFFECTS": str(self.effects), "PATH": self.path_with_program()}}
        self.holdfast(*run, "runbook", "run", self.document, "1", "--runs", self.runs, "--target", socket.gethostname(), expect=FAILED, **words)
        (self.effects / "go").touch()
        self.holdfast("runbook", "resume", "--runs", self.runs, "--target", socket.gethostname(), cwd=self.effects, **words)
        self.assertEqual(len(json.loads((self.effects / "points").read_text())["points"]), 1)
        created = events_of(self.the_run())[0]
        self.assertEqual((created.payload["repository"], created.payload["passphrase"]), (str(moved), f"file:{self.scratch}/pass"))
        self.assertNotIn("a passphrase", "".join(event.text for event in events_of(self.the_run())))

    def test_a_restore_of_another_stack_is_refused(self):
        self.make_stack()
        self.write(("Wipe", "id=wipe destructive=yes", self.count("wipe") + "\nholdfast --config other.yaml restore --delta"))
        words = ("--target", socket.gethostname(), "--assume-programs")
        outcome = self.runbook("run", *words, expect=REFUSED)
        self.assertIn("its restore names another stack than the one whose point is proven: --config other.yaml", outcome.out)
        self.assertEqual(self.effect("wipe"), [])

    def test_a_proof_of_one_repository_is_none_of_another(self):
        self.make_stack()
        self.write(("Wipe", "id=wipe destructive=yes", self.count("wipe") + '\ntest -e "$EFFECTS/go"\nholdfast points --json > "$EFFECTS/points"'))
        words = ("--target", socket.gethostname())
        path = {"PATH": self.path_with_program()}
        self.runbook("run", *words, expect=FAILED, environment=path)
        (self.effects / "go").touch()
        other = self.scratch / "other"
        self.holdfast("--repository", other, "init")
        outcome = self.runbook("resume", *words, expect=REFUSED, environment={**path, "HOLDFAST_REPOSITORY": str(other)})
        self.assertIn("HOLDFAST_REPOSITORY is set here, and was not when the run began", outcome.err)
        resume = ("runbook", "resume", "--runs", self.runs, *words)
        environment = {"EFFECTS": str(self.effects), **path}
        outcome = self.holdfast("--repository", other, *resume, expect=REFUSED, environment=environment)
        self.assertIn("step wipe destroys, and no recovery point is proven", outcome.err)
        self.assertEqual(self.effect("wipe"), ["1"])
        self.holdfast("--repository", other, "backup")
        self.holdfast("--repository", other, *resume, environment=environment)
        proofs = [event.payload["repository"] for event in events_of(self.the_run()) if event.kind == "point.verified"]
        self.assertEqual(len(set(proofs)), 2, proofs)

    def test_the_stack_that_a_run_gives_is_no_open_question(self):
        self.make_stack()
        self.write(("A", "id=a", 'echo "$HOLDFAST_CONFIG" > "$EFFECTS/a"'))
        self.assertNotIn("HOLDFAST_CONFIG", self.runbook("plan").out)
        self.runbook("run")
        self.assertEqual(self.effect("a"), [str(self.config)])

    def test_a_password_in_a_url_is_nowhere(self):
        url = "postgres://app:hun%74er22@db/shop"
        self.write(("Use it", "id=use", 'echo "$DATABASE_URL"; echo hunter"22"; echo "pass ${DATABASE_URL:15:10}"'))
        refused = self.runbook("run", "--set", f"DATABASE_URL={url}", expect=REFUSED)
        self.assertIn("DATABASE_URL is a secret, for the password in it", refused.err)
        text = self.document.read_text()
        self.document.write_text(text.replace("## Scenario", f"## Environment\n\n```bash\nDATABASE_URL={url}\n```\n\n## Scenario", 1))
        self.runbook("run", expect=REFUSED)
        (self.scratch / "url").write_text(url)
        self.runbook("run", "--set", f"DATABASE_URL=file:{self.scratch}/url")
        self.assertIn("pass [secret password of DATABASE_URL]", self.runbook("report").out.replace("\\", ""))
        for path in self.the_run().rglob("*"):
            if path.is_file() and path.name not in ("runbook.md", "script"):
                for word in (b"hunter22", b"hun%74er22"):
                    self.assertNotIn(word, path.read_bytes(), path)

    def test_a_secret_is_nowhere(self):
        (self.scratch / "secret").write_text(SECRET + "\n")
        self.write(("Use it", "id=use", 'echo "the token is $API_TOKEN"\nprintf %s "$API_TOKEN" | base64\n'
                    'printf %s "$API_TOKEN" > "$EFFECTS/token"\nwhile [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done'))
        self.runbook("run", "--set", f"API_TOKEN={SECRET}", expect=REFUSED)
        process = self.background("run", "--set", f"API_TOKEN=file:{self.scratch}/secret", "--json")
        wait_until("the step to use the secret", lambda: (self.effects / "token").exists())
        self.assert_in_no_argv(SECRET)
        (self.effects / "go").touch()
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, out + err)
        self.assertEqual((self.effects / "token").read_text(), SECRET)
        told = out + err + self.runbook("report").out + self.runbook("report", "--format", "html").out + self.runbook("report", "--json").out
        self.assertIn("[secret API_TOKEN]", self.runbook("report").out.replace("\\", ""))
        self.assertNotIn(SECRET, told)
        for path in self.runs.rglob("*"):
            if path.is_file():
                self.assertNotIn(SECRET.encode(), path.read_bytes(), path)


@unittest.skipUnless(REDIS_SERVER, "redis-server is not installed")
class Input(RunbookCase):
    def test_lines_for_redis_reach_it(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Redis(self.scratch / "redis", "--port", str(port))
        self.addCleanup(server.stop)
        server.ask("SET", "old", "1")
        self.write(("Load", "id=load", f"redis-cli -h 127.0.0.1 -p {port}\nFLUSHALL\nSET greeting 'it works'\nRPUSH list a b"))
        self.runbook("run", "--unattended", expect=REFUSED)
        self.assertEqual(server.ask("KEYS", "*"), "old")
        self.runbook("run", "--unattended", "--override", "load=a cache")
        self.assertEqual(sorted(server.ask("KEYS", "*").split()), ["greeting", "list"])
        self.assertEqual(server.ask("GET", "greeting"), "it works")
        self.assertEqual(server.ask("LRANGE", "list", "0", "-1").split(), ["a", "b"])


@unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
class Sql(RunbookCase):
    def setUp(self):
        super().setUp()
        self.server = Server(self.scratch / "server")
        self.addCleanup(self.server.remove)
        self.server.start()
        self.addCleanup(self.server.stop, mode="immediate")
        self.server.sql(f"create role app login password '{SECRET}'; create table public.note (text text); grant all on public.note to app")
        rules = self.server.data / "pg_hba.conf"
        rules.write_text("local all app scram-sha-256\n" + rules.read_text())
        self.server.sql("select pg_reload_conf()")
        (self.scratch / "secret").write_text(SECRET + "\n")
        self.component("db")

    def component(self, *names):
        connection = self.server.connection.replace("user=postgres", "user=app")
        self.write_config("".join(f"  - {{name: {name}, kind: postgres, connection: {connection}, "
                                  f"password: 'file:{self.scratch}/secret'}}\n" for name in names))

    def write(self, *steps):
        self.document.write_text(document(*steps).replace("```bash", "```sql"))

    def notes(self):
        return self.server.sql("select text from public.note order by 1").split()

    def test_statements_are_run_and_the_password_is_nowhere(self):
        self.write(("Note", "id=note", "SELECT pg_advisory_lock(7);\nINSERT INTO public.note VALUES ('one'), ('two');"))
        held = Background([*self.server.prefix, Server.BIN / "psql", "-Xq", "-h", self.server.socket, "-U", "postgres", "-c",
                           "select pg_advisory_lock(7)", "-c", "select pg_sleep(1000)"], self.scratch / "held")
        self.addCleanup(held.end, signal.SIGKILL)
        locks = "select count(*) from pg_locks where locktype = 'advisory' and granted = '{}'"
        wait_until("the lock", lambda: self.server.sql(locks.format("t")) == "1")
        process = self.background("run", config=self.config)
        wait_until("the step to wait", lambda: self.server.sql(locks.format("f")) == "1")
        self.assert_in_no_argv(SECRET)
        held.process.kill()
        self.server.sql("select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted")
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, out + err)
        self.assertEqual(self.notes(), ["one", "two"])
        told = out + err + self.runbook("report").out + self.runbook("report", "--json").out
        self.assertNotIn(SECRET, told)
        for path in self.runs.rglob("*"):
            if path.is_file():
                self.assertNotIn(SECRET.encode(), path.read_bytes(), path)

    def test_a_statement_that_fails_ends_the_step(self):
        self.write(("Note", "id=note", "INSERT INTO public.note VALUES ('one');\nSELECT * FROM public.missing;\nINSERT INTO public.note VALUES ('three');"))
        self.runbook("run", expect=FAILED)
        self.assertNotIn("three", self.notes())
        self.assertIn('relation "public.missing" does not exist', self.runbook("report").out.replace("\\", ""))

    def test_of_two_servers_one_has_to_be_named(self):
        self.component("db", "shop")
        self.write(("Note", "id=note", "INSERT INTO public.note VALUES ('one');"))
        outcome = self.runbook("run", expect=3)
        self.assertIn("the stack has 2 such PostgreSQL components", outcome.err)
        self.assertFalse(self.runs.exists())
        self.write(("Note", "id=note component=shop", "INSERT INTO public.note VALUES ('one');"))
        self.runbook("run")
        self.assertEqual(self.notes(), ["one"])


if __name__ == "__main__":
    unittest.main()
