#include "cli/option_values.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

using Words = std::vector<std::string>;

class OptionValues : public testing::Test {
 protected:
  OptionValues() {
    root_.fallthrough();
    root_.add_option("--config", config_);
    CLI::App* prune = root_.add_subcommand("prune", "");
    prune->fallthrough();
    prune->add_flag("--dry-run", dry_run_);
    prune->add_option("--to", to_);
    prune->add_option("--tag", tags_);
    prune->add_option("--share", share_)->expected(0, 1);
  }

  // As the parser is to have them.
  Words checked(const Words& words) {
    auto result = check_option_values(root_, words);
    EXPECT_TRUE(result.ok()) << result.error().text();
    return result.ok() ? std::move(result).value() : Words();
  }
  void expect_unchanged(const Words& words) { EXPECT_EQ(checked(words), words); }
  void expect_refused(const Words& words, const std::string& message, const std::string& hint) {
    const auto result = check_option_values(root_, words);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code(), ErrorCode::kUsage);
    EXPECT_EQ(result.error().message(), message);
    EXPECT_EQ(result.error().hint(), hint);
  }
  void expect_empty(const Words& words, const std::string& option) {
    expect_refused(words, option + " is empty",
                   "give it a value or leave it out: perhaps a variable of a script is not set");
  }

  CLI::App root_;
  std::string config_, to_, share_;
  std::vector<std::string> tags_;
  bool dry_run_ = false;
};

TEST_F(OptionValues, AnEmptyOneIsRefused) {
  expect_empty({"prune", "--to", ""}, "--to");
  expect_empty({"prune", "--tag=a", ""}, "--tag");
  expect_empty({"prune", "--tag", "a", ""}, "--tag");
  expect_empty({"prune", "--to=", "--dry-run"}, "--to");
  expect_empty({"prune", "--tag=", "--dry-run"}, "--tag");
  expect_empty({"prune", "--tag", "a", ""}, "--tag");
  expect_empty({"prune", "--share="}, "--share");
  expect_empty({"--config", "x", "prune", "--to="}, "--to");
}

TEST_F(OptionValues, TheNextOptionIsNone) {
  expect_refused({"prune", "--tag", "--dry-run"}, "--tag wants a value, not the option '--dry-run'",
                 "if that is the value, write '--tag=--dry-run'");
  expect_refused({"prune", "--to", "-q"}, "--to wants a value, not the option '-q'",
                 "if that is the value, write '--to=-q'");
  expect_refused({"prune", "--config", "--dry-run"}, "--config wants a value, not the option '--dry-run'",
                 "if that is the value, write '--config=--dry-run'");
  expect_unchanged({"prune", "--tag=--dry-run"});
  expect_unchanged({"prune", "--share", "--dry-run"});
}

TEST_F(OptionValues, OfConfigAnEmptyOneMeansNoFile) {
  expect_unchanged({"prune", "--config", ""});
  EXPECT_EQ(checked({"prune", "--config=", "--dry-run"}), (Words{"prune", "--config", "", "--dry-run"}));
}

TEST_F(OptionValues, OthersStayAsTheyAre) {
  expect_unchanged({"prune", "--to", "-5", "--tag", "a", "b", "-x", ""});
  expect_unchanged({"prune", "--to", "-"});
  expect_unchanged({"prune", "--to"});
  expect_unchanged({"prune", "--unknown", "--dry-run"});
  expect_unchanged({"prune", "--dry-run", "", "--to=x"});
  expect_unchanged({"prune", "--", "--to", "", "--tag="});
  expect_unchanged({});
}

}  // namespace
}  // namespace holdfast::cli
