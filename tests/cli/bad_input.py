"""Bad input: each a clear message and its exit status, and nothing changed."""
import errno
import hashlib
import json
import os
import shutil
import subprocess
import unittest

from harness import (ALREADY_EXISTS, CONFIG, DAMAGED, INCOMPLETE, IO, NEWER_FORMAT, NO_REPOSITORY, NO_SPACE, NOT_FOUND, PERMISSION, REFUSED, TARGET_NOT_EMPTY,
                     PROGRAM, UNREACHABLE, USAGE, WRONG_PASSPHRASE, Case, as_user, is_root)


class BadInput(Case):
    def test_unknown_key_names_file_line_and_the_nearest_key(self):
        self.write_config()
        text = self.config.read_text().replace("passphrase:", "pasphrase:")
        self.config.write_text(text)
        self.refuse("points", status=CONFIG,
                    whole=f"{self.config}:4: unknown key 'pasphrase' in repository (did you mean 'passphrase'?)")

    def test_not_yaml(self):
        self.config.write_text("stack: [\n")
        self.refuse("points", status=CONFIG, says=f"{self.config}:2: this is not YAML")

    def test_a_second_document_in_the_configuration(self):
        self.make_stack()
        with open(self.config, "a", encoding="ascii") as file:
            file.write("---\nretention: {keep_last: 1}\n")
        self.refuse("points", status=CONFIG, says=f"{self.config}: there are 2 YAML documents in it", hint="remove what stands after")

    def test_without_a_file_the_stack_is_named_where_there_are_several(self):
        self.make_stack()
        access = ["--repository", self.repository, "--passphrase", f"file:{self.scratch}/pass"]
        self.holdfast(*access, "latest", config=False, cwd="/")
        other = self.scratch / "other"
        other.mkdir()
        (other / "b.txt").write_text("of the other\n")
        self.config.write_text(self.config.read_text().replace("stack: test", "stack: shop").replace(str(self.data), str(other)))
        self.holdfast("backup")
        for words in (["restore", "--to", self.scratch / "out"], ["latest"], ["points"], ["verify"], ["stats"], ["log"], ["drill"]):
            refused = self.refuse(*access, *words, status=USAGE, config=False, cwd="/", hint="say which is meant: --stack NAME, or --config with its file")
            self.assertIn(f"the repository at {self.repository} has points of 2 stacks: shop, test", refused.err)
        self.holdfast(*access, "--stack", "test", "restore", "--to", self.scratch / "out", config=False, cwd="/")
        self.assertEqual([path.name for path in (self.scratch / "out").rglob("*.txt")], ["a.txt"])
        self.refuse("--stack", "test", "points", status=USAGE, says=f"{self.config} is of the stack shop, not of test")

    def test_output_that_is_lost(self):
        self.make_stack()
        with open("/dev/full", "wb") as full:
            for words in (("points", "--json"), ("man",), ("completion", "bash"), ("points",)):
                done = subprocess.run([PROGRAM, "--config", self.config, *words], stdout=full, stderr=subprocess.PIPE, check=False)
                self.assertEqual(done.returncode, IO, words)

    def test_explain_of_what_there_is_not(self):
        self.make_stack()
        for name in ("packs/00/doesnotexist", "nope", "/etc/passwd"):
            self.refuse("explain", name, status=NOT_FOUND, says=f"the repository has no object {name}")

    def test_no_configuration(self):
        outcome = self.refuse("points", status=CONFIG, says="there is no configuration", config=False)
        self.assertIn("hint: run 'holdfast init'", outcome.err)
        self.refuse("points", "--config", "nosuch.yaml", status=CONFIG, config=False,
                    whole="configuration: can't open nosuch.yaml: no such file or directory",
                    hint="name the file that 'holdfast init' wrote, or run that to write one")

    def test_a_secret_in_the_configuration_is_refused_and_not_repeated(self):
        self.write_config()
        self.config.write_text(self.config.read_text().replace(f"file:{self.scratch}/pass", "hunter2"))
        outcome = self.refuse("points", status=CONFIG, says="must be a reference")
        self.assertNotIn("hunter2", outcome.err)

    def test_no_repository(self):
        self.write_config()
        self.refuse("points", status=NO_REPOSITORY, whole=f"there is no repository at {self.repository}",
                    hint="correct repository.location, or mount what it lies on; 'holdfast init' makes one where there never was any")
        given = "correct --repository (or $HOLDFAST_REPOSITORY), or mount what it lies on; 'holdfast init' makes one where there never was any"
        nowhere = self.scratch / "nowhere"
        for words, options in ((["--repository", nowhere], {}), ([], {"environment": {"HOLDFAST_REPOSITORY": str(nowhere)}})):
            self.refuse("points", *words, status=NO_REPOSITORY, whole=f"there is no repository at {nowhere}", hint=given, **options)
        self.repository.mkdir()
        self.refuse("points", status=NO_REPOSITORY, says=f"there is no repository at {self.repository}", hint="correct repository.location, or mount")
        self.refuse("points", "--repository", self.repository, status=NO_REPOSITORY, says=f"there is no repository at {self.repository}", hint=given)
        self.repository.rmdir()
        self.repository.write_text("")
        for words in (["points"], ["backup"], ["restore", "--dry-run"], ["check"], ["prune"], ["key", "list"], ["stats"], ["drill", "--list"]):
            self.refuse(*words, status=NO_REPOSITORY, says=f"there is no repository at {self.repository}: it is not a directory")
        self.write_config()
        self.config.write_text(self.config.read_text().replace(f"location: {self.repository}", f"location: {self.repository}/below"))
        self.refuse("points", status=NO_REPOSITORY, says=f"there is no repository at {self.repository}/below: it is not a directory")

    def test_wrong_passphrase(self):
        self.make_stack(backup=False)
        (self.scratch / "pass").write_text("another\n")
        for command in (["points"], ["backup"], ["restore", "--to", self.scratch / "out"], ["prune"], ["check"]):
            self.refuse(*command, status=WRONG_PASSPHRASE,
                        whole=f"no key of the repository at {self.repository} opens with this passphrase",
                        hint=f"it came from file:{self.scratch}/pass: was it changed since, or is this another stack's repository?")

    def test_passphrase_that_is_nowhere(self):
        self.make_stack(backup=False)
        (self.scratch / "pass").unlink()
        path = self.scratch / "pass"
        self.refuse("points", status=CONFIG,
                    whole=f"passphrase of the repository: secret file:{path}: can't open {path}: no such file or directory",
                    hint="without it nothing can be read: bring it back, or correct repository.passphrase")
        self.refuse("points", "--passphrase", f"file:{path}", status=CONFIG, says="no such file or directory",
                    hint="without it nothing can be read: bring it back, or correct --passphrase")

    def test_newer_format(self):
        self.make_stack()
        for path in self.repository.glob("config*"):
            whole = bytearray(path.read_bytes())
            body = whole[:-32]
            body[8] = 99  # docs/format.md: the version stands behind the magic
            path.chmod(0o600)
            path.write_bytes(bytes(body) + hashlib.sha256(body).digest())
        self.refuse("points", status=NEWER_FORMAT,
                    whole=f"the repository at {self.repository}: object config has format version 99; this holdfast knows up to 1",
                    hint="use a newer holdfast")

    def test_init_with_a_description_beside_a_configuration(self):
        self.make_data()
        self.write_config()
        for option, value in (("--files", self.data), ("--stack", "shop"), ("--postgres", "host=/nowhere"), ("--redis", "redis://127.0.0.1:1")):
            self.refuse("init", option, value, status=ALREADY_EXISTS,
                        says=f"{self.config} describes the stack already: {option} would not get into it",
                        hint="write it there, under 'components:'")
        self.holdfast("init")

    def test_init_of_another_repository_says_how_to_reach_it(self):
        self.make_stack()
        other = self.scratch / "other"
        outcome = self.holdfast("--repository", other, "init")
        self.assertIn(f"note: it stays as it is, and {other} is not the repository that it names", " ".join(outcome.out.split()))
        self.assertIn(f" --repository {other} backup ", outcome.out)
        self.holdfast("--repository", other, "backup")
        self.assertNotIn("--repository", self.holdfast("--repository", self.repository, "init", expect=ALREADY_EXISTS).out)

    def test_init_over_a_repository(self):
        self.make_stack()
        self.refuse("init", status=ALREADY_EXISTS, whole=f"there is a repository at {self.repository} already",
                    hint="it can be used as it is; for a new one give another location")

    def test_init_over_something_else(self):
        self.write_config()
        self.repository.mkdir()
        (self.repository / "holiday.jpg").write_text("x")
        self.refuse("init", status=TARGET_NOT_EMPTY, says=str(self.repository))

    def test_restore_over_data(self):
        self.make_stack()
        self.refuse("restore", status=TARGET_NOT_EMPTY, whole=f"component data: '{self.data}/a.txt' exists already",
                    hint="restore to an empty directory, or with --delta over what is there")

    def test_a_target_in_the_repository_is_refused(self):
        self.make_stack()
        for target in (self.repository, self.repository / "packs" / "out"):
            self.refuse("restore", "--to", target, status=REFUSED,
                        whole=f"component data: the target {target} lies in the repository at {self.repository}",
                        hint="restore to a directory apart from the repository with --to DIR")

    def test_a_path_that_names_nothing(self):
        self.make_stack()
        for more in ((), ("--validate-only",), ("--path", self.data / "sub")):
            self.refuse("restore", "--path", "nope", "--to", self.scratch / "out", *more, status=NOT_FOUND,
                        whole="'nope' names nothing in component data as it will be restored",
                        hint="a path is whole, as in 'srv/data/bills'; only a pattern with a wildcard (*, ? or [) and without '/' is a "
                             "name anywhere, as in '*.pdf'")
        # A name that is somewhere is no path from the root, unlike a pattern.
        self.refuse("restore", "--path", "a.txt", "--to", self.scratch / "out", status=NOT_FOUND, says="'a.txt' names nothing")
        self.holdfast("restore", "--path", "a.tx?", "--to", self.scratch / "out")
        # Below the target it has its whole path, though the component has only one.
        self.assertEqual([path.relative_to(self.scratch / "out") for path in (self.scratch / "out").rglob("a.txt")],
                         [(self.data / "a.txt").relative_to("/")])

    def test_an_empty_value_of_restore(self):
        self.make_stack()
        for option in ("--to", "--path", "--at", "--point", "--component", "--name"):
            self.refuse("restore", "--delta", option, "", status=USAGE, whole=f"{option} is empty",
                        hint="give it a value or leave it out: perhaps a variable of a script is not set")
            self.refuse("restore", f"{option}=", "--delta", status=USAGE, whole=f"{option} is empty",
                        hint="give it a value or leave it out: perhaps a variable of a script is not set")
        self.refuse("restore", "--to", "--delta", status=USAGE, whole="--to wants a value, not the option '--delta'",
                    hint="if that is the value, write '--to=--delta'")

    def test_a_value_takes_no_option_with_it(self):
        self.make_stack()
        self.refuse("prune", "--keep-last", 1, "--keep-tag=", "--dry-run", status=USAGE, whole="--keep-tag is empty",
                    hint="give it a value or leave it out: perhaps a variable of a script is not set")
        self.refuse("prune", "--keep-last", 1, "--keep-tag", "--dry-run", status=USAGE,
                    whole="--keep-tag wants a value, not the option '--dry-run'", hint="if that is the value, write '--keep-tag=--dry-run'")
        self.refuse("backup", "--tag", "--full", status=USAGE, whole="--tag wants a value, not the option '--full'",
                    hint="if that is the value, write '--tag=--full'")
        error = self.holdfast("backup", "--tag=", "--json", expect=USAGE).json()["error"]
        self.assertEqual((error["code"], error["message"]), ("usage", "--tag is empty"))
        self.holdfast("backup", "--tag=--full")
        self.assertEqual(self.holdfast("points", "--json").json()["points"][-1]["tags"], ["--full"])

    def test_an_empty_configuration_is_no_file(self):
        self.make_stack()
        for words in (["--config", ""], ["--config="]):
            self.refuse("points", *words, status=CONFIG, config=False, whole="no configuration is read (--config ''), and no repository is named",
                        hint="give --repository and --passphrase")
            listed = self.holdfast("points", *words, "--repository", self.repository, "--passphrase", f"file:{self.scratch}/pass", "--json", config=False)
            self.assertEqual(len(listed.json()["points"]), 1)
        # A variable that is empty is as one that is not set.
        self.assertEqual(len(self.holdfast("points", "--json", config=False, environment={"HOLDFAST_CONFIG": ""}).json()["points"]), 1)

    def test_instant_before_the_window(self):
        self.make_stack()
        outcome = self.refuse("restore", "--at", "2001-01-01T00:00:00Z", "--to", self.scratch / "out", status=UNREACHABLE,
                              says="component data: it can't be restored to 200", hint="'holdfast points' lists what can be restored")
        self.assertRegex(outcome.err, r"restored to \S+ \S+: the recovery window is \S+ \S+ to \S+ \S+\n")

    def test_instant_in_the_future(self):
        self.make_stack()
        self.refuse("restore", "--at", "2200-01-01T00:00:00Z", "--to", self.scratch / "out", status=UNREACHABLE, says="lies in the future",
                    hint="--at latest is the newest instant there is")

    def test_time_without_zone(self):
        self.make_stack()
        self.refuse("restore", "--at", "2026-01-01 00:00:00", "--to", self.scratch / "out", status=USAGE,
                    whole="--at: the time '2026-01-01 00:00:00' has no zone", hint="add Z for UTC, or an offset such as +01:00")

    def test_database_target_without_a_database(self):
        self.make_stack()
        self.refuse("restore", "--lsn", "0/3000000", "--to", self.scratch / "out", status=USAGE, says="PostgreSQL")

    def test_unknown_point_and_component(self):
        self.make_stack()
        self.refuse("restore", "--point", "0123abcd", "--to", self.scratch / "out", status=NOT_FOUND,
                    whole="there is no point 0123abcd", hint="list them with: holdfast points")
        self.refuse("restore", "--component", "dta", "--to", self.scratch / "out", status=NOT_FOUND,
                    whole="there is no component 'dta'", hint="did you mean 'data'?")
        self.refuse("backup", "--component", "nope", status=NOT_FOUND, says="there is no component 'nope'")
        for command in ("latest", "points", "verify"):
            self.refuse(command, "--component", "nope", status=NOT_FOUND, whole="there is no component 'nope'", hint="the components are: data")

    def test_a_component_without_any_point(self):
        self.make_stack(backup=False)
        self.refuse("latest", "--component", "nope", status=NOT_FOUND, whole="there is no recovery point of component 'nope', nor of any other",
                    hint="take one with 'holdfast backup'")
        self.refuse("latest", "--component", "data", status=NOT_FOUND, whole="there is no recovery point of component 'data'",
                    hint="take one with 'holdfast backup'")

    def test_a_stack_without_points_names_those_that_have_some(self):
        self.make_stack()
        self.config.write_text(self.config.read_text().replace("stack: test", "stack: other"))
        self.assertEqual(self.holdfast("points").out, "there is no recovery point of stack 'other' yet: take one with 'holdfast backup'\n"
                                                      "note: the repository has points of: test\n")
        self.assertEqual(self.holdfast("points", "--json").json()["points"], [])
        hint = "the repository has points of: test; take one of 'other' with 'holdfast backup', or name the other stack's file with --config"
        self.refuse("restore", "--to", self.scratch / "out", status=NOT_FOUND,
                    whole=f"there is no recovery point of stack 'other' in {self.repository}", hint=hint)
        for words in (["latest"], ["verify"], ["points", "--hold", "latest"]):
            self.refuse(*words, status=NOT_FOUND, says="there is no recovery point", hint=hint)

    def test_source_that_is_not_there(self):
        self.write_config()
        self.make_data()
        self.holdfast("init")
        (self.data / "sub" / "b.bin").unlink()
        (self.data / "sub").rmdir()
        (self.data / "a.txt").unlink()
        self.data.rmdir()
        self.refuse("backup", status=NOT_FOUND, says=str(self.data))

    def test_prune_without_a_policy(self):
        self.make_stack()
        self.refuse("prune", status=REFUSED, says="retention")

    def test_a_tag_to_keep_is_no_policy(self):
        self.make_stack()
        self.refuse("prune", "--keep-tag", "gold", status=REFUSED, says="retention")

    def test_init_keeps_the_passphrase_of_a_repository_that_is_there(self):
        """The configuration can't be written when the repository is made already."""
        self.scratch.chmod(0o755)
        closed, free = self.scratch / "closed", self.scratch / "free"
        closed.mkdir(mode=0o555)
        free.mkdir()
        free.chmod(0o777)
        self.config, self.repository, passphrase = closed / "holdfast.yaml", free / "repository", free / "made.pass"
        outcome = self.holdfast("init", "--no-discover", "--repository", self.repository, "--passphrase", f"file:{passphrase}",
                                expect=None, prefix=as_user("nobody") if is_root() else ())
        self.assertNotEqual(outcome.status, 0)
        self.assertTrue((self.repository / "config").exists())
        self.assertTrue(passphrase.exists())

    def test_init_without_a_directory_for_the_configuration(self):
        self.config = self.scratch / "nowhere" / "holdfast.yaml"
        passphrase = self.scratch / "made.pass"
        self.refuse("init", "--no-discover", "--repository", self.repository, "--passphrase", f"file:{passphrase}", status=NOT_FOUND,
                    says=f"there is no directory {self.config.parent}")
        self.assertFalse(passphrase.exists() or self.repository.exists())

    def test_a_password_in_a_connection_is_not_repeated(self):
        for connection in ("host=127.0.0.1 port=1 password=hunter2", "postgresql://u:hunter2@127.0.0.1:1/x", "host=x password=hunter2 y"):
            outcome = self.refuse("init", "--postgres", connection, status=CONFIG, says="the connection string")
            self.assertNotIn("hunter2", outcome.err)

    def test_the_last_passphrase_can_not_be_removed(self):
        self.make_stack(backup=False)
        slot = self.holdfast("key", "list", "--json").json()["slots"][0]["id"]
        self.refuse("key", "remove", slot[:12], status=REFUSED, says="last")

    def test_a_password_for_a_standby_is_not_taken_from_the_command_line(self):
        self.make_stack()
        outcome = self.refuse("restore", "--standby", "--primary-conninfo", "host=x password=hunter2", status=CONFIG,
                              says="--primary-conninfo: the connection string holds a password", hint="every account of the machine sees a command line")
        self.assertNotIn("hunter2", outcome.err)

    def test_the_passphrase_in_use_is_removed_only_on_request(self):
        self.make_stack(backup=False)
        (self.scratch / "second").write_text("second\n")
        self.holdfast("key", "add", "--new-passphrase", f"file:{self.scratch}/second")
        slot = next(slot["id"] for slot in self.holdfast("key", "list", "--json").json()["slots"] if slot["current"])
        self.refuse("key", "remove", slot[:12], status=REFUSED, says="is the one that this command opened the repository with",
                    hint="to replace it use 'holdfast key change'; to remove it all the same say --even-in-use")
        self.holdfast("key", "remove", slot[:12], "--even-in-use")
        self.holdfast("points", expect=WRONG_PASSPHRASE)

    @unittest.skipUnless(is_root(), "needs another account, which is shut out")
    def test_a_file_where_one_may_not_look_is_none(self):
        self.write_passphrase("a passphrase\n")
        (self.scratch / "pass").chmod(0o644)
        self.scratch.chmod(0o755)
        closed = self.scratch / "closed"
        closed.mkdir(mode=0o700)
        (closed / "holdfast.yaml").write_text("neither: [read nor YAML")
        words = ["--repository", self.repository, "--passphrase", f"file:{self.scratch / 'pass'}", "latest"]
        outcome = self.holdfast(*words, config=False, cwd=closed, prefix=as_user("nobody"), expect=NO_REPOSITORY)
        self.assertNotIn("holdfast.yaml", outcome.err)
        # An empty name reads none either, also where one is there.
        self.holdfast("--config", "", *words, config=False, cwd=closed, expect=NO_REPOSITORY)
        self.holdfast(*words, config=False, cwd=closed, expect=CONFIG)

    @unittest.skipUnless(is_root(), "needs another account to be refused by")
    def test_no_permission(self):
        self.make_stack()
        prefix = as_user("nobody")
        self.repository.chmod(0o700)
        (self.scratch / "pass").chmod(0o644)
        self.refuse("points", status=PERMISSION, says="ermission denied", prefix=prefix)
        (self.scratch / "pass").chmod(0o600)
        self.refuse("points", status=CONFIG, says="pass: permission denied", prefix=prefix, hint="run it as the account to which the file belongs")

    @unittest.skipUnless(is_root(), "needs another account to be refused by")
    def test_a_repository_that_can_not_be_written_is_named_first(self):
        self.make_stack()
        for path in [self.repository, *self.repository.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.chown(self.scratch / "pass", "nobody")
        (self.scratch / "pass").chmod(0o600)
        outcome = self.refuse("backup", status=PERMISSION, says=f"holdfast: the repository at {self.repository} is not writable: ", prefix=as_user("nobody"),
                              hint="give account nobody write access to it, or mount it for writing")
        self.assertIn("permission denied", outcome.err)

    def test_a_passphrase_for_everybody_is_warned_of(self):
        self.make_stack()
        path = self.scratch / "pass"
        self.assertEqual(self.holdfast("points").err, "")
        path.chmod(0o644)
        said = " ".join(self.holdfast("points", "--quiet").err.split())
        self.assertIn(f"warning: every account of this machine can read the passphrase in {path}: chmod 600 '{path}'", said)
        self.assertIn("warning: every account", self.holdfast("points", "--json").err)

    def test_a_passphrase_for_everybody_behind_a_link_is_warned_of(self):
        self.make_stack()
        path = self.scratch / "pass"
        path.rename(self.scratch / "elsewhere")
        path.symlink_to("elsewhere")
        self.assertEqual(self.holdfast("points").err, "")
        path.chmod(0o644)
        self.assertIn(f"warning: every account of this machine can read the passphrase in {path}: chmod 600 '{path}'",
                      " ".join(self.holdfast("points").err.split()))

    def test_a_restore_is_not_held_up_by_what_a_dead_drill_left(self):
        self.make_stack()
        left = self.scratch / "holdfast-drill-0123456789abcdef"
        left.mkdir()
        drills = self.scratch / "drills"
        drills.mkdir(exist_ok=True)
        (drills / "0123456789abcdef.lock").touch()
        marker = drills / "0123456789abcdef.json"
        marker.write_text(json.dumps({"directory": str(left), "phase": "restore", "processes": []}))
        self.assertEqual(self.holdfast("restore", "--to", self.scratch / "out").err, "")
        self.holdfast("wal", "get", "000000010000000000000001", "out", expect=None)
        self.assertTrue(left.exists() and marker.exists())
        self.holdfast("points")
        self.assertFalse(left.exists() or marker.exists())

    @unittest.skipUnless(is_root(), "needs another account to be refused by")
    def test_a_drill_where_nothing_can_be_made_leaves_no_marker(self):
        self.make_data()
        self.write_config()
        for path in (self.scratch, self.config, self.scratch / "pass"):
            shutil.chown(path, "nobody")
        self.holdfast("init", prefix=as_user("nobody"))
        self.holdfast("backup", prefix=as_user("nobody"))
        locked = self.scratch / "locked"
        (locked / "scratch").mkdir(parents=True)
        for place, mode in ((locked, 0o700), (locked / "scratch", 0o700), (locked, 0o755)):
            locked.chmod(mode)
            self.refuse("drill", "--scratch", place, status=PERMISSION, says="ermission denied", prefix=as_user("nobody"),
                        hint="name a directory that this account may write to: --scratch DIR")
            self.assertEqual(list((self.scratch / "drills").glob("*.lock")), [])
            self.assertEqual(self.holdfast("points", prefix=as_user("nobody")).err, "")

    def test_a_restore_to_a_file_says_so(self):
        self.make_stack()
        plain = self.scratch / "plain"
        plain.touch()
        for to in (plain, plain / "below"):
            for more in ((), ("--dry-run",), ("--delta",)):
                self.refuse("restore", "--to", to, *more, status=REFUSED, says=f"'{plain}' is no directory, and a restore goes into one",
                            hint="name with --to a directory that is empty, or one that is not there yet")

    def test_a_log_level_that_is_none_is_warned_of(self):
        self.make_stack(backup=False)
        said = " ".join(self.holdfast("points", environment={"HOLDFAST_LOG": "nonsense"}).err.split())
        self.assertEqual(said, "warning: HOLDFAST_LOG is 'nonsense', which is none of debug, info, warn, error, off: warn is taken")
        said = " ".join(self.holdfast("points", "--json", environment={"HOLDFAST_LOG": "nonsense"}).err.split())
        self.assertIn("warning: HOLDFAST_LOG is 'nonsense'", said)
        self.assertEqual(self.holdfast("points", environment={"HOLDFAST_LOG": "", "HOLDFAST_LOG_FORMAT": ""}).err, "")
        said = " ".join(self.holdfast("points", environment={"HOLDFAST_LOG": "error", "HOLDFAST_LOG_FORMAT": "xml"}).err.split())
        self.assertEqual(said, "warning: HOLDFAST_LOG_FORMAT is 'xml', which is neither text nor json: text is taken")

    def test_points_that_are_away_are_no_whole_repository(self):
        self.make_stack()
        (self.repository / "points").rename(self.scratch / "away")
        outcome = self.holdfast("check", expect=INCOMPLETE)
        self.assertIn("no damage found in what is there, but no recovery point is there", " ".join(outcome.err.split()))
        self.assertNotIn("belong to no point", outcome.out + outcome.err)
        self.assertIn("warning: no recovery point is visible, though there are 2 packs and 0 log records: nothing can be restored", " ".join(outcome.err.split()))
        self.assertIn("no recovery point is visible", self.holdfast("check", "--json", expect=INCOMPLETE).json()["warnings"][0])

    @unittest.skipUnless(is_root(), "needs another account to be refused by")
    def test_a_quiet_restore_tells_of_the_faults_of_its_point(self):
        self.make_data()
        self.write_config()
        for path in (self.scratch, self.config, self.scratch / "pass"):
            shutil.chown(path, "nobody")
        self.holdfast("init", prefix=as_user("nobody"))
        (self.data / "a.txt").chmod(0)
        self.holdfast("backup", prefix=as_user("nobody"), expect=INCOMPLETE)
        outcome = self.holdfast("restore", "--to", self.scratch / "out", "--quiet")
        said = " ".join(outcome.err.split())
        self.assertIn("warning: data: the point was captured with 1 fault, and what is restored has them: ", said)
        self.assertIn("a.txt", said)
        document = self.holdfast("restore", "--to", self.scratch / "out2", "--json").json()
        (fault,) = document["components"][0]["captured_faults"]
        self.assertIn("a.txt", fault)

    @unittest.skipUnless(is_root(), "needs another account to be refused by")
    def test_of_many_faults_a_backup_shows_the_first(self):
        self.make_data()
        self.write_config()
        for path in (self.scratch, self.config, self.scratch / "pass"):
            shutil.chown(path, "nobody")
        for number in range(25):
            (self.data / f"file{number:02}").touch(0)
        self.holdfast("init", prefix=as_user("nobody"))
        outcome = self.holdfast("backup", prefix=as_user("nobody"), expect=INCOMPLETE)
        self.assertEqual(outcome.out.count("fault: data: "), 20)
        self.assertIn("fault: data: and more: 'holdfast points --json' has the list", outcome.out)
        self.assertEqual(len(self.holdfast("points", "--json").json()["points"][0]["components"][0]["faults"]), 25)

    @unittest.skipUnless(is_root(), "needs to mount a small file system")
    def test_disk_too_small(self):
        self.make_stack()
        small = self.small_disk("size=128k")
        self.refuse("restore", "--to", small, status=NO_SPACE, says="space")
        subprocess.run(["mount", "-o", "remount,size=16m,nr_inodes=2", small], check=True)
        self.assertIn(f"hint: there is room for bytes, but the file system of '{small}' takes no more files: its inodes are used up (df -i)",
                      self.holdfast("restore", "--to", small, expect=NO_SPACE).err)

    def make_repository_on_small_disk(self):
        small = self.small_disk("size=16m,nr_inodes=500")
        self.repository = small / "repository"
        self.make_data()
        self.write_config(extra="retention: {keep_last: 1}\n")
        self.holdfast("init")
        for _ in range(4):
            (self.data / "large").write_bytes(os.urandom(2 << 20))
            self.holdfast("backup")
        return small

    def use_up_inodes(self, small):
        (small / "many").mkdir()
        with self.assertRaises(OSError) as raised:
            for number in range(1000):
                (small / "many" / str(number)).touch()
        self.assertEqual(raised.exception.errno, errno.ENOSPC)

    @unittest.skipUnless(is_root(), "needs to mount a small file system")
    def test_what_only_reads_does_so_on_a_full_disk_and_on_a_read_only_one(self):
        small = self.make_repository_on_small_disk()

        def read_all():
            for words in (("points",), ("latest",), ("stats",), ("log",), ("restore", "--to", self.scratch / "out", "--dry-run"), ("drill", "--list")):
                self.holdfast(*words)
            checked = self.holdfast("check", "--read-data")
            self.assertIn("no damage found", checked.out)
            planned = self.holdfast("prune", "--dry-run")
            self.assertIn("4 points: 3 would be removed, 1 kept", planned.out)
            self.assertIn("note: a prune at the same time would not wait for this dry run: the repository at", " ".join(planned.out.split()))
            return " ".join(checked.err.split())

        self.fill(small)
        self.use_up_inodes(small)
        self.assertIn("warning: the repository is full: there was no room for a lease. "
                      "What a prune took away at the same time is told as damage", read_all())
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        self.assertEqual(read_all(), "")

    @unittest.skipUnless(is_root(), "needs to mount a small file system")
    def test_damage_is_found_on_a_full_disk_and_said_to_be_not_noted(self):
        small = self.make_repository_on_small_disk()
        pack = max(self.repository.glob("packs/**/*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
        with open(pack, "r+b") as file:
            file.seek(pack.stat().st_size // 2)
            file.write(b"damage")
        self.fill(small)
        outcome = self.holdfast("check", "--read-data", expect=DAMAGED)
        self.assertIn("which packs are damaged could not be noted in it: make room and check again", " ".join(outcome.err.split()))

    @unittest.skipUnless(is_root(), "needs to mount a small file system")
    def test_prune_on_a_full_disk_says_how_to_make_room(self):
        small = self.make_repository_on_small_disk()
        ballast = self.fill(small)
        newest = self.holdfast("latest").out
        outcome = self.holdfast("prune", "--grace", "0s", expect=NO_SPACE)
        self.assertIn("hint: what goes is marked before it is deleted, which takes a few hundred KiB: make that room on the repository's disk, "
                      "then run 'holdfast prune --grace 0s', and again two minutes later", outcome.err)
        self.assertEqual(self.holdfast("latest").out, newest)
        # As it says, but for the two minutes.
        os.truncate(ballast, ballast.stat().st_size - (300 << 10))
        for _ in range(2):
            self.holdfast("prune", "--grace", "0s", "--visibility-margin", "0s")
        usage = shutil.disk_usage(small)
        self.assertGreater(usage.free, 6 << 20)
        self.assertEqual(len(self.holdfast("points", "--json").json()["points"]), 1)
        self.holdfast("check", "--read-data")
        self.holdfast("restore", "--to", self.scratch / "out")


class CommandLine(Case):
    def test_a_number_that_is_none_is_said_in_plain_words(self):
        for words, says in ((["restore", "--xid", "abc"], "--xid wants a number, not 'abc'"),
                            (["points", "--last", 0], "--last wants a number from 1 to 1000000, not '0'"),
                            (["points", "--threads", 0], "--threads wants a number from 1 to 256, not '0'")):
            self.assertIn(f"holdfast: {says}\n", self.holdfast(*words, config=False, expect=USAGE).err)

    def test_unknown_command_option_and_argument(self):
        self.refuse("bakup", status=USAGE, says="unknown command 'bakup'", hint="did you mean 'backup'?")
        self.refuse("restore", "--dryrun", status=USAGE, says="unknown option '--dryrun'", hint="did you mean '--dry-run'?")
        self.refuse("bakup", "--help", status=USAGE, says="unknown command 'bakup'", hint="did you mean 'backup'?")
        self.refuse("key", "lst", "-h", status=USAGE, says="unknown command 'lst'", hint="did you mean 'list'?")
        self.assertIn("holdfast restore", self.holdfast("restore", "--help").out)
        self.refuse("points", "extra", status=USAGE, says="unexpected argument 'extra'")
        self.refuse("key", status=USAGE, says="a command is missing: list, add, remove, change, rotate")

    def test_bad_values(self):
        self.make_stack(backup=False)
        self.refuse("check", "--read-data=200%", status=USAGE, says="from 1% to 100%")
        self.refuse("prune", "--keep-within", "5", status=USAGE, says="--keep-within")
        self.refuse("restore", "--tablespace", "x", status=USAGE, says="OLD=NEW")
        self.refuse("restore", "--at", "latest", "--immediate", status=USAGE, says="exclude each other")
        for target in (("--at", "1 minute ago"), ("--lsn", "0/3000000"), ("--xid", "800"), ("--name", "before"), ("--immediate",)):
            self.refuse("restore", "--standby", *target, status=USAGE, says=f"--standby and {target[0]}", hint="leave --standby out")
        self.refuse("verify", "--boot", "--offline", status=USAGE, says="exclude each other")
        self.refuse("points", "--passphrase", "hunter2", status=USAGE, says="must be a reference")

    def test_errors_as_json(self):
        self.write_config()
        outcome = self.holdfast("points", "--json", expect=NO_REPOSITORY)
        error = outcome.json()["error"]
        self.assertEqual((error["code"], error["exit_status"]), ("no-repository", NO_REPOSITORY))
        self.assertIn("init", error["hint"])
        self.assertEqual(outcome.err, "")
        self.assertEqual(self.holdfast("nonsense", "--json", expect=USAGE).json()["error"]["code"], "usage")

    def test_wal_get_never_says_absent_when_it_does_not_know(self):
        self.write_config()
        name = "000000010000000000000001"
        self.holdfast("wal", "get", name, "out", expect=126)              # no repository
        self.holdfast("wal", "get", name, expect=126)                     # no path
        self.holdfast("wal", "get", "--nonsense", name, "out", expect=126)
        self.holdfast("wal", "--quiet", "get", "--nonsense", name, "out", expect=126)
        self.holdfast("wal", "-q", "get", expect=126)
        self.config.write_text("nonsense: [")
        self.holdfast("wal", "get", name, "out", expect=126)


if __name__ == "__main__":
    unittest.main(verbosity=2)
