#include "engine/sql_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> texts(const std::string& script) {
  const auto statements = split_sql(script);
  EXPECT_TRUE(statements.ok());
  std::vector<std::string> found;
  for (const SqlStatement& statement : *statements) found.push_back(statement.text);
  return found;
}

TEST(SqlScript, IsCutAtSemicolons) {
  EXPECT_THAT(texts("SELECT 1; SELECT 2"), ElementsAre("SELECT 1", "SELECT 2"));
  EXPECT_THAT(texts(" ;; -- nothing\n/* nor /* here */ */ ;"), IsEmpty());
}

TEST(SqlScript, SemicolonsInQuotesAndCommentsCutNothing) {
  EXPECT_THAT(texts("SELECT ';', ';\"', \"a;b\", 'it''s;' -- ;\n, E'\\';' /* ; */; SELECT 2;"),
              ElementsAre("SELECT ';', ';\"', \"a;b\", 'it''s;' -- ;\n, E'\\';' /* ; */", "SELECT 2"));
}

TEST(SqlScript, DollarQuotesAreWhole) {
  EXPECT_THAT(texts("DO $$ BEGIN PERFORM 1; END $$; DO $f$ $$ ; $$ $f$; SELECT $1"),
              ElementsAre("DO $$ BEGIN PERFORM 1; END $$", "DO $f$ $$ ; $$ $f$", "SELECT $1"));
}

TEST(SqlScript, RulesKeepTheirSemicolonsInParentheses) {
  EXPECT_THAT(texts("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3"),
              ElementsAre("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"));
}

TEST(SqlScript, TellsTheLineOfEachStatement) {
  const auto statements = split_sql("\n-- first\nSELECT 1;\n\nSELECT\n2;");
  ASSERT_TRUE(statements.ok());
  EXPECT_EQ(statements->at(0).line, 3u);
  EXPECT_EQ(statements->at(1).line, 5u);
}

TEST(SqlScript, WhatNeverEndsEndsWithTheScript) {
  for (const char* script : {"SELECT 'open", "SELECT $x$ open", "/* open", "SELECT \"open", "SELECT (1", "E'\\"}) {
    EXPECT_TRUE(split_sql(script).ok()) << script;
  }
}

TEST(SqlScript, RefusesCommandsOfPsql) {
  const auto statements = split_sql("SELECT 1;\n\\c other\n");
  ASSERT_FALSE(statements.ok());
  EXPECT_EQ(statements.error().message(), "line 2: a command of psql; only SQL statements are run");
}

}  // namespace
}  // namespace holdfast::engine
