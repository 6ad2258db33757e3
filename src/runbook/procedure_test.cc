// Covers: what becomes of a scenario's items: options within them, annotations of blocks in parts, text of what
// a person does, bullets, and what is no step because it can't be run as it stands.

#include <gmock/gmock.h>

#include "runbook/plan.h"
#include "runbook/reader.h"
#include "runbook/step_script.h"

namespace holdfast::runbook {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Document scenario(const std::string& body) {
  auto document = read_document("# DR\n\n## Scenario 1: X failure\n\n### Steps\n\n" + body, "r.md");
  EXPECT_TRUE(document.ok());
  return std::move(document).value();
}

// Of each step: its title, and what of it runs ("-": a person does it).
std::vector<std::string> planned(const Document& document, std::vector<std::string> choices = {}) {
  const auto plan = make_plan(document, {.procedure = "1", .choices = std::move(choices)});
  EXPECT_TRUE(plan.ok()) << (plan.ok() ? "" : plan.error().text());
  std::vector<std::string> lines;
  if (!plan.ok()) return lines;
  for (const PlannedStep& each : plan.value().steps) {
    const bool manual = each.step->kind == StepKind::kManual || each.step->annotations.manual;
    if (each.skipped.empty()) lines.push_back(each.step->title.text + (manual ? " - " : " > ") + each.script);
  }
  return lines;
}

TEST(OptionsOfAnItem, InBoldLines) {
  const Document document = scenario(
      "1. Restore the database\n\n   **Option A: from the snapshot**\n   ```bash\n   ./restore.sh\n   ```\n\n"
      "   **Option B**: promote the replica (5 minutes)\n   ```bash\n   ./promote.sh\n   ```\n\n"
      "2. Look\n\n   ```bash\n   ls\n   ```\n");
  const auto open = make_plan(document, {.procedure = "1"});
  ASSERT_TRUE(open.ok());
  ASSERT_EQ(open.value().choices.size(), 1u);
  EXPECT_EQ(open.value().choices[0].key, "restore-the-database");
  EXPECT_EQ(open.value().choices[0].question, "which option of 'Restore the database'");
  EXPECT_THAT(planned(document, {"A"}), ElementsAre("from the snapshot > ./restore.sh\n", "Look > ls\n"));
  EXPECT_THAT(planned(document, {"B"}), ElementsAre("promote the replica > ./promote.sh\n", "Look > ls\n"));
}

TEST(OptionsOfAnItem, InBullets) {
  const Document document = scenario(
      "1. Restore the database\n   - Option A: from the snapshot\n     ```bash\n     ./restore.sh\n     ```\n"
      "   - Option B: promote the replica\n     ```bash\n     ./promote.sh\n     ```\n"
      "2. Point the application at it\n   - Option A: by DNS\n     ```bash\n     ./dns.sh\n     ```\n"
      "   - Option B: by its setting\n     ```bash\n     ./set.sh\n     ```\n");
  EXPECT_THAT(planned(document, {"restore-the-database=B", "point-the-application-at-it=A"}),
              ElementsAre("promote the replica > ./promote.sh\n", "by DNS > ./dns.sh\n"));
}

TEST(OptionsOfAnItem, ThatAreItemsThemselves) {
  const Document document = scenario(
      "1. Option A: restore\n   ```bash\n   ./restore.sh\n   ```\n2. Option B: promote\n   ```bash\n   "
      "./promote.sh\n   ```\n");
  EXPECT_THAT(planned(document, {"A"}), ElementsAre("restore > ./restore.sh\n"));
}

TEST(OptionsOfAnItem, AreNotWhatAParagraphSpeaksOf) {
  const Document document =
      scenario("1. Ask\n\n   401: option B. No right to write: option C.\n   ```bash\n   ./ask.sh\n   ```\n");
  EXPECT_TRUE(document.scenarios[0].options.empty());
}

TEST(OptionsOfAnItem, OfWordsAreForAPerson) {
  const Document document = scenario(
      "1. Restore the database\n\n   **Option A: call the vendor**\n\n   **Option B: promote**\n   ```bash\n   "
      "./promote.sh\n   ```\n");
  EXPECT_THAT(planned(document, {"A"}), ElementsAre("call the vendor - "));
  EXPECT_THAT(planned(document, {"B"}), ElementsAre("promote > ./promote.sh\n"));
}

TEST(OptionsOfAnItem, InsideOfAnOptionAreRefused) {
  const Document document = scenario(
      "#### Option A: restore\n\n1. Load\n\n   **Option 1: fast**\n   ```bash\n   a\n   ```\n\n   **Option 2: "
      "slow**\n   ```bash\n   b\n   ```\n\n#### Option B: promote\n\n```bash\n./promote.sh\n```\n");
  const auto plan = make_plan(document, {.procedure = "1"});
  ASSERT_FALSE(plan.ok());
  EXPECT_EQ(plan.error().message(), "r.md:11: option 1 stands inside of another option");
}

constexpr const char* kRestore = "```bash\n./restore.sh\n```\n";
constexpr const char* kPromote = "```bash\n./promote.sh\n```\n";
constexpr const char* kLook = "```bash\nls\n```\n";

// The same two options, each with its block at column 0.
TEST(OptionsAtColumnZero, KeepTheOthersOut) {
  const std::string forms[][2] = {
      {"1. Option A: restore\n", "2. Option B: promote\n"},
      {"- Option A: restore\n", "- Option B: promote\n"},
      {"- **Option A**: restore\n", "- **Option B**: promote\n"},
      {"1. **Option A**: restore\n", "2. **Option B**: promote\n"},
      {"Option A: restore\n\n", "\nOption B: promote\n\n"},
      {"**Option A**: restore\n", "\n**Option B**: promote\n"},
      {"**Option A: restore**\n\n", "\n**Option B: promote**\n\n"},
      {"#### Option A: restore\n\n", "\n#### Option B: promote\n\n"},
      {"1. Restore the database\n\n**Option A**: restore\n", "\n**Option B**: promote\n"},
      {"1. Restore the database\n- Option A: restore\n", "- Option B: promote\n"},
      {"> Option A: restore\n\n", "\n> Option B: promote\n\n"},
  };
  for (const auto& [first, second] : forms) {
    const Document document = scenario(first + kRestore + second + kPromote);
    EXPECT_THAT(planned(document), IsEmpty()) << first;
    EXPECT_THAT(planned(document, {"A"}), ElementsAre("restore > ./restore.sh\n")) << first;
    EXPECT_THAT(planned(document, {"B"}), ElementsAre("promote > ./promote.sh\n")) << first;
  }
}

TEST(OptionsAtColumnZero, HaveAllBlocksBelowThem) {
  const Document items =
      scenario(std::string("1. Option A: restore\n") + kLook + kRestore + "2. Option B: promote\n" + kPromote + kLook);
  EXPECT_THAT(planned(items, {"A"}), ElementsAre("restore > ls\n", "Steps > ./restore.sh\n"));
  EXPECT_THAT(planned(items, {"B"}), ElementsAre("promote > ./promote.sh\n", "Steps > ls\n"));
  const Document lists = scenario(std::string("Option A: restore\n\n1. Stop\n") + kLook + "2. Load\n" + kRestore +
                                  "\nOption B: promote\n\n1. Promote\n" + kPromote);
  EXPECT_THAT(planned(lists, {"A"}), ElementsAre("Stop > ls\n", "Load > ./restore.sh\n"));
  EXPECT_THAT(planned(lists, {"B"}), ElementsAre("Promote > ./promote.sh\n"));
}

TEST(OptionsAtColumnZero, NeedNoWords) {
  const Document document = scenario(std::string("1. **Option A**\n") + kRestore + "2. **Option B**\n" + kPromote);
  EXPECT_THAT(planned(document, {"A"}), ElementsAre("Option A > ./restore.sh\n"));
}

TEST(OptionsAtColumnZero, AreNotWhatOneParagraphLists) {
  const Document document =
      scenario("#### Step 1: Decide\n\n**Option A: Recoverable** go on\n**Option B: Lost** go to step 3\n");
  EXPECT_TRUE(document.scenarios[0].options.empty());
}

TEST(OptionsAtColumnZero, EndWhereTheListGoesOn) {
  const Document document = scenario(std::string("1. Restore the database\n\n**Option A**: restore\n") + kRestore +
                                     "\n**Option B**: promote\n" + kPromote + "\n2. Look\n" + kLook);
  EXPECT_THAT(planned(document, {"A"}), ElementsAre("restore > ./restore.sh\n", "Look > ls\n"));
  EXPECT_EQ(document.scenarios[0].steps.back().number, "2");
  const Document bullets = scenario(std::string("1. Restore the database\n- Option A: restore\n") + kRestore +
                                    "- Option B: promote\n" + kPromote + "\n2. Look\n" + kLook);
  EXPECT_THAT(planned(bullets, {"B"}), ElementsAre("promote > ./promote.sh\n", "Look > ls\n"));
}

TEST(OptionsAtColumnZero, OfWordsAreForAPerson) {
  const Document document = scenario(std::string("Option A: call the vendor\n\nOption B: promote\n\n") + kPromote);
  EXPECT_THAT(planned(document, {"A"}), ElementsAre("call the vendor - "));
  EXPECT_THAT(planned(document, {"B"}), ElementsAre("promote > ./promote.sh\n"));
  EXPECT_THAT(planned(scenario("- Option A: call the vendor\n- Option B: call the owner\n"), {"B"}),
              ElementsAre("call the owner - "));
}

TEST(OptionsAtColumnZero, OfTwoStepsAreTwoChoices) {
  const Document document =
      scenario(std::string("#### Step 1: Database\n\nOption A: restore\n") + kRestore + "\nOption B: promote\n" +
               kPromote + "\n#### Step 2: Address\n\nOption A: by DNS\n" + kLook + "\nOption B: call the vendor\n");
  EXPECT_THAT(planned(document, {"database=B", "address=A"}), ElementsAre("promote > ./promote.sh\n", "by DNS > ls\n"));
}

std::vector<std::string> unknown_of(const Document& document) {
  std::vector<std::string> parts;
  for (const UnknownPart& each : document.unknown) parts.push_back(each.what + ": " + each.first_words);
  return parts;
}

TEST(AnnotationsOfBlocks, HoldForEachNumberedPart) {
  const Document document = scenario(
      "1. B\n\n   <!-- holdfast: id=b approve=dba drill=skip -->\n   ```bash\n   # 1. one\n   ls\n\n   # 2. two\n   "
      "dropdb app\n   ```\n");
  EXPECT_TRUE(document.errors.empty());
  const auto& steps = document.scenarios[0].steps;
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].id, "b");
  EXPECT_EQ(steps[1].id, "two");
  for (const Step& step : steps) EXPECT_TRUE(step.annotations.approve == "dba" && step.annotations.drill_skip);
}

