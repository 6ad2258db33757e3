#!/usr/bin/env python3
"""`holdfast runbook run|resume` with a person at a terminal: keys are pressed on a
pseudo-terminal when what they answer is on the screen."""
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cli"))
from harness import INTERRUPTED, PROGRAM, wait_until  # noqa: E402
from runs import events_of  # noqa: E402
from runs_by_command import RunbookCase  # noqa: E402

CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
DEADLINE_S = 50


class Terminal:
    """A pseudo-terminal that one program is shown on."""

    def __init__(self, argv, directory, environment, ignored=()):
        def log_in():
            os.login_tty(self.slave)
            for number in ignored:
                signal.signal(number, signal.SIG_IGN)
        self.master, self.slave = os.openpty()
        self.resize(24, 100)
        self.modes = termios.tcgetattr(self.slave)
        self.raw, self.answered, self.hung_up = bytearray(), 0, False
        self.process = subprocess.Popen([str(word) for word in argv], cwd=directory, env=environment,
                                        preexec_fn=log_in, pass_fds=(self.slave,))
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while not self.hung_up:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                return
            if not part:
                return
            self.raw += part

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def text(self):
        return CODES.sub("", bytes(self.raw[self.answered:]).decode(errors="replace"))

    def see(self, words):
        """Waits until these words are shown, since the last answer."""
        def there():
            return words in self.text() or self.process.poll() is not None
        wait_until(f"{words!r} on the screen", there, DEADLINE_S)
        assert words in self.text(), f"it ended with {self.process.poll()} without {words!r}:\n{self.text()}"

    def press(self, keys, when=None):
        if when is not None:
            self.see(when)
        self.answered = len(self.raw)
        os.write(self.master, keys.encode())

    def end(self):
        return self.process.wait(DEADLINE_S)

    def hang_up(self):
        """Both ends are closed: the program alone has the terminal still."""
        self.hung_up = True
        self.reader.join()  # it reads what is drawn next, and no more
        os.close(self.slave)
        os.close(self.master)

    def close(self):
        if self.hung_up:
            return
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.slave)  # the last end: the reader sees that nobody writes any more
        self.reader.join()
        os.close(self.master)


