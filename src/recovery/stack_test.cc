#include "recovery/stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "recovery/cluster.h"
#include "recovery/settings.h"

namespace holdfast::recovery {
namespace {

constexpr const char* kWhole = R"(stack: demo
repository:
  location: repo
  passphrase: file:demo.pass
  compression: 7
threads: 3
components:
  - name: db
    kind: postgres
    rto: 1h
    rpo: 5m
    connection: host=/run/postgresql port=5432 user=postgres dbname=postgres
    password: env:DB_SECRET
    data_directory: /var/lib/postgresql/15/main
    method: files
    synchronous: true
    assertions:
      - {name: accounts balanced, database: app, sql: "select sum(delta) = 0 from entries"}
  - name: data
    kind: files
    paths: [/srv/data, relative]
    exclude: ["*.tmp"]
    one_file_system: yes
retention: {keep_last: 7, keep_daily: 14, keep_within: 2d, keep_tags: [hold]}
collection_grace: 2h
)";

std::string error_of(const std::string& text) {
  auto parsed = parse_stack(text, "holdfast.yaml");
  if (parsed.ok()) return "accepted";
  EXPECT_EQ(parsed.error().code(), ErrorCode::kConfig);
  return parsed.error().text();
}

TEST(Stack, ReadsEveryKey) {
  auto parsed = parse_stack(kWhole, "/etc/holdfast/holdfast.yaml");
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  const StackConfig& config = parsed.value();
  EXPECT_EQ(config.path, "/etc/holdfast/holdfast.yaml");
  EXPECT_EQ(config.stack, "demo");
  EXPECT_EQ(config.repository, "/etc/holdfast/repo");
  EXPECT_EQ(config.passphrase, "file:/etc/holdfast/demo.pass");
  EXPECT_EQ(config.compression_level, 7);
  EXPECT_EQ(config.threads, 3u);
  EXPECT_EQ(config.collection_grace, Duration::hours(2));
  EXPECT_EQ(config.retention.keep_last, 7u);
  EXPECT_EQ(config.retention.keep_within, Duration::hours(48));
  EXPECT_EQ(config.retention.keep_tags, std::vector<std::string>{"hold"});
  ASSERT_EQ(config.components.size(), 2u);
  const ComponentConfig& db = config.components[0];
  EXPECT_EQ(db.rto, Duration::hours(1));
  EXPECT_EQ(db.postgres.method, "files");
  EXPECT_EQ(db.postgres.slot, "holdfast_db");
  EXPECT_TRUE(db.postgres.synchronous);
  ASSERT_EQ(db.postgres.assertions.size(), 1u);
  EXPECT_EQ(db.postgres.assertions[0].database, "app");
  const ComponentConfig& data = config.components[1];
  EXPECT_EQ(data.files.paths, (std::vector<std::string>{"/srv/data", "/etc/holdfast/relative"}));
  EXPECT_TRUE(data.files.one_file_system);
  EXPECT_EQ(config.find("data"), &config.components[1]);
  EXPECT_EQ(config.find("none"), nullptr);
}

TEST(Stack, UnknownKeysNameFileLineAndTheNearestKey) {
  EXPECT_EQ(error_of("stack: a\nrepository:\n  location: /r\n  pasphrase: file:/p\n"),
            "holdfast.yaml:4: unknown key 'pasphrase' in repository (did you mean 'passphrase'?)");
  EXPECT_EQ(error_of("stack: a\nzzzzzzzz: 1\n"),
            "holdfast.yaml:2: unknown key 'zzzzzzzz' at the top level (known keys: stack, repository, threads, "
            "components, parallel, when_a_component_fails, before_backup, after_backup, retention, "
            "collection_grace)");
  EXPECT_EQ(error_of("components:\n  - name: data\n    kind: files\n    pathes: [/x]\n"),
            "holdfast.yaml:4: unknown key 'pathes' in component 'data' of kind files (did you mean 'paths'?)");
}

TEST(Stack, BadValuesNameFileLineAndKey) {
  EXPECT_EQ(error_of("threads: many\n"), "holdfast.yaml:1: 'threads' must be a whole number from 0 to 256, not 'many'");
  EXPECT_EQ(error_of("stack: a\nstack: b\n"), "holdfast.yaml:2: key 'stack' stands twice at the top level");
  EXPECT_EQ(error_of("stack: 'a b'\n"),
            "holdfast.yaml:1: 'stack' must be made of letters, digits, '-' and '_' (at most 40), not 'a b'");
  EXPECT_EQ(error_of("components:\n  - {name: d, kind: mysql}\n"),
            "holdfast.yaml:2: 'kind' must be one of postgres, redis, files, not 'mysql'");
  EXPECT_EQ(error_of("components:\n  - {name: d, kind: files, paths: [/a], rto: 5}\n"),
            "holdfast.yaml:2: 'rto' must be a duration such as 30s, 5m, 1h30m or 7d, not '5'");
  EXPECT_EQ(error_of("components:\n  - {name: d, kind: files}\n"), "holdfast.yaml:2: component 'd' has no 'paths'");
  EXPECT_EQ(error_of(""), "holdfast.yaml: the file is empty");
  EXPECT_EQ(error_of("stack: a\n"), "holdfast.yaml:1: there is no 'repository.location'");
}

std::string with_components(const std::string& components, const std::string& more = "") {
  return "stack: a\nrepository: {location: /r, passphrase: env:X}\ncomponents:\n" + components + more;
}

TEST(Stack, ReadsWhatABackupRunsAndInWhichOrder) {
  const auto parsed =
      parse_stack(with_components("  - {name: db, kind: postgres}\n"
                                  "  - name: data\n    kind: files\n    paths: [/d]\n    after: [db]\n"
                                  "    before_backup:\n      - [app, hold, still]\n"
                                  "      - {command: [app, --wait, ''], timeout: 5m}\n"
                                  "    after_backup: [[app, go]]\n",
                                  "parallel: 3\nwhen_a_component_fails: commit_degraded\nbefore_backup: [[sync]]\n"
                                  "retention: {keep_last: 1, keep_window: 7d}\n"),
                  "holdfast.yaml");
  ASSERT_TRUE(parsed.ok()) << parsed.error().text();
  const StackConfig& config = parsed.value();
  EXPECT_EQ(config.parallel, 3u);
  EXPECT_EQ(config.when_a_component_fails, WhenAComponentFails::kCommitDegraded);
  ASSERT_EQ(config.commands.before.size(), 1u);
  EXPECT_EQ(config.commands.before[0].argv, std::vector<std::string>{"sync"});
  EXPECT_EQ(config.commands.before[0].timeout, Duration::seconds(60));
  const ComponentConfig& data = config.components[1];
  EXPECT_EQ(data.after, std::vector<std::string>{"db"});
  ASSERT_EQ(data.commands.before.size(), 2u);
  EXPECT_EQ(data.commands.before[1].argv, (std::vector<std::string>{"app", "--wait", ""}));
  EXPECT_EQ(data.commands.before[1].timeout, Duration::seconds(300));
  EXPECT_EQ(data.commands.after[0].argv, (std::vector<std::string>{"app", "go"}));
  EXPECT_EQ(config.retention.keep_window, Duration::hours(7 * 24));
  EXPECT_EQ(StackConfig().parallel, 2u);
  EXPECT_EQ(StackConfig().when_a_component_fails, WhenAComponentFails::kCommitNothing);
}

TEST(Stack, AnOrderThatCanNotBeIsRefused) {
  const auto component = [](const std::string& name, const std::string& after) {
    return "  - {name: " + name + ", kind: files, paths: [/d], after: " + after + "}\n";
  };
  EXPECT_EQ(error_of(with_components(component("a", "[]") + component("b", "[aa]"))),
            "holdfast.yaml:5: 'after' of component 'b' names 'aa', which is no component (did you mean 'a'?)");
  EXPECT_EQ(error_of(with_components(component("a", "[a]"))),
            "holdfast.yaml:4: 'after' goes around in a circle: a after a");
  EXPECT_EQ(error_of(with_components(component("x", "[b]") + component("a", "[c]") + component("b", "[a]") +
                                     component("c", "[x, b]"))),
            "holdfast.yaml:4: 'after' goes around in a circle: x after b after a after c after x");
  EXPECT_EQ(error_of(with_components(component("a", "[c]") + component("b", "[a]") + component("c", "[]"))),
            "accepted");
}

TEST(Stack, ACommandIsAListOfWords) {
  EXPECT_EQ(error_of("before_backup: [sync now]\n"),
            "holdfast.yaml:1: 'before_backup' must be a list of commands, each a list of words such as [systemctl, "
            "stop, app], or {command: [...], timeout: 30s}");
  EXPECT_EQ(error_of("before_backup: sync\n"), "holdfast.yaml:1: 'before_backup' must be a list");
  EXPECT_EQ(error_of("before_backup: [[]]\n"), "holdfast.yaml:1: a command of 'before_backup' is empty");
  EXPECT_EQ(error_of("before_backup: [{command: []}]\n"), "holdfast.yaml:1: a command of 'before_backup' is empty");
  EXPECT_EQ(error_of("before_backup: [{command: [app, [now]]}]\n"),
            "holdfast.yaml:1: a word of a command of 'before_backup' is no text");
  EXPECT_EQ(error_of("before_backup: [{command: app}]\n"), "holdfast.yaml:1: 'command' must be a list");
  EXPECT_EQ(error_of("after_backup: [{timeout: 5s}]\n"),
            "holdfast.yaml:1: a command of 'after_backup' has no 'command'");
  EXPECT_EQ(error_of("after_backup: [{command: [x], timeout: 0s}]\n"),
            "holdfast.yaml:1: 'timeout' must be longer than nothing");
  EXPECT_EQ(error_of("when_a_component_fails: panic\n"),
            "holdfast.yaml:1: 'when_a_component_fails' must be one of commit_nothing, commit_degraded, not 'panic'");
  EXPECT_EQ(error_of("parallel: 0\n"), "holdfast.yaml:1: 'parallel' must be a whole number from 1 to 16, not '0'");
}

TEST(Stack, NeverRepeatsASecretThatStandsInTheFile) {
  const std::string error = error_of("stack: a\nrepository:\n  location: /r\n  passphrase: hunter2\n");
  EXPECT_EQ(
      error,
      "holdfast.yaml:4: 'passphrase' must be a reference: file:PATH, env:NAME or exec:COMMAND, not the secret itself");
  EXPECT_NE(error_of("components:\n  - {name: d, kind: postgres, connection: host=x password=hunter2}\n")
                .find("holds a password"),
            std::string::npos);
}

TEST(Stack, NotYamlNamesTheLine) {
  EXPECT_EQ(error_of("stack: a\nrepository: [\n").substr(0, 38), "holdfast.yaml:3: this is not YAML: end");
}

TEST(Settings, LaterConnectionKeywordsWin) {
  EXPECT_EQ(with_connection_keyword("host=/run port=5432", "host", "db'1"), "host=/run port=5432 host='db\\'1'");
  EXPECT_EQ(with_connection_keyword("", "port", "5433"), "port='5433'");
  EXPECT_EQ(with_connection_keyword("postgresql://u@h/db", "host", "/run/x"), "postgresql://u@h/db?host=%2Frun%2Fx");
  EXPECT_EQ(with_connection_keyword("postgresql://u@h/db?port=1", "port", "2"), "postgresql://u@h/db?port=1&port=2");
}

class SettingsFile : public testing::Test {
 protected:
  SettingsFile() {
    char pattern[] = "/tmp/holdfast-settings-XXXXXX";
    directory_ = mkdtemp(pattern);
    file_ = directory_ + "/stack.yaml";
    EXPECT_TRUE(write_file_durably(real_file_system(), file_, as_bytes(kWhole)).ok());
  }
  ~SettingsFile() override { EXPECT_TRUE(remove_tree(real_file_system(), directory_).ok()); }

