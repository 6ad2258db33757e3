// Covers: shapes in which people write runbooks, annotations with their errors, and plans.

#include "runbook/reader.h"

#include <gmock/gmock.h>

#include <map>

#include "runbook/plan.h"
#include "runbook/step_script.h"

namespace holdfast::runbook {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Document read(const std::string& text) {
  auto document = read_document(text, "r.md");
  EXPECT_TRUE(document.ok());
  return std::move(document).value();
}

std::vector<std::string> steps_of(const Document& document) {
  std::vector<std::string> steps;
  for (const Procedure& procedure : document.scenarios)
    for (const Step& step : procedure.steps)
      steps.push_back(step.title.text + "@" + std::to_string(step.range.begin.line));
  return steps;
}

TEST(Shapes, FenceAtColumnZeroBelongsToItsItem) {
  EXPECT_THAT(steps_of(read("## Scenario 1: X\n\n1. **Stop it**\n```bash\nsystemctl stop x\n```\n2. **Start "
                            "it**\n```bash\nsystemctl start x\n```\n")),
              ElementsAre("Stop it@5", "Start it@9"));
}

TEST(Shapes, AnItemWithoutWordsIsNoStep) {
  EXPECT_THAT(steps_of(read("## Scenario 1: X\n\n1. ****\n\n```bash\n# only a remark\n```\n")), ElementsAre("X@5"));
  EXPECT_THAT(steps_of(read("## Scenario 1: X\n\n1. Look\n2. <!-- later -->\n\n```bash\n# only a remark\n```\n")),
              ElementsAre("Look@3", "X@6"));
}

TEST(Shapes, NumberedCommentsInOneFence) {
  EXPECT_THAT(
      steps_of(read("## Scenario 1: X\n\n```bash\n# 1. Look\ndocker ps\n\n# 2. Restart\ndocker restart x\n```\n")),
      ElementsAre("Look@4", "Restart@7"));
}

TEST(Shapes, SetextHeadingsIndentedCodeAndPrompts) {
  const Document document = read(
      "Restoring from a backup\n-----------------------\n\n**Steps:**\n\n1. Restore:\n\n       $ restic restore "
      "latest\n       restored 3 files\n");
  ASSERT_EQ(document.scenarios.size(), 1u);
  ASSERT_EQ(document.scenarios[0].steps.size(), 1u);
  const Step& step = document.scenarios[0].steps[0];
  EXPECT_EQ(step.text, "restic restore latest\n");
  EXPECT_EQ(step.lines[0].begin, (Position{8, 10}));
  EXPECT_EQ(step.sample_output.size(), 1u);
}

TEST(Shapes, CrLfAndDetails) {
  EXPECT_THAT(steps_of(read("<details>\r\n<summary>S</summary>\r\n\r\n## Scenario 1: X\r\n\r\n1. **Look**\r\n   "
                            "```bash\r\n   docker ps\r\n   ```\r\n\r\n</details>\r\n")),
              ElementsAre("Look@8"));
}

TEST(Shapes, GlossariesAndReportTemplatesAreNoObjectives) {
  const Document document = read(
      "# R\n\n## Glossary\n\n- **RTO**: 4 hours is an example\n\n## Scenario 1: X\n\n```bash\ncat > r.md << EOF\nRTO: "
      "4 hours\nEOF\n```\n");
  EXPECT_TRUE(document.objectives.empty());
}

TEST(Shapes, ObjectivesInOneLineAndInYaml) {
  EXPECT_EQ(read("# R\n\nRTO: 4 hours, RPO: 15 minutes\n").objectives.size(), 1u);
  const Document document = read("# R\n\n## Recovery Objectives\n\n```yaml\ndatabase:\n  rto: 1h\n  rpo: 5m\n```\n");
  ASSERT_EQ(document.objectives.size(), 1u);
  EXPECT_EQ(document.objectives[0].subject.text, "database");
}

const Step& only_step(const Document& document) {
  EXPECT_EQ(document.scenarios.size(), 1u);
  EXPECT_EQ(document.scenarios[0].steps.size(), 1u);
  return document.scenarios[0].steps[0];
}

TEST(Shapes, WhatTheGrammarNeedsIsNoOutput) {
  const std::string text =
      "psql -c 'select 1\n| 2\n'\ncat <<EOF\n| a | b |\n---\nshop-0\nEOF\nkubectl get pods |\n\n  sort-2\n"
      "cat x \\\n  | sort\nfor name in a; do\n  echo $name\n  backup-2\ndone\n";
  const Document document = read("## Scenario 1: X\n\n```bash\n" + text + "```\n");
  EXPECT_EQ(only_step(document).text, text);
  EXPECT_TRUE(only_step(document).sample_output.empty());
}

TEST(Shapes, OutputBelowACommandIsCutOut) {
  const Document document = read(
      "## Scenario 1: X\n\n```bash\npsql -c 'select 1'\n+---+\n| n |\n| it's |\necho $POD\nshop-postgres-0\n```\n");
  EXPECT_EQ(only_step(document).text, "psql -c 'select 1'\necho $POD\n");
  EXPECT_EQ(only_step(document).sample_output.size(), 4u);
}

TEST(Shapes, NothingIsCutBelowAQuoteThatIsNeverClosed) {
  const std::string text = "psql -c \"select\n| 1\n| 2\n";
  EXPECT_EQ(only_step(read("## Scenario 1: X\n\n```bash\n" + text + "```\n")).text, text);
}

TEST(Shapes, BelowAPromptWhatTheGrammarNeedsIsKept) {
  const Document document = read(
      "## Scenario 1: X\n\n```console\n$ cat > x <<EOF\nshop-0\nEOF\n$ psql -c \"select\n1\"\n it's 1\n(1 row)\n$ "
      "docker "
      "ps |\n  sort\nCONTAINER\n```\n");
  EXPECT_EQ(only_step(document).text, "cat > x <<EOF\nshop-0\nEOF\npsql -c \"select\n1\"\ndocker ps |\n  sort\n");
  EXPECT_EQ(only_step(document).sample_output.size(), 3u);
}

TEST(Shapes, ABoldTitleWithWordsAndATimeBehindIt) {
  const Document document = read(
      "## Scenario 1: X\n\n1. **Decide**: the manager agrees, or it ends here (3 minutes)\n2. **Wait:** until it is "
      "up\n");
  const auto& steps = document.scenarios[0].steps;
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].title.text, "Decide");
  EXPECT_EQ(steps[0].prose, "the manager agrees, or it ends here");
  ASSERT_TRUE(steps[0].budget.has_value());
  EXPECT_EQ(steps[0].budget->most, Duration::seconds(180));
  EXPECT_EQ(steps[1].title.text, "Wait");
  EXPECT_EQ(steps[1].prose, "until it is up");
  EXPECT_TRUE(document.scenarios[0].attributes.empty());
}

