"""What every command does when all is well, in words and in documents."""
import os
import signal
import unittest

from harness import INCOMPLETE, INTERRUPTED, IO, NOT_FOUND, PROGRAM, UNAVAILABLE, Background, Case, Server, is_root, wait_until


class Commands(Case):
    def test_a_first_stack(self):
        self.make_data()
        outcome = self.holdfast("init", "--no-discover", "--files", self.data, config=False)
        self.assertIn(f"wrote {self.scratch}/holdfast.yaml", outcome.out)
        self.assertEqual((self.scratch / "holdfast.pass").stat().st_mode & 0o777, 0o600)
        self.assertEqual(len((self.scratch / "holdfast.pass").read_text().strip()), 64)
        outcome = self.holdfast("backup", config=False)
        self.assertRegex(outcome.out, r"point [0-9a-f]{8} at .*: .* stored in ")
        point = self.holdfast("latest", config=False).out.strip()
        self.assertRegex(point, "^[0-9a-f]{64}$")
        listed = self.holdfast("points", config=False).out.splitlines()
        self.assertEqual(len(listed), 2)
        self.assertTrue(listed[1].startswith(point[:8]))
        self.assertTrue(all(len(line) <= 80 for line in listed), listed)

    def test_failed_init_leaves_nothing(self):
        self.repository.mkdir()
        (self.repository / "x").write_text("x")
        self.holdfast("init", "--no-discover", "--repository", self.repository, config=False, expect=22)
        self.assertEqual(sorted(path.name for path in self.scratch.iterdir()), ["repository"])

    def test_second_point_costs_what_changed(self):
        self.make_stack()
        (self.data / "new").write_bytes(os.urandom(10_000))
        report = self.holdfast("backup", "--json").json()
        snapshot = report["point"]["components"][0]
        self.assertTrue(snapshot["incremental"])
        self.assertLess(snapshot["stored_bytes"], 20_000)
        self.assertGreater(snapshot["source_bytes"], 300_000)
        points = self.holdfast("points", "--json").json()["points"]
        self.assertEqual([point["id"] for point in points][-1], report["point"]["id"])
        self.assertEqual(len(points), 2)

    def test_verify_marks_the_point(self):
        self.make_stack()
        self.holdfast("latest", "--verified", expect=NOT_FOUND)
        outcome = self.holdfast("verify")
        self.assertIn("is right", outcome.out)
        self.assertEqual(self.holdfast("latest", "--verified").out, self.holdfast("latest").out)
        self.assertIn("(verified)", self.holdfast("points").out)
        self.assertRegex(self.holdfast("points").out, r"^ID .* PARTS\n")
        report = self.holdfast("verify", "--boot", "--scratch", self.scratch, "--json").json()
        self.assertEqual(report["components"][0]["findings"], [])
        self.assertEqual([path.name for path in self.scratch.iterdir() if path.name.startswith("holdfast-verify")], [])

    def test_a_plan_is_the_result_where_nothing_follows_it(self):
        self.make_stack()
        to = self.scratch / "out"
        for word in ("--dry-run", "--validate-only"):
            told = self.holdfast("--quiet", "restore", "--to", to, word).out
            self.assertIn("\n  later is lost  ", told)
            self.assertIn("nothing was written", told)
        self.assertNotIn("later is lost", self.holdfast("--quiet", "restore", "--to", to).out)

    def test_what_was_proven_is_told_where_it_can_not_be_noted(self):
        self.make_stack()
        for folder in ("verified", "log"):
            (self.repository / folder).write_text("no folder")
        told = self.holdfast("verify", expect=UNAVAILABLE)
        self.assertIn("is right", told.out)
        self.assertIn("the point is right, but not noted as such: ", told.err)
        report = self.holdfast("verify", "--json", expect=UNAVAILABLE).json()
        self.assertEqual((report["recorded"], report["components"][0]["findings"]), (False, []))
        drilled = self.holdfast("drill", "--scratch", self.scratch, expect=IO)
        self.assertRegex(drilled.out, r"drill \w+: passed")
        self.assertRegex(drilled.err, r"drill \w+ passed, but of that there is no evidence: ")

    def test_check_and_explain_damage(self):
        self.make_stack()
        self.assertIn("no damage found", self.holdfast("check", "--read-data").out)
        self.assertIn("no damage", self.holdfast("explain").out)
        pack = max((path for path in (self.repository / "packs").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
        name = pack.relative_to(self.repository).as_posix()
        told = self.holdfast("explain", name)
        self.assertIn(f"{name} is whole. With it would be lost:", told.out)
        self.assertIn("b.bin", told.out)
        self.assertTrue(self.holdfast("explain", name, "--json").json()["whole"])
        self.holdfast("explain", "config", expect=30)
        pack.chmod(0o600)
        with open(pack, "r+b") as file:
            file.seek(pack.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 1]))
        outcome = self.holdfast("check", "--read-data", "--json", expect=13)
        self.assertIn(pack.name, outcome.json()["damage"][0]["object"])
        self.assertEqual(outcome.json()["error"]["code"], "damaged")
        self.assertIn("1 object of the repository is damaged or missing", outcome.json()["error"]["message"])
        touched = self.holdfast("explain", "--json").json()["touched"]
        self.assertEqual({item["path"].rsplit("/", 1)[-1] for item in touched}, {"b.bin"})
        self.assertIn("b.bin", self.holdfast("verify", expect=26).out)

    def test_a_lost_index_makes_no_garbage(self):
        self.make_stack()
        index = next(path for path in (self.repository / "index").rglob("*") if path.is_file())
        index.unlink()
        outcome = self.holdfast("check", expect=13)
        self.assertNotIn("belong to no point", outcome.out)
        self.holdfast("check", "--repair-index")

    def test_prune_keeps_what_it_says(self):
        self.make_stack()
        for number in range(3):
            (self.data / "a.txt").write_text(f"{number}\n")
            self.holdfast("backup")
        plan = self.holdfast("prune", "--keep-last", 2, "--dry-run", "--json").json()
        self.assertNotIn("rules of the command line", self.holdfast("prune", "--keep-last", 2, "--dry-run").out)
        self.assertIn("the rules of the command line would keep nothing", self.holdfast("prune", "--keep-last", 0, expect=16).err)
        with open(self.config, "a", encoding="utf-8") as file:
            file.write("retention: {keep_daily: 3}\n")
        self.assertIn("note: by the rules of the command line instead of holdfast.yaml's",
                      self.holdfast("prune", "--keep-last", 2, "--dry-run").out)
        self.assertNotIn("rules of the command line", self.holdfast("prune", "--dry-run").out)
        self.assertEqual([point["keep"] for point in plan["points"]], [True, True, False, False])
        self.assertEqual(len(self.holdfast("points", "--json").json()["points"]), 4)
        self.holdfast("prune", "--keep-last", 2)
        left = self.holdfast("points", "--json").json()["points"]
        self.assertEqual([point["id"] for point in left], [point["id"] for point in reversed(plan["points"][:2])])
        self.holdfast("check", "--read-data")
        self.holdfast("restore", "--to", self.scratch / "out")

    @unittest.skipUnless(Server.BIN, "PostgreSQL is not installed")
    def test_prune_keeps_the_log_that_another_stacks_points_need(self):
        server = Server(self.scratch / "server", [])
        self.addCleanup(server.remove)
        component = f"  - {{name: db, kind: postgres, connection: {server.connection}}}\n"
        self.write_config(component, "retention: {keep_last: 1}\n")
        server.start()
        self.addCleanup(server.stop, mode="immediate")
        self.holdfast("init")
        self.holdfast("backup")
        other = self.holdfast("points", "--json").json()["points"][0]["id"]
        self.config.write_text(self.config.read_text().replace("stack: test", "stack: renamed"))
        for number in range(2):
            server.sql(f"create table t{number} (n int)")
            server.sql("select pg_switch_wal()")
            self.holdfast("backup")
        self.holdfast("prune", "--grace", "0s")
        self.config.write_text(self.config.read_text().replace("stack: renamed", "stack: test"))
        owner = ("--owner", "root") if is_root() else ()
        self.holdfast("restore", "--point", other, "--to", self.scratch / "out", *owner)
        self.holdfast("check", "--read-data")

    def test_tags_hold_points(self):
        self.make_stack()
        self.holdfast("backup", "--tag", "keepme")
        self.holdfast("backup")
        self.holdfast("backup")
        self.holdfast("prune", "--keep-last", 1, "--keep-tag", "keepme")
        tags = [point["tags"] for point in self.holdfast("points", "--json").json()["points"]]
        self.assertEqual(tags, [["keepme"], []])

    def test_keys(self):
        self.make_stack()
        (self.scratch / "second").write_text("second\n")
        (self.scratch / "third").write_text("third\n")
        self.holdfast("key", "add", "--label", "safe", "--new-passphrase", f"file:{self.scratch}/second")
        with_second = ["--passphrase", f"file:{self.scratch}/second"]
        self.holdfast("points", *with_second)
        self.assertEqual(len(self.holdfast("key", "list", "--json").json()["slots"]), 2)
        self.holdfast("key", "change", "--new-passphrase", f"file:{self.scratch}/third", *with_second)
        self.holdfast("points", *with_second, expect=11)
        self.holdfast("points", "--passphrase", f"file:{self.scratch}/third")
        self.holdfast("key", "rotate", "--reseal")
        self.assertEqual(self.holdfast("key", "list", "--json").json()["epochs"][-1]["number"], 2)
        self.holdfast("backup")
        self.holdfast("check", "--read-data")
        self.holdfast("restore", "--to", self.scratch / "out")

    def test_settings_from_flags_and_variables(self):
        self.make_stack()
        self.config.rename(self.scratch / "elsewhere.yaml")
        self.holdfast("points", config=False, environment={"HOLDFAST_CONFIG": "elsewhere.yaml"})
        self.holdfast("points", config=False, environment={"HOLDFAST_REPOSITORY": str(self.repository), "HOLDFAST_PASSPHRASE": "a passphrase"})
        self.holdfast("points", config=False, environment={"HOLDFAST_REPOSITORY": str(self.repository), "BACKUP_ENCRYPTION_KEY": "a passphrase"})
        self.holdfast("restore", "--repository", self.repository, "--passphrase", "exec:cat pass", "--to", self.scratch / "out", config=False)
        self.assertTrue((self.scratch / "out").exists())

    def test_quiet_says_only_results(self):
        self.make_stack()
        outcome = self.holdfast("backup", "--quiet")
        self.assertEqual(len(outcome.out.splitlines()), 1)
        self.assertEqual(outcome.err, "")

    def test_stats_hold_actuals_against_objectives(self):
        self.make_data()
        self.write_config(f"  - {{name: data, kind: files, paths: [{self.data}], rpo: 1h, rto: 10m}}\n")
        self.holdfast("init")
        self.assertEqual(self.holdfast("stats", "--json").json()["components"][0]["rpo_met"], False)
        self.holdfast("backup")
        stats = self.holdfast("stats", "--json").json()
        self.assertEqual(stats["components"][0]["rpo_met"], True)
        self.assertEqual(stats["points"], 1)
        self.assertGreater(stats["repository"]["kinds"]["packs"]["bytes"], 300_000)
        self.assertIn("objective 10 min: met", self.holdfast("restore", "--to", self.scratch / "out").out)

    def test_a_signal_ends_a_backup_cleanly(self):
        self.make_stack(backup=False)
        with open(self.data / "large", "wb") as file:
            for _ in range(64):
                file.write(os.urandom(4 << 20))
        backup = Background([PROGRAM, "--config", self.config, "backup", "--threads", 1], self.scratch / "log")
        packs = self.repository / "packs"
        wait_until("the first pack", lambda: backup.process.poll() is not None or (packs.exists() and any(packs.rglob("*/*"))))
        self.assertEqual(backup.end(signal.SIGINT), INTERRUPTED, (self.scratch / "log").read_text())
        self.assertEqual(self.holdfast("points", "--json").json()["points"], [])
        # What is stored is right, and nothing can be restored from it.
        stored = self.holdfast("check", "--read-data", expect=INCOMPLETE)
        self.assertIn("no recovery point is visible, though there are", stored.err)
        self.holdfast("backup")
        self.holdfast("check", "--read-data")


if __name__ == "__main__":
    unittest.main(verbosity=2)