  Result<StackConfig> settle(Overrides overrides) {
    return settle_stack(real_file_system(), overrides, [this](const char* name) -> const char* {
      const auto found = environment_.find(name);
      return found == environment_.end() ? nullptr : found->second.c_str();
    });
  }

  std::string directory_, file_;
  std::map<std::string, std::string> environment_;
};

TEST_F(SettingsFile, FlagBeatsVariableBeatsFile) {
  environment_["HOLDFAST_CONFIG"] = file_;
  EXPECT_EQ(settle({}).value().threads, 3u);
  environment_["HOLDFAST_THREADS"] = "5";
  environment_["HOLDFAST_REPOSITORY"] = "/from/variable";
  environment_["BACKUP_ENCRYPTION_KEY"] = "seed";
  auto config = settle({});
  EXPECT_EQ(config.value().threads, 5u);
  EXPECT_EQ(config.value().repository, "/from/variable");
  EXPECT_EQ(config.value().passphrase, "env:BACKUP_ENCRYPTION_KEY");
  environment_["HOLDFAST_PASSPHRASE"] = "ours";
  EXPECT_EQ(settle({}).value().passphrase, "env:HOLDFAST_PASSPHRASE");
  Overrides flags;
  flags.threads = 9;
  flags.repository = "/from/flag";
  flags.passphrase = "file:/flag";
  config = settle(flags);
  EXPECT_EQ(config.value().threads, 9u);
  EXPECT_EQ(config.value().repository, "/from/flag");
  EXPECT_EQ(config.value().passphrase, "file:/flag");
}

TEST_F(SettingsFile, ARestoredServerFetchesFromWhereItWasRestoredFrom) {
  const auto command = [&](const Overrides& flags) {
    const std::string whole = restore_command(settle(flags).value(), "db", {});
    return whole.substr(whole.find(' '), whole.find(" wal get") - whole.find(' '));
  };
  Overrides flags;
  flags.config = file_;
  EXPECT_EQ(command(flags), " --config '" + file_ + "'");
  environment_["HOLDFAST_REPOSITORY"] = "/from/variable";
  EXPECT_EQ(command(flags), " --config '" + file_ + "' --repository '/from/variable'");
  flags.repository = "from/flag";
  flags.passphrase = "file:pass";
  EXPECT_EQ(command(flags), fmt::format(" --config '{}' --repository '{}' --passphrase 'file:{}'", file_,
                                        absolute_path("from/flag"), absolute_path("pass")));
  flags.config.reset();
  EXPECT_EQ(command(flags), fmt::format(" --config '' --repository '{}' --passphrase 'file:{}'",
                                        absolute_path("from/flag"), absolute_path("pass")));
}

TEST_F(SettingsFile, ThePassphraseOfAVariableIsLeftToTheServersFile) {
  Overrides flags;
  flags.config = file_;
  EXPECT_EQ(restore_command_note(settle(flags).value()), "");
  for (const char* variable : {"BACKUP_ENCRYPTION_KEY", "HOLDFAST_PASSPHRASE"}) {
    environment_[variable] = "x";
    const StackConfig config = settle(flags).value();
    EXPECT_EQ(restore_command(config, "db", {}).find("--passphrase"), std::string::npos);
    EXPECT_EQ(restore_command_variable(config), "");
    EXPECT_EQ(restore_command_note(config),
              fmt::format("its restore_command takes the passphrase from file:{}/demo.pass ({}) where {} is not in its "
                          "environment",
                          directory_, file_, variable));
  }
  // A flag is written out as it was given, also where the file says the same.
  flags.passphrase = "env:OTHER";
  EXPECT_THAT(restore_command(settle(flags).value(), "db", {}), testing::HasSubstr(" --passphrase 'env:OTHER' "));
  EXPECT_EQ(restore_command_variable(settle(flags).value()), "OTHER");
  EXPECT_EQ(restore_command_note(settle(flags).value()), "its environment must hold OTHER, for its restore_command");
  flags.passphrase = "file:" + directory_ + "/demo.pass";
  EXPECT_THAT(restore_command(settle(flags).value(), "db", {}), testing::HasSubstr(*flags.passphrase));
  EXPECT_EQ(restore_command_note(settle(flags).value()), "");
}

TEST_F(SettingsFile, DatabaseVariablesReachTheOnlyPostgresComponent) {
  environment_["HOLDFAST_CONFIG"] = file_;
  environment_["DB_HOST"] = "db.example";
  environment_["DB_PORT"] = "6543";
  const auto config = settle({});
  EXPECT_EQ(config.value().find("db")->postgres.connection,
            "host=/run/postgresql port=5432 user=postgres dbname=postgres host='db.example' port='6543'");
}

TEST_F(SettingsFile, MissingFileAndBadNumbersAreConfigErrors) {
  Overrides flags;
  flags.config = directory_ + "/absent.yaml";
  EXPECT_EQ(settle(flags).error().code(), ErrorCode::kConfig);
  EXPECT_EQ(settle(flags).error().hint(), "name the file that 'holdfast init' wrote, or run that to write one");
  flags.config = file_;
  environment_["HOLDFAST_THREADS"] = "x";
  EXPECT_EQ(settle(flags).error().text(), "HOLDFAST_THREADS must be a whole number from 0 to 256, not 'x'");
}

TEST_F(SettingsFile, AnEmptyNameIsNoFile) {
  environment_["HOLDFAST_CONFIG"] = file_;
  Overrides flags;
  flags.repository = "/r";
  flags.passphrase = "env:X";
  EXPECT_EQ(settle(flags).value().path, file_);
  flags.config = "";
  EXPECT_EQ(settle(flags).value().path, "");
  flags.repository.reset();
  EXPECT_EQ(settle(flags).error().message(), "no configuration is read (--config ''), and no repository is named");
  EXPECT_EQ(settle(flags).error().hint(), "give --repository and --passphrase");
}

TEST_F(SettingsFile, AnEmptyVariableIsNone) {
  const Overrides flags;
  EXPECT_EQ(find_stack_file(real_file_system(), flags, [](const char*) { return ""; }).value(),
            find_stack_file(real_file_system(), flags, [](const char*) -> const char* { return nullptr; }).value());
}

TEST_F(SettingsFile, ALocationAndAPassphraseAreEnoughWithoutAFile) {
  Overrides flags;
  flags.repository = "/r";
  EXPECT_EQ(settle(flags).error().code(), ErrorCode::kConfig);
  flags.passphrase = "env:X";
  EXPECT_EQ(settle(flags).value().repository, "/r");
  flags.passphrase = "plain";
  EXPECT_EQ(settle(flags).error().code(), ErrorCode::kUsage);
}

}  // namespace
}  // namespace holdfast::recovery