TEST(AnnotationsOfBlocks, OfAnItemAreKeptByTheBlockAtColumnZero) {
  const Document document =
      scenario("1. Drop it <!-- holdfast: approve=dba -->\n```bash\ndropdb app\n```\n2. Look\n```bash\nls\n```\n");
  const auto& steps = document.scenarios[0].steps;
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[0].annotations.approve, "dba");
  EXPECT_EQ(steps[1].annotations.approve, "");
}

TEST(ForAPerson, IsWhatIsWrittenForAnotherServerOrShell) {
  EXPECT_THAT(planned(scenario("1. A\n   ```mysql\n   DROP TABLE x;\n   ```\n2. B\n   ```zsh\n   x=(a b)\n   ls "
                               "$x[1]\n   ```\n3. C\n   ```ksh\n   print x\n   ```\n4. D\n   ```sql\n   SELECT "
                               "1;\n   ```\n")),
              ElementsAre("A - DROP TABLE x;\n", "B - x=(a b)\nls $x[1]\n", "C - print x\n", "D > SELECT 1;\n"));
}

TEST(ForAPerson, IsABlockOfWhichALineIsNotClear) {
  EXPECT_THAT(planned(scenario("1. Load\n   ```console\n   $ cat \\\n   > /backup/shop.dump\n   ```\n2. Stop\n   "
                               "```console\n   $ sudo -i\n   # systemctl stop app\n   ```\n")),
              ElementsAre("Load - cat \\\n> /backup/shop.dump\n", "Stop - sudo -i\n# systemctl stop app\n"));
}