TEST(Shapes, OfSeveralPathsTheFirstBehindTheVerbIsMade) {
  const Document document = read(
      "# R\n\n## Scripts\n\nIn `/srv/app`, create `/scripts/a.sh` (and `/etc/b.conf`, if there is "
      "none):\n\n```bash\necho "
      "a\n```\n");
  ASSERT_EQ(document.embedded_files.size(), 1u);
  EXPECT_EQ(document.embedded_files[0].path.text, "/scripts/a.sh");
}

TEST(Shapes, CommentsBehindValuesOfTheEnvironment) {
  const Document document = read(
      "# R\n\n## Environment\n\n```bash\nDB_HOST=db.internal  # the primary\nDB_PASS='a # b' # "
      "quoted\nCOLOR=#fff\nURL=http://x/#y\n"
      "OPEN=  # asked for\n```\n");
  std::vector<std::string> values;
  for (const VariableDefinition& each : document.variables) values.push_back(each.value.text);
  EXPECT_THAT(values, ElementsAre("db.internal", "a # b", "", "http://x/#y", ""));
  EXPECT_FALSE(document.variables[0].placeholder);
  EXPECT_TRUE(document.variables[4].placeholder);
}

constexpr const char* kEnvironment =
    "# R\n\n## Environment\n\n```bash\nBASE=/srv\nBACKUP_DIR=$BASE/backup\nDEEP=\"${BACKUP_DIR}/x y\"\nSINGLE='x "
    "$BASE'\nTILDE=~/data\nCONT=abc\\ def\nOTHER=$HOST/x\nDEFAULT=${BASE:-/x}\nPRICE='5$'\n```\n\n"
    "## Scenario 1: X\n\n```bash\nls $BASE $BACKUP_DIR $DEEP $SINGLE $TILDE $CONT $OTHER $DEFAULT $PRICE\n```\n";

