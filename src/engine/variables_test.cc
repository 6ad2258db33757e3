#include "engine/variables.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::engine {
namespace {

using testing::HasSubstr;
using Kind = runbook::Input::Kind;

runbook::Plan needing(Kind kind, const std::string& name, const std::string& text, bool secret) {
  runbook::Input input;
  input.kind = kind;
  input.name = name;
  input.text = text;
  input.secret = secret;
  runbook::Plan plan;
  plan.inputs.push_back(std::move(input));
  return plan;
}

TEST(Variables, ASecretPlaceholderTakesNoValueAtAll) {
  const auto plan = needing(Kind::kPlaceholder, "db_password", "<db-password>", true);
  for (const char* value : {"db_password=hunter2", "db_password=env:DB_PASSWORD"}) {
    Variables variables;
    ASSERT_TRUE(set_variable(variables, value).ok());
    const auto settled = settle_secrets(variables, plan, {});
    ASSERT_FALSE(settled.ok());
    EXPECT_EQ(settled.error().code(), ErrorCode::kRefused);
    EXPECT_THAT(settled.error().text(), HasSubstr("let the document use a variable there: \"$DB_PASSWORD\""));
  }
}

TEST(Variables, AValueThatTheJournalCannotHoldIsRefused) {
  Variables variables;
  const auto done = set_variable(variables, "POD=db-\xff");
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code(), ErrorCode::kUsage);
  EXPECT_EQ(done.error().message(), "the value of POD is not UTF-8, and the run's journal holds nothing else");
  EXPECT_THAT(done.error().text(), HasSubstr("POD=file:PATH"));
  EXPECT_FALSE(variables.has("POD"));
  EXPECT_TRUE(set_variable(variables, "POD=db-\xc3\xa4").ok());
}

TEST(Variables, APlainValueForASecretIsRefusedWhoeverUsesIt) {
  Variables variables;
  ASSERT_TRUE(set_variable(variables, "API_TOKEN=hunter2").ok());
  EXPECT_EQ(settle_secrets(variables, {}, {}).error().code(), ErrorCode::kRefused);
}

TEST(Variables, ASecretOfTheEnvironmentBecomesAReference) {
  Variables variables;
  const auto plan = needing(Kind::kVariable, "API_TOKEN", "$API_TOKEN", true);
  ASSERT_TRUE(settle_secrets(variables, plan, {{"API_TOKEN", "hunter2"}}).ok());
  EXPECT_EQ(variables.secret.at("API_TOKEN"), "env:API_TOKEN");
}

TEST(Variables, WhatIsInheritedIsKeptAsADigestAndHasToStay) {
  const auto plan = needing(Kind::kVariable, "TARGET", "$TARGET", false);
  const auto random = seeded_random(1);
  const Json kept = inherited_values(plan, {}, {{"TARGET", "db1.example"}}, *random);
  EXPECT_EQ(kept.dump().find("db1"), std::string::npos);
  EXPECT_TRUE(check_inherited(kept, {{"TARGET", "db1.example"}}).ok());
  const auto changed = check_inherited(kept, {{"TARGET", "db2.example"}});
  ASSERT_FALSE(changed.ok());
  EXPECT_EQ(changed.error().code(), ErrorCode::kRefused);
  EXPECT_EQ(changed.error().message(), "the environment's TARGET is not what it was when the run began");
  EXPECT_FALSE(check_inherited(kept, {}).ok());
}

TEST(Variables, WhatTheEngineGivesIsNotInherited) {
  const auto plan = needing(Kind::kVariable, "HOLDFAST_ATTEMPT", "$HOLDFAST_ATTEMPT", false);
  const auto random = seeded_random(1);
  EXPECT_TRUE(inherited_values(plan, {}, {}, *random)["values"].empty());
}

TEST(Variables, WhatWasNotSetHasToStayUnset) {
  const auto plan = needing(Kind::kVariable, "LEVEL", "$LEVEL", false);
  const auto random = seeded_random(1);
  const Json kept = inherited_values(plan, {}, {}, *random);
  EXPECT_TRUE(check_inherited(kept, {}).ok());
  EXPECT_FALSE(check_inherited(kept, {{"LEVEL", "9"}}).ok());
}

TEST(Variables, SecretsInTheEnvironmentAreFoundByTheirNames) {
  const auto found = secrets_in({{"PATH", "/usr/bin"}, {"DB_PASSWORD", "hunter2"}, {"PIN_PASSWORD", "abc"}});
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "DB_PASSWORD");
}

TEST(SecretsInTheEnvironment, AreAlsoPasswordsOfUrls) {
  const auto found = secrets_in({{"DATABASE_URL", "postgres://app:hunter2@db:5432/shop?x=a:b@c"},
                                 {"NODES", "http://a:first1@x,http://b:second@y/"},
                                 {"PLAIN", "https://db:5432/a@b"},
                                 {"USER_ALONE", "ssh://git@host/x"}});
  std::vector<std::string> said;
  for (const NamedSecret& each : found) said.push_back(each.name + "=" + std::string(as_text(each.value.reveal())));
  EXPECT_EQ(said, (std::vector<std::string>{"password of DATABASE_URL=hunter2", "password of NODES=first1",
                                            "password of NODES=second"}));
}

TEST(SecretsInTheEnvironment, AreAlsoDecodedPasswordsOfUrls) {
  const auto found = secrets_in({{"DATABASE_URL", "postgres://app:hun%74er%2F2%@db/shop"}});
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(as_text(found[0].value.reveal()), "hun%74er%2F2%");
  EXPECT_EQ(as_text(found[1].value.reveal()), "hunter/2%");
}

TEST(Variables, AUrlWithAPasswordIsASecret) {
  const auto settled = [](const std::string& value) {
    Variables variables;
    EXPECT_TRUE(set_variable(variables, "DATABASE_URL=" + value).ok());
    return settle_secrets(variables, {}, {});
  };
  const auto refused = settled("postgres://app:hunter2@db/shop");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code(), ErrorCode::kRefused);
  EXPECT_EQ(
      refused.error().message(),
      "DATABASE_URL is a secret, for the password in it: its value may not stand in a command line or a document");
  for (const char* open : {"postgres://app@db/shop", "https://db:5432/a@b", "env:URL", "postgres://app:$PW@db/shop"})
    EXPECT_TRUE(settled(open).ok()) << open;
}

}  // namespace
}  // namespace holdfast::engine