TEST(ForAPerson, IsWhatTheShellCanNotParse) {
  EXPECT_THAT(planned(scenario("1. A\n   ```bash\n   if true; then\n   dropdb app\n   ```\n")),
              ElementsAre("A - if true; then\ndropdb app\n"));
}

TEST(ForAPerson, TextOfTheBlockIsShown) {
  EXPECT_THAT(planned(scenario("1. Load\n   ```python\n   import shop\n   ```\n2. Set\n   ```yaml\n   size: "
                               "3\n   ```\n3. Tell\n   ```text\n   We are back.\n   ```\n")),
              ElementsAre("Load - import shop\n", "Set - size: 3\n", "Tell - We are back.\n"));
  const Document shown =
      scenario("1. Tell\n   ```text\n   We are back.\n   ```\n2. Set\n   ```yaml\n   a: 1\n   ```\n");
  EXPECT_TRUE(shown.unknown.empty() && shown.embedded_files.empty());
  const Document table = scenario("1. Stop all\n\n   | host | command |\n   |---|---|\n   | db-1 | `stop db` |\n");
  const auto& steps = table.scenarios[0].steps;
  ASSERT_EQ(steps.size(), 1u);
  ASSERT_EQ(steps[0].details.size(), 2u);
  EXPECT_EQ(steps[0].details[1].text, "db-1 | stop db");
}

