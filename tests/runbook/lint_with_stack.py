#!/usr/bin/env python3
"""`runbook lint` beside a holdfast.yaml: a component whose log is followed is protected
continuously, the others are held against the document's schedule."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(os.environ["HOLDFAST_PROGRAM"])
FINDINGS = 34

STACK = """stack: shop
repository:
  location: /nowhere/repository
  passphrase: env:NOT_ASKED_FOR
components:
  - name: db
    kind: postgres
    connection: dbname=shop
  - name: uploads
    kind: files
    paths: [/srv/uploads]
"""

RUNBOOK = """# Shop

## Recovery Objectives

| Component | RTO | RPO |
|---|---|---|
| Database | 1 hour | 5 minutes |
| Uploads | 1 hour | 1 hour |

## Backup Schedule

```cron
0 2 * * * /srv/backup.sh
```
"""


class LintWithStack(unittest.TestCase):
    def too_slow(self, directory, *options):
        done = subprocess.run([PROGRAM, *options, "runbook", "lint", "--format", "json", directory / "runbook.md"],
                              capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=directory)
        self.assertEqual(done.returncode, FINDINGS, done.stderr)
        return [each["at"]["line"] for each in json.loads(done.stdout)["findings"] if each["rule"] == "backup-slower-than-rpo"]

    def test_a_log_silences_its_own_component_alone(self):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            (directory / "runbook.md").write_text(RUNBOOK)
            self.assertEqual(self.too_slow(directory), [7, 8])
            (directory / "stack.yaml").write_text(STACK)
            self.assertEqual(self.too_slow(directory, "--config", directory / "stack.yaml"), [8])

    def test_it_prints_one_document(self):
        def lint(*words):
            return subprocess.run([PROGRAM, "runbook", "lint", *words], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory() as name:
            document = Path(name) / "runbook.md"
            document.write_text(RUNBOOK)
            done = lint("--json", "--format", "sarif", document)
            self.assertEqual(done.returncode, FINDINGS, done.stderr)
            self.assertEqual(json.loads(done.stdout)["version"], "2.1.0")
            self.assertIn("must be corrected", done.stderr)
        for words in (("--format", "json"), ("--format=json",), ("--format", "json", "--none", "x"), ("--format", "json", "/none.md")):
            done = lint(*words)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("error", json.loads(done.stdout), words)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=sys.argv)