// Of each variable that is known, its value.
std::map<std::string, std::string> known_values(const PlanRequest& request) {
  const Document document = read(kEnvironment);
  const auto plan = make_plan(document, request);
  std::map<std::string, std::string> values;
  EXPECT_TRUE(plan.ok());
  if (!plan.ok()) return values;
  for (const Input& input : plan.value().inputs)
    if (input.known) values[input.name] = input.value;
  return values;
}

TEST(Shapes, ValuesOfTheEnvironmentAreThoseOfAShell) {
  EXPECT_EQ(known_values({.procedure = "1"}), (std::map<std::string, std::string>{{"BASE", "/srv"},
                                                                                  {"BACKUP_DIR", "/srv/backup"},
                                                                                  {"DEEP", "/srv/backup/x y"},
                                                                                  {"SINGLE", "x $BASE"},
                                                                                  {"CONT", "abc def"},
                                                                                  {"PRICE", "5$"}}));
}

TEST(Shapes, ValuesMadeOfWhatTheRunGivesAreOpen) {
  const auto values = known_values({.procedure = "1", .variables = {{"BASE", "/mnt"}}});
  EXPECT_FALSE(values.contains("BACKUP_DIR") || values.contains("DEEP"));
  EXPECT_EQ(values.at("CONT"), "abc def");
}

TEST(Plan, AsksForWhatTheDocumentGivesTwoValues) {
  const Document document = read(
      "# R\n\n## Environment\n\n```bash\nBASE=/a\nMODE=x\nWHERE=$BASE/x\nLIST=a b\nQUOTED='a b'\n```\n\n## Staging "
      "environment\n\n```bash\nBASE=/b\nMODE=x\nDIR=$BASE/x\n```\n\n## Scenario 1: X\n\n```bash\necho $BASE $DIR "
      "$WHERE $MODE $LIST $QUOTED\n```\n");
  const auto plan = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(plan.ok());
  std::vector<std::string> inputs;
  for (const Input& each : plan.value().inputs) inputs.push_back(each.name + (each.known ? "=" + each.value : "?"));
  EXPECT_THAT(inputs, ElementsAre("BASE?", "DIR?", "WHERE?", "MODE=x", "LIST?", "QUOTED=a b"));
}

TEST(Shapes, CronCommandsThatMakeCopies) {
  const Document document = read(
      "# R\n\n## Schedules\n\n```cron\n0 1 * * * /scripts/backup-db.sh\n0 2 * * * /scripts/backup-integrity.sh\n"
      "0 3 * * * find /backups -mtime +7 -delete\n0 4 * * * holdfast --config /etc/x.yaml backup\n"
      "0 5 * * * holdfast verify --component backup\n0 6 * * * npm run backup:daily\n0 7 * * * npm run backup:verify\n"
      "0 8 * * * pg_dump shop > /var/check/x.sql\n0 9 * * * rsync -a /data /backup/\n"
      "0 9 * * * /opt/verify-dump.sh\n```\n");
  std::vector<bool> copies;
  for (const Schedule& each : document.schedules) copies.push_back(each.backup);
  EXPECT_THAT(copies, ElementsAre(true, false, false, true, false, true, false, true, true, false));
}

TEST(Annotations, InInfoStringsAndComments) {
  const Document document = read(
      "## Scenario 1: X\n\n```bash {id=a timeout=30m verify=\"test -f /x\" on_crash=retry approve=dba drill=skip "
      "env=A=1 env=B=2}\ntrue\n```\n\n<!-- holdfast: id=b retries=3 -->\n\n```bash\ntrue\n```\n");
  EXPECT_TRUE(document.errors.empty());
  const auto& steps = document.scenarios[0].steps;
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].id, "a");
  EXPECT_EQ(steps[0].annotations.timeout, Duration::seconds(1800));
  EXPECT_EQ(steps[0].annotations.verify, "test -f /x");
  EXPECT_EQ(steps[0].annotations.on_crash, OnCrash::kRetry);
  EXPECT_EQ(steps[0].annotations.env.size(), 2u);
  EXPECT_EQ(steps[1].id, "b");
  EXPECT_EQ(steps[1].annotations.retries, 3);
}

