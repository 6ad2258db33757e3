// Covers: every rule has a page in docs/lint; its bad example raises the rule at the line
// that the page names, its good example does not; the page says the rule's severity.

#include <gmock/gmock.h>

#include <filesystem>

#include "documents.h"

namespace holdfast::runbook::lint {
namespace {

using test::read_text;

struct Page {
  std::string text, bad, good;
  uint32_t line = 0;
};

// What stands in the block of four back-ticks after `heading`.
std::string example_after(const std::string& text, const std::string& heading) {
  constexpr std::string_view kOpen = "````markdown\n", kClose = "\n````";
  const size_t begin = text.find(kOpen, text.find(heading));
  const size_t end = begin == std::string::npos ? begin : text.find(kClose, begin);
  return end == std::string::npos ? "" : text.substr(begin + kOpen.size(), end - begin - kOpen.size()) + "\n";
}

Page page_of(std::string_view rule) {
  Page page;
  page.text = read_text(std::string(HOLDFAST_SOURCE) + "/docs/lint/" + std::string(rule) + ".md");
  const size_t line = page.text.find("## Bad (line ");
  if (line != std::string::npos) page.line = static_cast<uint32_t>(std::stoul(page.text.substr(line + 13)));
  page.bad = example_after(page.text, "## Bad");
  page.good = example_after(page.text, "## Good");
  return page;
}

class RulePage : public testing::TestWithParam<std::string> {};

TEST_P(RulePage, ItsExamplesAreItsTest) {
  const RuleInfo* rule = find_rule(GetParam());
  ASSERT_NE(rule, nullptr);
  const Page page = page_of(rule->id);
  EXPECT_NE(page.text.find("Severity: " + std::string(name_of(rule->severity))), std::string::npos);
  ASSERT_FALSE(page.bad.empty());
  ASSERT_FALSE(page.good.empty());

  const auto bad = read_document(page.bad, "bad.md");
  ASSERT_TRUE(bad.ok());
  EXPECT_THAT(test::lines_of(lint(bad.value(), nullptr)),
              testing::Contains(std::to_string(page.line) + " " + GetParam()));

  const auto good = read_document(page.good, "good.md");
  ASSERT_TRUE(good.ok());
  for (const Finding& finding : lint(good.value(), nullptr).findings)
    EXPECT_NE(finding.rule->id, GetParam()) << finding.message;
}

std::vector<std::string> all_ids() {
  std::vector<std::string> ids;
  for (const RuleInfo& rule : rules()) ids.emplace_back(rule.id);
  return ids;
}

INSTANTIATE_TEST_SUITE_P(All, RulePage, testing::ValuesIn(all_ids()), [](const auto& each) {
  std::string name = each.param;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
});

TEST(RulePages, EachPageHasARuleAndTheIndexNamesIt) {
  const std::string folder = std::string(HOLDFAST_SOURCE) + "/docs/lint";
  const std::string index = read_text(folder + "/README.md");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string id = entry.path().stem().string();
    if (id == "README") continue;
    EXPECT_NE(find_rule(id), nullptr) << id;
    EXPECT_NE(index.find("[" + id + "](" + id + ".md)"), std::string::npos) << id;
  }
}

TEST(Suppression, WithAReasonSilencesOneRuleForTheSection) {
  const std::string text =
      "# R\n\n## Scenario 1: Outage\n\n<!-- holdfast: ignore never-ends because a person watches "
      "-->\n\n**Symptoms:**\n- x\n\n"
      "1. **Look**\n   ```bash\n   watch kubectl get pods\n   ```\n";
  const auto document = read_document(text, "r.md");
  ASSERT_TRUE(document.ok());
  const LintResult result = lint(document.value(), nullptr);
  EXPECT_TRUE(result.findings.empty()) << text_report(document.value(), result);
  ASSERT_EQ(result.suppressed.size(), 1u);
  EXPECT_EQ(result.suppressed[0].rule->id, "never-ends");
}

// The properties that SARIF 2.1.0 requires, and that code scanning reads.
TEST(Sarif, HasWhatTheSchemaRequires) {
  const auto document = read_document(page_of("never-ends").bad, "r.md");
  ASSERT_TRUE(document.ok());
  const auto sarif =
      nlohmann::json::parse(sarif_report({{document.value(), lint(document.value(), nullptr)}}, "1.2.3"));
  EXPECT_EQ(sarif.at("version"), "2.1.0");
  EXPECT_TRUE(sarif.at("$schema").is_string());
  ASSERT_EQ(sarif.at("runs").size(), 1u);
  const auto& run = sarif.at("runs")[0];
  const auto& driver = run.at("tool").at("driver");
  EXPECT_EQ(driver.at("name"), "holdfast");
  EXPECT_EQ(run.at("columnKind"), "unicodeCodePoints");
  ASSERT_FALSE(run.at("results").empty());
  for (const auto& result : run.at("results")) {
    const auto& rule = driver.at("rules").at(result.at("ruleIndex").get<size_t>());
    EXPECT_EQ(rule.at("id"), result.at("ruleId"));
    EXPECT_FALSE(result.at("message").at("text").get<std::string>().empty());
    const std::string level = result.at("level");
    EXPECT_TRUE(level == "error" || level == "warning" || level == "note") << level;
    const auto& place = result.at("locations")[0].at("physicalLocation");
    EXPECT_EQ(place.at("artifactLocation").at("uri"), "r.md");
    EXPECT_GE(place.at("region").at("startLine").get<int>(), 1);
    EXPECT_GE(place.at("region").at("startColumn").get<int>(), 1);
  }
}

}  // namespace
}  // namespace holdfast::runbook::lint
