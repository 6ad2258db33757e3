#!/usr/bin/env python3
"""Evidence that was changed, removed or moved is noticed; reports say what was found."""
import json
import shutil
import unittest

from stack import Drilled

from harness import DAMAGED, NOT_FOUND, VERIFY_FAILED


class Evidence(Drilled):
    def setUp(self):
        super().setUp()
        self.make_stack()

    def drill(self, *words, expect=0):
        return self.holdfast("drill", "--scratch", self.place, *words, "--json", expect=expect).json()

    def records(self):
        return sorted((self.repository / "log" / "drills.test.evidence").rglob("0*"))

    def broken(self, *problems):
        outcome = self.holdfast("drill", "--list", "--json", expect=DAMAGED)
        found = outcome.json()
        self.assertFalse(found["chain_holds"])
        self.assertEqual(len(found["chain_problems"]), len(problems), found["chain_problems"])
        for problem, wanted in zip(found["chain_problems"], problems):
            self.assertTrue(problem.startswith(wanted), found["chain_problems"])
        self.assertIn("the evidence is not as it was written: " + problems[0], found["error"]["message"])

    def make_three(self):
        for _ in range(3):
            self.drill()
        self.assertEqual(len(self.records()), 3)
        self.holdfast("drill", "--list")
        self.kept = self.scratch / "kept"
        shutil.copytree(self.repository, self.kept)

    def put_back(self):
        shutil.rmtree(self.repository)
        shutil.copytree(self.kept, self.repository)

    def test_whatever_is_done_to_records_is_noticed(self):
        self.make_three()
        first, second, third = (path.relative_to(self.repository) for path in self.records())
        path = self.repository / second
        path.chmod(0o600)
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        self.broken("record 2 can't be read: ")
        self.put_back()
        (self.repository / second).unlink()
        self.broken("record 2 is missing")
        self.put_back()
        (self.repository / first).unlink()
        self.broken("record 1 is missing")
        self.put_back()
        (self.repository / second).rename(self.repository / "aside")
        (self.repository / third).rename(self.repository / second)
        (self.repository / "aside").rename(self.repository / third)
        self.broken("record 2 can't be read: ", "record 3 can't be read: ")
        self.put_back()
        # The newest: only who has seen it can tell.
        (self.repository / third).unlink()
        self.broken("record 3, which this machine has seen, is not there")
        for _ in range(2):
            self.drill()
            self.broken("record 3 is not the one that this machine has seen")
        self.put_back()
        self.assertTrue(self.holdfast("drill", "--list", "--json").json()["chain_holds"])

    def test_retention_leaves_it_alone(self):
        self.make_three()
        for number in range(3):
            (self.data / "a.txt").write_text(f"{number}\n")
            self.holdfast("backup")
        self.holdfast("prune", "--keep-last", 1, "--grace", "0s")
        self.assertEqual(len(self.holdfast("drill", "--list", "--json").json()["drills"]), 3)
        self.holdfast("check", "--read-data")

    def test_reports(self):
        self.assertIn("no drill was made yet", self.holdfast("drill", "--list").out)
        self.holdfast("drill", "--report", "latest", expect=NOT_FOUND)
        made = self.drill("--at", "latest")
        name = made["evidence"]["id"]
        text = self.holdfast("drill", "--report", name[:6]).out
        for words in ("# Drill of test", "## Objectives and actuals", "## Phases", "## Component data", "| contents | passed |", made["digest"]):
            self.assertIn(words, text)
        page = self.scratch / "drill.html"
        self.holdfast("drill", "--report", "latest", "--format", "html", "--output", page)
        self.assertTrue(page.read_text().startswith("<!doctype html>"))
        self.assertNotIn("<script", page.read_text())
        document = json.loads(self.holdfast("drill", "--report", "latest", "--format", "json").out)
        self.assertEqual(document["evidence"], made["evidence"])
        self.assertEqual(document, self.holdfast("drill", "--report", "latest", "--json").json())
        self.assertIn(name, self.holdfast("drill", "--list").out)
        self.assertIn("last drill passed at " + made["evidence"]["began"], self.holdfast("stats").out)

    def test_files_alone_at_a_random_instant(self):
        first = self.holdfast("points", "--json").json()["points"][0]["components"][0]["instant"]
        (self.data / "later").write_text("later\n")
        self.holdfast("backup")
        last = self.holdfast("points", "--json").json()["points"][1]["components"][0]["instant"]
        made = self.drill("--at", "random")["evidence"]
        self.assertEqual((made["result"], made["asked"]["how"]), ("passed", "random"))
        self.assertTrue(first <= made["asked"]["instant"] <= last, made["asked"])
        self.assertIn(made["components"][0]["instant"], (first, last))

    def test_what_can_not_be_restored_is_evidence(self):
        pack = max((path for path in (self.repository / "packs").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        pack.chmod(0o600)
        content = bytearray(pack.read_bytes())
        content[len(content) // 2] ^= 1
        pack.write_bytes(content)
        failed = self.drill(expect=VERIFY_FAILED)
        self.assertEqual(failed["evidence"]["result"], "failed")
        self.assertIn("b.bin", json.dumps(failed["evidence"]["components"]))
        self.assertEqual(self.left_behind(), [])
        self.drill("--component", "dta", expect=NOT_FOUND)
        unreachable = self.drill("--at", "2001-01-01T00:00:00Z", expect=VERIFY_FAILED)
        self.assertIn("window", unreachable["evidence"]["problem"])
        lost = self.drill("--point", "0123abcd", expect=VERIFY_FAILED)
        self.assertIn("0123abcd", lost["evidence"]["problem"])
        self.assertEqual((lost["evidence"]["components"], lost["evidence"]["destroyed"]), ([], True))
        self.assertEqual(len(self.holdfast("drill", "--list", "--json").json()["drills"]), 3)

    def test_no_point_to_restore_is_evidence(self):
        shutil.rmtree(self.repository)
        self.holdfast("init")
        for words in ((), ("--component", "data"), ("--point", "latest"), ("--at", "random")):
            with self.subTest(words=words):
                failed = self.drill(*words, expect=VERIFY_FAILED)["evidence"]
                self.assertEqual((failed["result"], failed["components"]), ("failed", []))
                self.assertIn("no recovery point", failed["problem"])
        self.assertEqual(len(self.holdfast("drill", "--list", "--json").json()["drills"]), 4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