TEST(Annotations, UnknownKeysAreErrorsWithAHint) {
  const Document document = read("## Scenario 1: X\n\n```bash {timout=5m}\ntrue\n```\n");
  ASSERT_EQ(document.errors.size(), 1u);
  EXPECT_EQ(document.errors[0].message, "unknown key 'timout' in an annotation");
  EXPECT_EQ(document.errors[0].hint, "did you mean 'timeout'?");
  EXPECT_EQ(document.errors[0].range.begin.line, 3u);
  EXPECT_EQ(make_plan(document, {.procedure = "1"}).error().code(), ErrorCode::kInvalidData);
}

TEST(Annotations, FrontMatterIsTheDefault) {
  const Document document = read(
      "---\ntitle: x\nholdfast:\n  workdir: /srv\n  on_crash: fail\n---\n## Scenario 1: X\n\n```bash\ntrue\n```\n");
  EXPECT_TRUE(document.errors.empty());
  EXPECT_EQ(document.scenarios[0].steps[0].annotations.workdir, "/srv");
  EXPECT_EQ(document.scenarios[0].steps[0].range.begin.line, 10u);
}

constexpr const char* kChoices =
    "# R\n\n## Scenario 1: Outage\n\n### Recovery Procedure\n\n#### Option A: Restart (5-10 "
    "minutes)\n```bash\nsystemctl restart x\n# or\ndocker restart x\n```\n\n"
    "#### Option B: Restore (30-60 minutes)\n```bash\nrestore --id=<backup_id> \"$TOKEN\"\n```\n";

TEST(Plan, AsksForOptionsAlternativesAndValues) {
  const Document document = read(kChoices);
  const auto open = make_plan(document, {.procedure = "outage"});
  ASSERT_TRUE(open.ok());
  EXPECT_FALSE(open.value().complete());
  ASSERT_EQ(open.value().choices.size(), 1u);
  EXPECT_EQ(open.value().choices[0].key, "recovery-procedure");

  const auto restart = make_plan(document, {.procedure = "1", .choices = {"A", "restart=2"}});
  ASSERT_TRUE(restart.ok()) << restart.error().text();
  EXPECT_TRUE(restart.value().complete());
  EXPECT_EQ(restart.value().steps[0].script, "docker restart x\n");
  EXPECT_EQ(restart.value().steps[1].skipped, "another option is chosen");

  const auto restore =
      make_plan(document, {.procedure = "1", .choices = {"recovery-procedure=B"}, .variables = {{"backup_id", "7"}}});
  ASSERT_TRUE(restore.ok());
  ASSERT_EQ(restore.value().inputs.size(), 2u);
  EXPECT_EQ(restore.value().inputs[0].name, "TOKEN");
  EXPECT_TRUE(restore.value().inputs[0].secret);
  EXPECT_FALSE(restore.value().inputs[0].known);
  EXPECT_TRUE(restore.value().inputs[1].known);
  EXPECT_EQ(fill_placeholders(*restore.value().steps[1].step, restore.value().steps[1].script, {{"backup_id", "7"}}),
            "restore --id=7 \"$TOKEN\"\n");
}

TEST(Plan, RefusesWhatFitsNothing) {
  const Document document = read(kChoices);
  EXPECT_EQ(make_plan(document, {.procedure = "1", .choices = {"Z"}}).error().code(), ErrorCode::kUsage);
  EXPECT_EQ(make_plan(document, {.procedure = "9"}).error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(make_plan(document, {.procedure = "1", .from = "nothing"}).error().code(), ErrorCode::kNotFound);
}

TEST(Plan, AVariableOfAnEarlierStepIsOpen) {
  const Document document = read(
      "## Scenario 1: X\n\n1. **Find**\n   ```bash\n   HOST=db; ping -c 1 $HOST\n   ```\n2. **Use**\n   ```bash\n   "
      "ping -c 1 "
      "$HOST\n   ```\n");
  const auto plan = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(plan.ok());
  EXPECT_FALSE(plan.value().complete());
  ASSERT_EQ(plan.value().inputs.size(), 1u);
  EXPECT_EQ(plan.value().inputs[0].name, "HOST");
  EXPECT_EQ(plan.value().inputs[0].steps, std::vector<std::string>{"use"});
}

TEST(Plan, AsksForNothingThatTheShellKnows) {
  const Document document = read(
      "## Scenario 1: X\n\n1. **Look**\n   ```bash\n   ps -p $PPID -o pid; id $UID; ls | read; echo $REPLY "
      "${PIPESTATUS[0]}\n"
      "   echo $LOST\n   ```\n");
  const auto plan = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan.value().inputs.size(), 1u);
  EXPECT_EQ(plan.value().inputs[0].name, "LOST");
}

