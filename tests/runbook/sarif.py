#!/usr/bin/python3
"""`runbook lint --format sarif` against the schema of SARIF 2.1.0: of runbooks without
and with findings, and, where they are (HOLDFAST_SHARED), of the seeds and the corpus.

Debian's own Python: it is the one that has python3-jsonschema."""
import copy
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

try:
    import jsonschema
except ImportError:
    jsonschema = None

PROGRAM, SOURCE = Path(os.environ["HOLDFAST_PROGRAM"]), Path(os.environ["HOLDFAST_SOURCE_DIR"])
SCHEMA = SOURCE / ".cache/schemas/sarif-2.1.0.json"
SHARED = Path(os.environ.get("HOLDFAST_SHARED", SOURCE.parent / "shared"))
FINDINGS = 34

BAD = """# Runbook \u2013 \u00fcber alles

## Scenario 1: Database lost

**Symptoms:**
- it does not answer

### Recovery Procedure

1. **Wipe it** (5 minutes)
   ```bash
   cd /srv/data
   rm -rf $DIR/*
   psql -c "drop database x" || true
   ```
"""


@unittest.skipUnless(jsonschema, "python3-jsonschema is not installed")
@unittest.skipUnless(SCHEMA.exists(), f"{SCHEMA} is missing: scripts/schemas")
class Sarif(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.validator = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))

    def lint(self, document):
        done = subprocess.run([PROGRAM, "runbook", "lint", "--format", "sarif", document], capture_output=True, text=True, check=False,
                              stdin=subprocess.DEVNULL)
        self.assertIn(done.returncode, (0, FINDINGS), done.stderr)
        report = json.loads(done.stdout)
        problems = [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in self.validator.iter_errors(report)]
        self.assertEqual(problems, [], document)
        self.check_places(document, report)
        return report

    def check_places(self, document, report):
        """Lines and columns are of the document, and each result's rule is described."""
        lines = Path(document).read_text().splitlines()
        for run in report["runs"]:
            rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
            for result in run["results"]:
                self.assertEqual(rules[result["ruleIndex"]], result["ruleId"])
                for location in result["locations"]:
                    region = location["physicalLocation"]["region"]
                    self.assertLessEqual(region["endLine"], len(lines) + 1)
                    self.assertLessEqual(region["startLine"], region["endLine"])
                    # Columns count UTF-16 units unless the run says otherwise.
                    width = len(lines[region["startLine"] - 1].encode("utf-16-le")) // 2
                    if run.get("columnKind") == "unicodeCodePoints":
                        width = len(lines[region["startLine"] - 1])
                    self.assertLessEqual(region["startColumn"], width + 1, (document, result))

    def test_without_findings(self):
        for document in sorted((SOURCE / "examples").glob("*/runbook.md")):
            with self.subTest(document=document):
                self.assertEqual([result for run in self.lint(document)["runs"] for result in run["results"]
                                  if result["level"] == "error"], [])

    def test_with_findings(self):
        with tempfile.TemporaryDirectory() as directory:
            document = Path(directory) / "a runbook \u00fc.md"
            document.write_text(BAD)
            report = self.lint(document)
        self.assertTrue(report["runs"][0]["results"])
        uri = report["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        self.assertTrue(uri.startswith("file:///"), uri)
        self.assertTrue(uri.endswith("a%20runbook%20%C3%BC.md"), uri)

    def test_the_schema_refuses_what_is_no_sarif(self):
        report = self.lint(SOURCE / "examples/clickview/runbook.md")
        for spoil in (lambda one: one.update(version="2.0"), lambda one: one["runs"][0].pop("tool"),
                      lambda one: one["runs"][0].update(results=[{"ruleId": 7}])):
            spoilt = copy.deepcopy(report)
            spoil(spoilt)
            self.assertFalse(self.validator.is_valid(spoilt))

    def test_documents_of_others(self):
        documents = sorted([*SHARED.glob("seeds/*.txt"), *SHARED.glob("corpus/*.md")])
        if not documents:
            self.skipTest(f"no documents in {SHARED}")
        for document in documents:
            with self.subTest(document=document):
                self.lint(document)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=sys.argv)
