"""Help, manual and completion: complete, readable at 80 columns, as documented."""
import json
import os
import re
import shutil
import subprocess
import unittest

from harness import PROGRAM, SOURCE, USAGE, Case


def commands():
    """Every command that can be run: ["backup"], ["key", "add"], ..."""
    found = []

    def visit(path):
        text = subprocess.run([PROGRAM, *path, "--help"], capture_output=True, text=True, check=True).stdout
        listed = re.search(r"^Commands:\n(.*?)\n\n", text, re.MULTILINE | re.DOTALL)
        if not listed:
            found.append(path)
            return
        for name in re.findall(r"^  ([a-z-]+) ", listed.group(1), re.MULTILINE):
            visit([*path, name])

    visit([])
    return found


COMMANDS = commands()


class Help(Case):
    def test_every_command_has_a_summary_a_usage_and_examples(self):
        self.assertGreater(len(COMMANDS), 20)
        for command in COMMANDS:
            outcome = self.holdfast(*command, "--help", config=False)
            with self.subTest(command=command):
                self.assertIn("Usage: holdfast " + " ".join(command), outcome.out)
                self.assertIn("\nExamples:\n  ", outcome.out)
                self.assertEqual(outcome.err, "")
                wide = [line for line in outcome.out.splitlines() if len(line) > 80]
                self.assertEqual(wide, [])

    def test_help_is_a_word_too(self):
        for words in ([], ["backup"], ["wal", "get"]):
            self.assertEqual(self.holdfast("help", *words, config=False, cwd="/").out, self.holdfast(*words, "--help", config=False).out)
        self.holdfast("help", "nothing", config=False, expect=USAGE)

    def test_every_argument_has_a_name(self):
        for words in (["runbook", "run"], ["runbook", "plan"], ["runbook", "resume"], ["runbook", "report"], ["mount"], ["explain"]):
            usage = self.holdfast(*words, "--help", config=False).out.split("Usage: ")[1].splitlines()[0]
            self.assertRegex(usage, r"^holdfast( [a-z]+)+( \[OPTIONS\])?( \[?[A-Z]+\]?)+$", usage)

    def test_help_needs_no_configuration_and_no_argument(self):
        self.assertIn("Usage: holdfast wal get [OPTIONS] NAME PATH", self.holdfast("wal", "get", "--help", config=False).out)
        self.assertIn("Commands:", self.holdfast(config=False).out)

    def test_documented_commands_are_those_of_the_program(self):
        made = self.holdfast("man", "--markdown", config=False).out
        self.assertEqual((SOURCE / "docs/commands.md").read_text(), made, "run: build/holdfast man --markdown > docs/commands.md")

    def test_manual_page_is_that_of_the_program(self):
        made = self.holdfast("man", config=False).out
        self.assertEqual((SOURCE / "docs/man/holdfast.1").read_text(), made, "run: build/holdfast man > docs/man/holdfast.1")

    @unittest.skipUnless(shutil.which("man"), "man is not installed")
    def test_manual_page_is_good_roff(self):
        page = self.holdfast("man", config=False).out
        done = subprocess.run(["man", "--warnings", "-l", "-"], input=page, capture_output=True, text=True, check=False,
                              env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("holdfast wal get", done.stdout)

    def test_documented_documents_exist(self):
        text = (SOURCE / "docs/json.md").read_text()
        schemas = set(re.findall(r"holdfast\.([a-z-]+)/1", text))
        sources = "".join(path.read_text() for path in (SOURCE / "src/cli").glob("*.cc"))
        set_ones = set(re.findall(r'set_document\("([a-z-]+)"|"schema", "holdfast\.([a-z-]+)/1"', sources))
        set_ones = {document or line for document, line in set_ones}
        self.assertEqual(set_ones - schemas, set())
        self.assertEqual(schemas - set_ones, set())

    def test_version(self):
        self.assertRegex(self.holdfast("--version", config=False).out, r"^holdfast \d+\.\d+\.\d+\n$")
        self.assertEqual(json.loads(self.holdfast("version", "--json", config=False).out)["schema"], "holdfast.version/1")


class Completion(Case):
    def complete(self, *words):
        script = self.holdfast("completion", "bash", config=False).out
        line = " ".join(f"'{word}'" for word in words)
        probe = f"{script}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _holdfast; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "--norc", "-c", probe], capture_output=True, text=True, check=True, cwd=self.scratch)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash(self):
        self.assertIn("restore", self.complete("holdfast", "res"))
        self.assertEqual(self.complete("holdfast", "key", "ro"), ["rotate"])
        self.assertEqual(self.complete("holdfast", "wal", "receive", "--synch"), ["--synchronous"])
        self.assertIn("--dry-run", self.complete("holdfast", "--config", "x.yaml", "restore", "--d"))
        (self.scratch / "folder").mkdir()
        self.assertEqual(self.complete("holdfast", "restore", "--to", "fol"), ["folder"])

    def test_other_shells_read_theirs(self):
        for shell in ("zsh", "fish"):
            script = self.holdfast("completion", shell, config=False).out
            for command in COMMANDS:
                self.assertIn(command[-1], script)
            if shutil.which(shell):
                done = subprocess.run([shell, "-n", "/dev/stdin"], input=script, capture_output=True, text=True, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""), shell)


if __name__ == "__main__":
    unittest.main(verbosity=2)