TEST(Plan, AnOptionsDurationLeavesThePhasesWindow) {
  const Document document = read(
      "## Scenario 1: X\n\n### Assess (0-15 minutes)\n\n1. **Look**\n   ```bash\n   docker ps\n   ```\n\n### Recover "
      "(15-45 "
      "minutes)\n\n#### Option A: Restart (5-10 minutes)\n```bash\ndocker restart x\n```\n#### Option B: Restore (20 "
      "minutes)\n```bash\nrestore x\n```\n");
  const auto plan = make_plan(document, {.procedure = "1", .choices = {"A"}});
  ASSERT_TRUE(plan.ok());
  ASSERT_EQ(plan.value().steps.size(), 3u);
  EXPECT_EQ(plan.value().steps[0].window_end, Duration::seconds(900));
  EXPECT_EQ(plan.value().steps[1].window_end, Duration::seconds(2700));
}

TEST(Plan, OnlyScenariosAreHeldAgainstObjectivesOfOthers) {
  const Document document = read(
      "# R\n\n## Recovery Objectives\n\n| Component | RTO | RPO |\n|---|---|---|\n| API | 30 minutes | 5 minutes |\n\n"
      "## Backup Verification\n\n1. **Restore one** (2 hours)\n   ```bash\n   ./test-restore.sh\n   ```\n\n"
      "## Scenario 1: Outage\n\n1. **Restore** (2 hours)\n   ```bash\n   ./restore.sh\n   ```\n");
  const auto verification = make_plan(document, {.procedure = "backup-verification"});
  ASSERT_TRUE(verification.ok()) << verification.error().text();
  EXPECT_FALSE(verification.value().rto.has_value());
  EXPECT_TRUE(verification.value().warnings.empty());
  const auto outage = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(outage.ok());
  EXPECT_EQ(outage.value().rto->most, Duration::seconds(1800));
}

TEST(Plan, AConditionInWordsIsDecidedBeforeTheRun) {
  const Document document = read(
      "## Scenario 1: X\n\n1. **Scale up (if capacity issue)**\n   ```bash\n   ./scale.sh\n   ```\n2. **Look (if "
      "unsure)**\n   ```bash {when=\"test -e x\"}\n   ls\n   ```\n3. **Call the vendor (if it persists)**\n");
  const auto open = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(open.ok());
  EXPECT_FALSE(open.value().complete());
  ASSERT_EQ(open.value().choices.size(), 1u);
  EXPECT_EQ(open.value().choices[0].key, "scale-up");
  const auto no = make_plan(document, {.procedure = "1", .choices = {"scale-up=no"}});
  ASSERT_TRUE(no.ok());
  EXPECT_TRUE(no.value().complete());
  EXPECT_EQ(no.value().steps[0].skipped, "its condition does not hold: if capacity issue");
  const auto yes = make_plan(document, {.procedure = "1", .choices = {"scale-up=yes"}});
  ASSERT_TRUE(yes.ok());
  EXPECT_TRUE(yes.value().complete());
  EXPECT_EQ(yes.value().steps[0].skipped, "");
}

TEST(Plan, AConditionOfAPhaseIsThatOfItsSteps) {
  const Document document = read(
      "## Scenario 1: X\n\n### Assess\n\n1. **Look**\n   ```bash\n   ls\n   ```\n\n### Fail over (if the primary is "
      "lost)\n\n1. **Move**\n   ```bash\n   ./move.sh\n   ```\n2. **Tell**\n   ```bash\n   ./tell.sh\n   ```\n\n"
      "### Vendor (if it persists)\n\n1. **Call the vendor**\n");
  const auto open = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(open.ok());
  ASSERT_EQ(open.value().choices.size(), 1u);
  EXPECT_EQ(open.value().choices[0].key, "fail-over");
  EXPECT_EQ(open.value().choices[0].question, "does the condition of 'Fail over' hold: if the primary is lost");
  const auto skipped = [&](const char* answer) {
    std::vector<std::string> reasons;
    const auto plan = make_plan(document, {.procedure = "1", .choices = {answer}});
    EXPECT_TRUE(plan.ok() && plan.value().complete());
    for (const PlannedStep& step : plan.value().steps) reasons.push_back(step.skipped);
    return reasons;
  };
  const std::string refuted = "its condition does not hold: if the primary is lost";
  EXPECT_THAT(skipped("fail-over=no"), ElementsAre("", refuted, refuted, ""));
  EXPECT_THAT(skipped("yes"), ElementsAre("", "", "", ""));
}

