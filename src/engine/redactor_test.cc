#include "engine/redactor.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace holdfast::engine {
namespace {

Redactor redactor_of(std::initializer_list<std::pair<std::string, std::string>> secrets) {
  std::vector<NamedSecret> named;
  for (const auto& [name, value] : secrets) named.push_back({name, Secret::from_text(value)});
  return Redactor(named);
}

TEST(RedactorTest, CutsOutEachOccurrence) {
  const Redactor redactor = redactor_of({{"TOKEN", "abc123"}});
  EXPECT_EQ(redactor.redact("x abc123abc123 abc12"), "x [secret TOKEN][secret TOKEN] abc12");
}

TEST(RedactorTest, KnowsBase64AndPercentForms) {
  const Redactor redactor = redactor_of({{"P", "pass word/1"}});
  EXPECT_EQ(redactor.redact("cGFzcyB3b3JkLzE= pass%20word%2F1"), "[secret P]= [secret P]");
}

TEST(RedactorTest, PrefersTheLongerSecret) {
  const Redactor redactor = redactor_of({{"A", "key"}, {"B", "keyring"}});
  EXPECT_EQ(redactor.redact("keyring key"), "[secret B] [secret A]");
}

TEST(RedactorTest, OfAPayloadOnlyOutsideWordsAreChanged) {
  const Redactor redactor = redactor_of({{"T", "s3cret"}});
  Json json = {{"why", "it said s3cret"}, {"directory", "steps/s3cret/1"}, {"status", 1}};
  redactor.redact_words(json);
  EXPECT_EQ(json.dump(), R"({"why":"it said [secret T]","directory":"steps/s3cret/1","status":1})");
}

TEST(RedactorTest, AStreamCutAnywhereIsRedactedAsAWhole) {
  const std::string text = "abcabcabd token=abcabd end abc";
  const Redactor whole = redactor_of({{"X", "abcabd"}, {"Y", "bd"}});
  auto random = seeded_random(7);
  for (int round = 0; round < 500; round++) {
    Redactor stream = redactor_of({{"X", "abcabd"}, {"Y", "bd"}});
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t size = std::min<size_t>(text.size() - at, 1 + random->below(5));
      out += stream.feed(std::string_view(text).substr(at, size));
      at += size;
    }
    out += stream.flush();
    EXPECT_EQ(out, whole.redact(text));
  }
}

}  // namespace
}  // namespace holdfast::engine
