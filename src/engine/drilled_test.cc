// Covers: what drills measured is told of the steps that restore the same.

#include "engine/drilled.h"

#include <gmock/gmock.h>

namespace holdfast::engine {
namespace {

using nlohmann::json;

json drill(const char* id, const char* result, const char* began, const json& seconds) {
  return {
      {"id", id}, {"result", result}, {"began", began}, {"components", {{{"component", "db"}, {"seconds", seconds}}}}};
}

recovery::EvidenceChain chain_of(const std::vector<json>& bodies) {
  recovery::EvidenceChain chain;
  for (const json& body : bodies) chain.records.push_back({chain.records.size() + 1, "", body});
  return chain;
}

TEST(DrilledTest, TheNewestThatPassed) {
  const json first = drill("aa", "passed", "2026-03-01T09:00:00Z", {{"restore", 10.5}});
  const json second = drill("bb", "passed", "2026-03-02T09:00:00Z", {{"restore", 12.25}});
  const json failed = drill("cc", "failed", "2026-03-03T09:00:00Z", {{"restore", 1.0}});
  auto chain = chain_of({first, second, failed});
  auto known = drilled_restores(chain);
  ASSERT_EQ(known.size(), 1u);
  EXPECT_EQ(known["db"].drill, "bb");
  EXPECT_EQ(known["db"].took, Duration::milliseconds(12250));
  EXPECT_EQ(format_rfc3339(known["db"].began), "2026-03-02T09:00:00.000000Z");
  chain.problems = {"record 2 is missing"};
  EXPECT_TRUE(drilled_restores(chain).empty());
}

TEST(DrilledTest, WhatIsNoEvidenceSaysNothing) {
  EXPECT_TRUE(drilled_restores(chain_of({json(), json::array(), json{{"result", "passed"}},
                                         drill("aa", "passed", "yesterday or so", {{"restore", 1.0}}),
                                         drill("bb", "passed", "2026-03-02T09:00:00Z", {{"restore", "long"}}),
                                         drill("cc", "passed", "2026-03-02T09:00:00Z", {{"restore", 1e300}}),
                                         drill("dd", "passed", "2026-03-02T09:00:00Z", json())}))
                  .empty());
}

TEST(DrilledTest, OfTheComponentsThatAStepRestores) {
  const std::map<std::string, DrilledRestore> known = {{"db", {"db", "aa", {}, Duration::seconds(10)}},
                                                       {"data", {"data", "aa", {}, Duration::seconds(20)}}};
  Plan plan;
  const auto add = [&](const char* id, const char* component, const char* script) {
    Step step;
    step.id = id;
    step.kind = StepKind::kShell;
    step.component = component;
    step.script = script;
    plan.steps.push_back(step);
  };
  add("one", "", "holdfast restore --component \"$WHAT\" --delta\n");
  add("own", "data", "holdfast restore --delta\n");
  add("all", "", "holdfast restore --to /srv\n");
  add("none", "db", "ls\n");
  auto steps = drilled_steps(known, plan, {{"WHAT", "db"}});
  const auto names = [&](const char* step) {
    std::vector<std::string> found;
    for (const DrilledRestore& each : steps[step]) found.push_back(each.component);
    return found;
  };
  EXPECT_THAT(names("one"), testing::ElementsAre("db"));
  EXPECT_THAT(names("own"), testing::ElementsAre("data"));
  EXPECT_THAT(names("all"), testing::ElementsAre("data", "db"));
  EXPECT_THAT(names("none"), testing::ElementsAre());
}

}  // namespace
}  // namespace holdfast::engine