TEST(Scripts, InAScenarioAreSteps) {
  EXPECT_THAT(
      planned(scenario("1. Load\n   ```bash\n   #!/bin/bash\n   ./load.sh\n   ```\n2. Move\n   ```bash\n   "
                       "#!/bin/bash -eu\n   ./move.sh\n   ```\n3. Look\n   ```bash\n   "
                       "#!/usr/bin/python3\n   import shop\n   ```\n")),
      ElementsAre("Load > ./load.sh\n", "Move > set -eu\n./move.sh\n", "Look - #!/usr/bin/python3\nimport shop\n"));
  const Document file = scenario("1. Create `/srv/x.sh`:\n   ```bash\n   #!/bin/bash\n   ls\n   ```\n");
  ASSERT_EQ(file.embedded_files.size(), 1u);
  EXPECT_EQ(file.embedded_files[0].text, "#!/bin/bash\nls\n");
}

TEST(Bullets, BesideCommandsAreSteps) {
  const Document document =
      scenario("- Tell the users\n- Stop it: `systemctl stop app`\n- Wait for five minutes\n- Look: `docker ps`\n");
  EXPECT_THAT(planned(document), ElementsAre("Tell the users - ", "Stop it > systemctl stop app\n",
                                             "Wait for five minutes - ", "Look > docker ps\n"));
}

std::vector<std::string> details_of(const std::string& body) {
  std::vector<std::string> lines;
  const Document document = scenario(body);
  for (const Step& step : document.scenarios[0].steps) {
    std::string line = step.title.text + ":";
    for (const Text& detail : step.details) line += " " + detail.text + ";";
    lines.push_back(line);
  }
  return lines;
}

TEST(Bullets, HaveWhatStandsBelowThem) {
  const std::string nested =
      "  1. `docker volume rm old1`\n     - not on db-1\n\n     Never.\n  2. `docker volume rm old2`\n";
  const std::string details = ": docker volume rm old1; not on db-1; Never.; docker volume rm old2;";
  EXPECT_THAT(details_of("- Delete old volumes:\n" + nested + "- Look: `docker ps`\n  - only on db-1\n"),
              ElementsAre("Delete old volumes" + details, "Look: only on db-1;"));
  EXPECT_THAT(details_of("- Delete old volumes:\n" + nested + "- Ask\n"),
              ElementsAre("Delete old volumes" + details, "Ask:"));
  EXPECT_THAT(details_of("1. Look: `docker ps`\n   - only on db-1\n     - as root\n"),
              ElementsAre("Look: only on db-1; as root;"));
}

TEST(Bullets, BesideOtherStepsAreListed) {
  const Document document =
      scenario("- Keep calm\n\n#### Look\n\n- Nobody reads this\n\n```bash\ndocker ps\n```\n\n```bash\nls\n```\n");
  EXPECT_THAT(unknown_of(document), ElementsAre("list item: Nobody reads this", "list item: Keep calm"));
}

