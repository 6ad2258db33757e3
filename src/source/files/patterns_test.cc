#include "source/files/patterns.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace holdfast::files {
namespace {

TEST(Glob, MatchesNamesAndPaths) {
  EXPECT_TRUE(glob_matches("*.tmp", "a.tmp"));
  EXPECT_TRUE(glob_matches("*.tmp", ".tmp"));
  EXPECT_FALSE(glob_matches("*.tmp", "a/b.tmp"));
  EXPECT_FALSE(glob_matches("*.tmp", "a.tmpx"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_FALSE(glob_matches("a?c", "a/c"));
  EXPECT_TRUE(glob_matches("[a-c]x", "bx"));
  EXPECT_FALSE(glob_matches("[!a-c]x", "bx"));
  EXPECT_TRUE(glob_matches("[]]x", "]x"));
  EXPECT_TRUE(glob_matches("\\*x", "*x"));
  EXPECT_FALSE(glob_matches("\\*x", "ax"));
  EXPECT_TRUE(glob_matches("*a*b*c", "xxaxxbxxc"));
  EXPECT_TRUE(glob_matches("\xff*", "\xff\xfe"));
}

TEST(Glob, DoubleStarCrossesDirectories) {
  EXPECT_TRUE(glob_matches("**/x", "x"));
  EXPECT_TRUE(glob_matches("**/x", "a/b/x"));
  EXPECT_FALSE(glob_matches("**/x", "a/bx"));
  EXPECT_TRUE(glob_matches("a/**/x", "a/x"));
  EXPECT_TRUE(glob_matches("a/**/x", "a/b/c/x"));
  EXPECT_TRUE(glob_matches("a/**", "a/b/c"));
  EXPECT_FALSE(glob_matches("a/**", "b/c"));
  EXPECT_FALSE(glob_matches("a/**/x", "b/x"));
}

// The definition, in exponential time.
bool matches_by_definition(std::string_view pattern, std::string_view text, bool part_begins = true) {
  if (pattern.empty()) return text.empty();
  if (part_begins && (pattern == "**" || pattern.starts_with("**/"))) {
    if (pattern.size() == 2) return true;
    if (matches_by_definition(pattern.substr(3), text)) return true;
    const size_t slash = text.find('/');
    return slash != std::string_view::npos && matches_by_definition(pattern, text.substr(slash + 1));
  }
  if (pattern[0] == '*') {
    if (matches_by_definition(pattern.substr(1), text, false)) return true;
    return !text.empty() && text[0] != '/' && matches_by_definition(pattern, text.substr(1), false);
  }
  if (text.empty() || (pattern[0] == '?' ? text[0] == '/' : pattern[0] != text[0])) return false;
  return matches_by_definition(pattern.substr(1), text.substr(1), text[0] == '/');
}

TEST(Glob, MatchesAsDefined) {
  const auto random = seeded_random(1);
  const auto any_of = [&](std::string_view letters, uint64_t most) {
    std::string text(random->below(most), ' ');
    for (char& c : text) c = letters[random->below(letters.size())];
    return text;
  };
  int matched = 0;
  for (int i = 0; i < 200'000; i++) {
    const std::string pattern = any_of("ab/***?", 9), text = any_of("aabb/", 9);
    const bool expected = matches_by_definition(pattern, text);
    ASSERT_EQ(glob_matches(pattern, text), expected) << pattern << " for " << text;
    matched += expected;
  }
  EXPECT_GT(matched, 1000);
}

TEST(Glob, ManyStarsTakeNoLongerThanTheyMust) {
  std::string pattern = "**/";
  for (int i = 0; i < 50; i++) pattern += "*a";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(4000, 'a') + "/" + std::string(4000, 'a')));
}

ExcludePatterns patterns(const std::vector<std::string>& texts) {
  auto result = ExcludePatterns::create(texts);
  EXPECT_TRUE(result.ok()) << result.error().text();
  return std::move(result).value();
}

TEST(Excludes, BareNamesMatchAnywhere) {
  const auto excludes = patterns({"*.tmp", "cache"});
  EXPECT_TRUE(excludes.excludes("srv/data/a/x.tmp", "a/x.tmp", false));
  EXPECT_TRUE(excludes.excludes("srv/data/cache", "cache", true));
  EXPECT_FALSE(excludes.excludes("srv/data/cached", "cached", true));
}

TEST(Excludes, PathsAreAnchored) {
  const auto excludes = patterns({"/srv/data/cache", "build/*.o"});
  EXPECT_TRUE(excludes.excludes("srv/data/cache", "cache", true));
  EXPECT_FALSE(excludes.excludes("srv/data/sub/cache", "sub/cache", true));
  EXPECT_TRUE(excludes.excludes("srv/data/build/x.o", "build/x.o", false));
  EXPECT_FALSE(excludes.excludes("srv/data/a/build/x.o", "a/build/x.o", false));
}

TEST(Excludes, TrailingSlashMeansDirectoriesAndTheLastMatchDecides) {
  const auto excludes = patterns({"logs/", "*.log", "!keep.log"});
  EXPECT_TRUE(excludes.excludes("a/logs", "logs", true));
  EXPECT_FALSE(excludes.excludes("a/logs", "logs", false));
  EXPECT_TRUE(excludes.excludes("a/b.log", "b.log", false));
  EXPECT_FALSE(excludes.excludes("a/keep.log", "keep.log", false));
}

TEST(Excludes, RefusesWhatItCannotUnderstand) {
  EXPECT_EQ(ExcludePatterns::create({"a[b"}).error().text(), "exclude pattern 'a[b' has '[' without ']'");
  EXPECT_EQ(ExcludePatterns::create({"!"}).error().text(), "exclude pattern '!' is empty");
}

TEST(Choice, NamesPathsAndPatterns) {
  const Choice choice({"/srv/data/a/", "*.conf", "var/**/x"});
  EXPECT_TRUE(choice.names("srv/data/a"));
  EXPECT_FALSE(choice.names("srv/data/a/b"));
  EXPECT_TRUE(choice.covers("srv/data/a/b"));
  EXPECT_TRUE(choice.names("etc/deep/y.conf"));
  EXPECT_TRUE(choice.names("var/lib/q/x"));
  EXPECT_FALSE(choice.covers("srv/data/other"));
  EXPECT_TRUE(Choice({}).everything());
}

}  // namespace
}  // namespace holdfast::files
