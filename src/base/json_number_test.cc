#include "base/json_number.h"

#include <gtest/gtest.h>

#include <optional>

namespace holdfast {
namespace {

using nlohmann::json;

template <typename T>
std::optional<T> read(const char* text) {
  try {
    return whole_number<T>(json::parse(text));
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

TEST(WholeNumber, IsReadWhereItsTypeHoldsIt) {
  EXPECT_EQ(read<uint64_t>("0"), 0);
  EXPECT_EQ(read<uint64_t>("18446744073709551615"), UINT64_MAX);
  EXPECT_EQ(read<int64_t>("-9223372036854775808"), INT64_MIN);
  EXPECT_EQ(read<int64_t>("9223372036854775807"), INT64_MAX);
  EXPECT_EQ(read<int>("-2147483648"), INT32_MIN);
  EXPECT_EQ(read<uint32_t>("4294967295"), UINT32_MAX);
}

TEST(WholeNumber, IsRefusedOutOfRange) {
  EXPECT_EQ(read<uint64_t>("-1"), std::nullopt);
  EXPECT_EQ(read<uint64_t>("18446744073709551616"), std::nullopt);  // read as a fraction
  EXPECT_EQ(read<int64_t>("9223372036854775808"), std::nullopt);
  EXPECT_EQ(read<int>("2147483648"), std::nullopt);
  EXPECT_EQ(read<int>("-2147483649"), std::nullopt);
  EXPECT_EQ(read<uint32_t>("4294967296"), std::nullopt);
}

TEST(WholeNumber, NothingElseIsOne) {
  for (const char* text : {"1.0", "1.04935e+73", "\"1\"", "true", "null", "[]", "{}"})
    EXPECT_EQ(read<uint64_t>(text), std::nullopt) << text;
}

TEST(WholeNumber, AtAKeyThatMayBeAbsent) {
  const json object = {{"there", 7}};
  EXPECT_EQ(whole_number<int>(object, "there"), 7);
  EXPECT_EQ(whole_number_or<int>(object, "there", 3), 7);
  EXPECT_EQ(whole_number_or<int>(object, "absent", 3), 3);
  EXPECT_THROW(whole_number<int>(object, "absent"), json::exception);
  EXPECT_THROW(whole_number_or<int>(json({{"there", 1.5}}), "there", 3), json::exception);
}

}  // namespace
}  // namespace holdfast
