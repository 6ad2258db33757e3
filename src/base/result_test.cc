#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace holdfast {
namespace {

Result<int> parse_even(int number) {
  if (number % 2 != 0) return make_error(ErrorCode::kInvalidData, "{} is odd", number);
  return number;
}

Result<int> half_of(int number) { return TRY(parse_even(number)) / 2; }

Result<void> check_even(int number) {
  TRY_CONTEXT(parse_even(number), "checking {}", number);
  return {};
}

TEST(Result, TryReturnsTheValueOrTheError) {
  EXPECT_EQ(half_of(8).value(), 4);
  const auto failed = half_of(7);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.error().code(), ErrorCode::kInvalidData);
  EXPECT_EQ(failed.error().text(), "7 is odd");
}

TEST(Result, ContextGoesOutsideInAndTheHintLast) {
  EXPECT_TRUE(check_even(2).ok());
  auto failed = check_even(3).context("reading the list");
  ASSERT_FALSE(failed.ok());
  auto error = std::move(failed).error().with_hint("use even numbers");
  EXPECT_EQ(error.text(), "reading the list: checking 3: 3 is odd (use even numbers)");
  EXPECT_EQ(error.message(), "3 is odd");
  EXPECT_EQ(error.context(), (std::vector<std::string>{"checking 3", "reading the list"}));
}

TEST(Result, TextIsOneLine) {
  EXPECT_EQ(Error(ErrorCode::kServer, "first\nsecond\r\nthird").text(), "first second  third");
}

TEST(Result, CloneKeepsEverything) {
  const Error error =
      make_error(ErrorCode::kIo, "broken").with_context("c").with_hint("h").with_retryable().with_data_loss();
  const Error copy = error.clone();
  EXPECT_EQ(copy.text(), "c: broken (h)");
  EXPECT_EQ(copy.code(), ErrorCode::kIo);
  EXPECT_TRUE(copy.retryable());
  EXPECT_TRUE(copy.data_loss());
}

TEST(Result, ErrnoIsMappedToTheNearestCode) {
  const std::pair<int, ErrorCode> cases[] = {
      {ENOENT, ErrorCode::kNotFound},      {EACCES, ErrorCode::kPermission},
      {EPERM, ErrorCode::kPermission},     {EROFS, ErrorCode::kPermission},
      {ENOSPC, ErrorCode::kNoSpace},       {EDQUOT, ErrorCode::kNoSpace},
      {EEXIST, ErrorCode::kAlreadyExists}, {EIO, ErrorCode::kIo},
      {ENOTDIR, ErrorCode::kIo},
  };
  for (const auto& [errno_value, code] : cases)
    EXPECT_EQ(Error::from_errno(errno_value, "x").code(), code) << errno_value;
  EXPECT_EQ(Error::from_errno(ENOENT, "can't open /a").text(), "can't open /a: no such file or directory");
}

TEST(Result, HoldsWhatCanOnlyBeMoved) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 5);
}

TEST(Result, ValueOfAnErrorIsADefect) {
  const Result<int> failed = parse_even(1);
  EXPECT_DEATH((void)failed.value(), "value\\(\\) of an error");
}

}  // namespace
}  // namespace holdfast