TEST(SampleOutput, ThatBeginsLikeACommandIsWarnedOf) {
  const std::string step = "1. Look\n   ```bash\n   ls\n   ```\n   Expected output:\n   ```\n   ";
  const Document command = scenario(step + "docker volume rm old\n   ```\n");
  const auto plan = make_plan(command, {.procedure = "1"});
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan.value().warnings,
              ElementsAre("the block at line 12 is taken for output and no step: docker volume rm old"));
  const Document output = scenario(step + "OK\n   ```\n");
  const auto quiet = make_plan(output, {.procedure = "1"});
  ASSERT_TRUE(quiet.ok());
  EXPECT_THAT(quiet.value().warnings, IsEmpty());
  EXPECT_THAT(planned(scenario("1. Check\n\n   Expected output is `OK`. Now delete the old volume:\n\n   ```\n   "
                               "docker volume rm old\n   ```\n")),
              ElementsAre("Check > docker volume rm old\n"));
}

TEST(SampleOutput, IsListed) {
  EXPECT_THAT(unknown_of(scenario("1. Look\n   ```bash\n   ls\n   ```\n   Expected output:\n   ```\n   rm x\n   "
                                  "```\n")),
              ElementsAre("code block: rm x"));
}

std::string script_of(const std::string& block) {
  const auto lines = planned(scenario("1. A\n```bash\n" + block + "```\n"));
  EXPECT_EQ(lines.size(), 1u);
  return lines.empty() ? "" : lines.front();
}

TEST(Pieces, KeepWhatEndsACommandBehindABackslash) {
  EXPECT_EQ(script_of("printf a one \\\n\nprintf b two\n"), "A > printf a one \\\n\nprintf b two\n");
  EXPECT_EQ(script_of("run a \\\n# the name\nls x\n"), "A > run a \\\n# the name\nls x\n");
  EXPECT_EQ(script_of("ls a # b \\\n\nls b \\\\\n\nls c\n"), "A > ls a # b \\\nls b \\\\\nls c\n");
}

TEST(InputOfPrompts, EndsWhereCommandsBegin) {
  EXPECT_EQ(script_of("redis-cli\nFLUSHALL\nLPUSH x 1\nsystemctl restart redis\n./warm-cache.sh\n"),
            "A > redis-cli <<'HOLDFAST_INPUT'\nFLUSHALL\nLPUSH x 1\nHOLDFAST_INPUT\nsystemctl restart "
            "redis\n./warm-cache.sh\n");
  EXPECT_EQ(script_of("psql app\nSELECT 1\n  from x;\n\\q\n./load.sh\nredis-cli\nPING\nexit\nls\n"),
            "A > psql -v ON_ERROR_STOP=1 app <<'HOLDFAST_INPUT'\nSELECT 1\n  from x;\nHOLDFAST_INPUT\n./load.sh\n"
            "redis-cli <<'HOLDFAST_INPUT'\nPING\nHOLDFAST_INPUT\nls\n");
  EXPECT_EQ(script_of("psql app\nSELECT 1;\nkill 1234\n"),
            "A > psql -v ON_ERROR_STOP=1 app <<'HOLDFAST_INPUT'\nSELECT 1;\nHOLDFAST_INPUT\nkill 1234\n");
  EXPECT_EQ(script_of("redis-cli\n\nFLUSHALL\n./warm-cache.sh\n"),
            "A > redis-cli <<'HOLDFAST_INPUT'\nFLUSHALL\nHOLDFAST_INPUT\n./warm-cache.sh\n");
}

TEST(InputOfPrompts, ThatMayBeACommandIsForAPerson) {
  for (const std::string block :
       {"redis-cli\nFLUSHALL\nwarm-cache\n", "psql app\nSELECT 1;\nload-fixtures x\n",
        "psql app\n\nBEGIN;\n\nCOMMIT;\n", "mysql shop\nSET x = 0;\nsource /backup/shop.sql;\nSET x = 1;\nexit\n",
        "mysql shop\nSET x = 0;\n\nsource /backup/shop.sql\n", "mysql shop\nSHOW PROCESSLIST;\nkill 1234\n",
        "psql app\nSELECT 1;\ntop 1;\n"})
    EXPECT_TRUE(script_of(block).starts_with("A - ")) << block;
}

}  // namespace
}  // namespace holdfast::runbook