TEST(Plan, EachPhasesConditionHasAKeyOfItsOwn) {
  const auto phase = [](const std::string& title, const std::string& step) {
    return "### " + title + "\n\n1. **" + step + "**\n   ```bash\n   ls\n   ```\n\n";
  };
  const Document document = read("## Scenario 1: X\n\n" + phase("Recovery (if the primary is lost)", "Move") +
                                 phase("Recovery (if the disk is full)", "Purge") +
                                 phase("\xE5\xBE\xA9\xE6\x97\xA7 (if it is lost)", "Look") +
                                 phase("\xF0\x9F\x94\xA5 Verification (if asked)", "Check"));
  const auto plan_with = [&](const std::vector<std::string>& choices) {
    return make_plan(document, {.procedure = "1", .choices = choices}).value();
  };
  std::vector<std::string> keys;
  for (const Choice& choice : plan_with({}).choices) keys.push_back(choice.key);
  EXPECT_THAT(keys, ElementsAre("recovery", "recovery-2", "phase-3", "verification"));
  const Plan plan = plan_with({"recovery=yes", "recovery-2=no", "phase-3=no", "verification=yes"});
  EXPECT_TRUE(plan.complete());
  std::vector<std::string> skipped;
  for (const PlannedStep& step : plan.steps) skipped.push_back(step.skipped);
  EXPECT_THAT(skipped, ElementsAre("", "its condition does not hold: if the disk is full",
                                   "its condition does not hold: if it is lost", ""));
}

TEST(Plan, ARefutedPhaseLeavesNoChoiceOpen) {
  const Document document = read(
      "## Scenario 1: X\n\n### Fail over (if the primary is lost)\n\n#### Option A: By hand\n```bash\n./a.sh\n```\n"
      "#### Option B: By Patroni\n```bash\n./b.sh\n```\n\n### Look\n```bash\nls\n```\n");
  const auto keys = [&](const std::vector<std::string>& choices) {
    std::vector<std::string> open;
    const Plan plan = make_plan(document, {.procedure = "1", .choices = choices}).value();
    for (const Choice& choice : plan.choices)
      if (choice.chosen.empty()) open.push_back(choice.key);
    return open;
  };
  EXPECT_THAT(keys({}), ElementsAre("fail-over-condition", "fail-over"));
  EXPECT_THAT(keys({"yes"}), ElementsAre("fail-over"));
  EXPECT_THAT(keys({"no"}), ElementsAre());
  EXPECT_THAT(keys({"no", "fail-over=A"}), ElementsAre());
}

TEST(Plan, AnAnswerAloneIsForOneChoice) {
  const Document document = read(
      "## Scenario 1: X\n\n1. **Scale up (if capacity issue)**\n   ```bash\n   ./scale.sh\n   ```\n2. **Purge (if "
      "full)**\n   ```bash\n   ./purge.sh\n   ```\n");
  const auto of = [&](const std::vector<std::string>& choices) {
    return make_plan(document, {.procedure = "1", .choices = choices});
  };
  EXPECT_EQ(of({"no"}).error().text(),
            "the answer 'no' fits several choices: scale-up, purge (say which: --choose scale-up=no)");
  const auto settled = of({"purge=yes", "no"});
  ASSERT_TRUE(settled.ok());
  EXPECT_NE(settled.value().steps[0].skipped, "");
  EXPECT_EQ(settled.value().steps[1].skipped, "");
  EXPECT_EQ(of({"purge=yes", "purge=no"}).error().message(), "the choice 'purge' is answered twice");
  EXPECT_EQ(of({"purge=yes", "yes", "no"}).error().message(), "the choice 'scale-up' is answered twice");
  EXPECT_EQ(of({"purge=perhaps"}).error().message(), "the choice 'purge=perhaps' fits nothing in 'X'");
}

TEST(Plan, AnOptionsDurationIsThatOfItsStep) {
  const Document document = read(kChoices);
  const auto expected = [&](const char* option) {
    const auto plan = make_plan(document, {.procedure = "1", .choices = {option}});
    EXPECT_TRUE(plan.ok());
    return std::pair(plan.value().steps[0].expected, plan.value().steps[1].expected);
  };
  EXPECT_EQ(expected("A"), std::pair(std::optional(Duration::seconds(600)), std::optional<Duration>()));
  EXPECT_EQ(expected("B"), std::pair(std::optional<Duration>(), std::optional(Duration::seconds(3600))));
}

