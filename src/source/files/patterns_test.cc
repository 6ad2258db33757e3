#include "source/files/patterns.h"

#include <gtest/gtest.h>

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
