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
    const bool manual = each.step->kind == StepKind::kManual;
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

}  // namespace
}  // namespace holdfast::runbook