TEST(Plan, AnOptionsDurationIsSharedByItsSteps) {
  const std::string text =
      "# R\n\n## Recovery Objectives\n\n- **RTO**: 30 minutes\n\n## Scenario 1: Outage\n\n### Recovery Procedure\n\n"
      "#### Option A: Restore (40 minutes)\n\n1. **Fetch** (10 minutes)\n   ```bash\n   ./fetch.sh\n   ```\n2. "
      "**Load**\n   ```bash\n   ./load.sh\n   ```\n";
  const Document one = read(text), two = read(text + "3. **Start**\n   ```bash\n   ./start.sh\n   ```\n");
  const auto plan_of = [](const Document& document) {
    return make_plan(document, {.procedure = "1", .choices = {"A"}}).value();
  };
  EXPECT_EQ(plan_of(one).steps[1].expected, Duration::seconds(1800));
  EXPECT_TRUE(plan_of(one).steps[1].expected_is_rest);
  EXPECT_FALSE(plan_of(two).steps[1].expected.has_value());
  for (const Document* document : {&one, &two})
    EXPECT_THAT(plan_of(*document).warnings,
                testing::Contains("the steps may take 40 min 0 s by their own budgets, the RTO is 30 minutes"));
}

TEST(Plan, AnOptionsDurationIsABudgetOfItsSteps) {
  const Document document = read(
      "## Scenario 1: Outage\n\n### Recovery (2 hours)\n\n#### Option A: Restore (40 minutes)\n\n"
      "```bash {id=fetch}\n./fetch.sh\n```\n\n```bash {id=load}\n./load.sh\n```\n\n"
      "#### Option B: Restart (5 minutes)\n\n```bash {id=restart}\n./restart.sh\n```\n\n"
      "### Recovery (1 hour)\n\n```bash {id=one}\n./one.sh\n```\n\n```bash {id=two}\n./two.sh\n```\n");
  const auto budgets = [&](const PlanRequest& request) {
    std::vector<std::string> words;
    const Plan plan = make_plan(document, request).value();
    for (const SharedBudget& budget : plan.budgets) {
      words.push_back(budget.title + " " + format_duration(budget.most) + ":");
      for (const Step* step : budget.steps) words.back() += " " + step->id;
    }
    return words;
  };
  EXPECT_THAT(budgets({.procedure = "1", .choices = {"A"}}),
              ElementsAre("Restore 40 min 0 s: fetch load", "Recovery 2 h 0 min: fetch load",
                          "Recovery (2) 1 h 0 min: one two"));
  EXPECT_THAT(budgets({.procedure = "1", .choices = {"B"}}), ElementsAre("Recovery 1 h 0 min: one two"))
      << "a lone step has the time for its own";
  EXPECT_THAT(budgets({.procedure = "1", .choices = {"A"}, .only = {"load"}}),
              ElementsAre("Restore 40 min 0 s: load", "Recovery 2 h 0 min: load"));
}

TEST(Plan, WhatPhasesAndOptionsStateTogetherCountsOnce) {
  const Document document = read(
      "# R\n\n## Recovery Objectives\n\n- **RTO**: 1 hour\n\n## Scenario 1: Outage\n\n### Recovery (2 hours)\n\n"
      "#### Option A: Restore (40 minutes)\n\n```bash\n./fetch.sh\n```\n\n```bash\n./load.sh\n```\n");
  EXPECT_THAT(make_plan(document, {.procedure = "1", .choices = {"A"}}).value().warnings,
              testing::Contains("the steps may take 2 h 0 min by their own budgets, the RTO is 1 hour"));
}

TEST(Plan, AComponentThatTheTitleNamesComesBeforeTheStrictest) {
  const Document document = read(
      "# R\n\n## Recovery Objectives\n\n| Component | RTO | RPO |\n|---|---|---|\n| GitHub Integration | 30 minutes | "
      "1 "
      "hour |\n| Task Database | 2 hours | 5 minutes |\n\n## Scenario 1: Database "
      "Loss\n\n```bash\n./restore.sh\n```\n\n"
      "## Scenario 2: Outage\n\n```bash\n./restart.sh\n```\n");
  EXPECT_EQ(make_plan(document, {.procedure = "1"}).value().rto->most, Duration::hours(2));
  EXPECT_EQ(make_plan(document, {.procedure = "2"}).value().rto->most, Duration::seconds(1800));
}