class Attended(RunbookCase):
    def write(self, *steps):
        super().write(*((f"Step {number}", *step) for number, step in enumerate(steps, 1)))

    def on_terminal(self, verb, *words, ignored=()):
        files = [self.document, "1"] if verb == "run" else []
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HOLDFAST_")}
        environment.update(EFFECTS=str(self.effects), TERM="xterm")
        terminal = Terminal([PROGRAM, "runbook", verb, *files, *words, "--runs", self.runs], self.scratch, environment, ignored)
        self.addCleanup(terminal.close)
        return terminal

    def effect(self, name):
        path = self.effects / name
        return path.read_text().split() if path.exists() else []

    def the_run(self):
        return next(path for path in self.runs.iterdir() if not path.name.startswith("."))

    def payloads(self, kind):
        return [event.payload for event in events_of(self.the_run()) if event.kind == kind]

    def assert_ends(self, terminal, status):
        """As a shell finds it: in the modes that it had, the cursor shown."""
        self.assertEqual(terminal.end(), status, terminal.text())
        self.assertEqual(termios.tcgetattr(terminal.slave), terminal.modes)
        wait_until("the cursor", lambda: terminal.raw.rfind(b"\x1b[?25h") > terminal.raw.rfind(b"\x1b[?25l"), DEADLINE_S)

    def test_a_person_approves_and_the_screen_may_change_its_size(self):
        self.write(("id=one", 'while [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done'), ("id=two approve=dba", "echo 2 >> $EFFECTS/two"))
        terminal = self.on_terminal("run")
        terminal.press("yes\n", when="run it? (yes, no)")
        terminal.see("one")
        wait_until("the step to begin", lambda: self.runs.exists() and list(self.runs.glob("2*/steps/one/*/began")))
        for size in ((10, 40), (5, 20), (50, 160)):
            terminal.answered = len(terminal.raw)
            terminal.resize(*size)
            wait_until("a screen of that size", lambda: b"\x1b[2J" in terminal.raw[terminal.answered:], DEADLINE_S)
        (self.effects / "go").touch()
        terminal.press("y", when="dba has to approve step two")
        self.assert_ends(terminal, 0)
        self.assertEqual(self.effect("two"), ["2"])
        self.assertEqual([payload["answer"] for payload in self.payloads("step.answered")], ["yes"])

    def test_a_step_is_skipped_with_a_reason(self):
        self.write(("id=one approve=dba", "echo 1 >> $EFFECTS/one"), ("id=two", "echo 2 >> $EFFECTS/two"))
        terminal = self.on_terminal("run", "--yes")
        terminal.press("knot tonight\n", when="dba has to approve step one")
        self.assert_ends(terminal, 0)
        self.assertEqual((self.effect("one"), self.effect("two")), ([], ["2"]))
        self.assertEqual([payload["why"] for payload in self.payloads("step.skipped")], ["not tonight"])

    def test_a_failed_step_is_tried_again(self):
        self.write(("id=one", 'echo 1 >> "$EFFECTS/one"\ntest -e "$EFFECTS/go"'),)
        terminal = self.on_terminal("run", "--yes")
        terminal.see("step one ended with status 1")
        (self.effects / "go").touch()
        terminal.press("r")
        self.assert_ends(terminal, 0)
        self.assertEqual(self.effect("one"), ["1", "1"])

    def test_who_leaves_comes_back_to_the_same_step(self):
        self.write(("id=one", 'while [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done\necho 1 >> "$EFFECTS/one"'),)
        terminal = self.on_terminal("run", "--yes")
        wait_until("the step to begin", lambda: self.runs.exists() and list(self.runs.glob("2*/steps/one/*/began")))
        terminal.press("q", when="one")
        self.assert_ends(terminal, INTERRUPTED)
        terminal.see("step one goes on without us")
        again = self.on_terminal("resume")
        again.see("one")
        (self.effects / "go").touch()
        self.assert_ends(again, 0)
        self.assertEqual(self.effect("one"), ["1"])

    def test_who_is_gone_with_their_terminal_has_left(self):
        wait = 'while [ ! -e "$EFFECTS/go" ]; do sleep 0.05; done\necho 1 >> "$EFFECTS/one"'
        for attributes, body, sees in (("id=one", wait, "one"), ("id=one approve=dba", "true", "dba has to approve step one")):
            self.write((attributes, body))
            terminal = self.on_terminal("run", "--yes", ignored=(signal.SIGHUP,))
            terminal.see(sees)
            terminal.hang_up()
            self.assertEqual(terminal.end(), INTERRUPTED)
            (self.effects / "go").touch()

    def test_all_questions_are_asked_before_the_first_step(self):
        names = [f"VALUE_{number}" for number in range(25)]
        self.write(("id=one", "".join(f'echo "${name}" >> "$EFFECTS/one"\n' for name in names)),)
        terminal = self.on_terminal("run")
        for number, name in enumerate(names):
            terminal.press(f"said-{number}\n", when=f"{name}\n> ")
        terminal.press("yes\n", when="run it? (yes, no)")
        self.assert_ends(terminal, 0)
        self.assertEqual(self.effect("one"), [f"said-{number}" for number in range(25)])

    def test_who_says_no_has_run_nothing(self):
        self.write(("id=one", "echo 1 >> $EFFECTS/one"),)
        terminal = self.on_terminal("run")
        terminal.press("no\n", when="run it? (yes, no)")
        self.assertEqual(terminal.end(), INTERRUPTED)
        self.assertFalse(self.runs.exists())
        self.assertEqual(self.effect("one"), [])


if __name__ == "__main__":
    unittest.main()