TEST(Plan, RefusesCommandsThatNoJournalCanHold) {
  const auto plan = [](const std::string& block, const std::string& prose) {
    return make_plan(read("## Scenario 1: X\n\n" + prose + "\n\n```bash\nls\n" + block + "\n```\n"),
                     {.procedure = "1"});
  };
  for (const char* odd : {"echo a\xC3", "echo \xE4rger", "echo \xC0\xAF", "echo \xED\xA0\x80", "echo \xF5\x80\x80\x80"})
    EXPECT_EQ(plan(odd, "").error().message(), "r.md:7: a command holds a byte that is no UTF-8") << odd;
  EXPECT_TRUE(plan("echo \xC3\xA4rger \xE2\x82\xAC \xF0\x9F\x98\x80", "\xC4rger").ok());
}

TEST(Plan, InputOfPsqlInEitherCase) {
  for (const char* input : {"SELECT 1;\n", "select 1;\n", "\\dt\nselect 1;\n"}) {
    const Document document = read("## Scenario 1: X\n\n```bash\npsql -h db\n" + std::string(input) + "```\n");
    const Step& step = only_step(document);
    ASSERT_EQ(step.pieces.size(), 2u) << input;
    EXPECT_EQ(step.pieces[1].kind, Piece::Kind::kInput);
    EXPECT_EQ(step.pieces[1].text, input);
  }
}

TEST(Plan, HandsInputToItsProgram) {
  const Document document = read("## Scenario 1: Cache\n\n```bash\nredis-cli -h c\nFLUSHALL\necho done\n```\n");
  const auto plan = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan.value().steps[0].script, HasSubstr("redis-cli -h c <<'HOLDFAST_INPUT'\nFLUSHALL\n"));
  EXPECT_FALSE(plan.value().steps[0].step->interactive());
  EXPECT_TRUE(plan.value().steps[0].step->destructive());
}

TEST(Plan, FedPsqlStopsAtTheFirstErrorAndNeedsNoTerminal) {
  const Document document =
      read("## Scenario 1: Rows\n\n```bash\ndocker exec -it db psql -U shop | tee log\nSELECT 1;\n```\n");
  const auto plan = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan.value().steps[0].script,
              HasSubstr("docker exec -i db psql -v ON_ERROR_STOP=1 -U shop <<'HOLDFAST_INPUT' | tee log\nSELECT 1;\n"));
  EXPECT_FALSE(plan.value().steps[0].step->interactive());
}

TEST(Plan, AsksForWhatTheCommandsOfAnnotationsNeed) {
  const Document document = read(
      "## Scenario 1: Cache\n\n```bash {id=one verify=\"probe <pod-name> $WHERE\" when=\"test -n "
      "${LEVEL:-}\"}\necho\n```\n");
  const auto plan = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(plan.ok());
  std::vector<std::string> open;
  for (const Input& input : plan.value().inputs)
    if (!input.known) open.push_back(input.name);
  EXPECT_THAT(open, ElementsAre("WHERE", "pod_name"));
  EXPECT_EQ(fill_command("probe <pod-name> $WHERE", {{"pod_name", "db-0"}}), "probe db-0 $WHERE");
}

TEST(Hazards, APromptWithoutInputIsForAPerson) {
  const Document document = read("## Scenario 1: Look\n\n```bash\npsql shop\n```\n");
  EXPECT_TRUE(document.scenarios[0].steps[0].interactive());
}

TEST(Hazards, WhatOverwritesDataDestroysAndWhatRestoresAsideDoesNot) {
  const auto destroys = [](const std::string& command) {
    return read("## Scenario 1: Restore\n\n```bash\n" + command + "\n```\n").scenarios[0].steps[0].destructive();
  };
  EXPECT_TRUE(destroys("pg_restore -d shop shop.dump"));
  EXPECT_TRUE(destroys("psql shop < shop.sql"));
  EXPECT_TRUE(destroys("holdfast restore --delta --to /srv/db"));
  EXPECT_FALSE(destroys("holdfast restore --to /srv/new"));
  EXPECT_FALSE(destroys("pg_restore --list shop.dump"));
}

}  // namespace
}  // namespace holdfast::runbook
