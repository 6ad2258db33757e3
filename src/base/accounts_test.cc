#include "base/accounts.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast {
namespace {

TEST(AccountsTest, FindsByNameAndByNumber) {
  const auto root = find_account("root");
  ASSERT_TRUE(root.has_value());
  EXPECT_EQ(root->uid, 0u);
  EXPECT_EQ(root->gid, 0u);
  EXPECT_EQ(find_group("root"), std::optional<gid_t>(0));
  EXPECT_EQ(account_name(0), "root");
  EXPECT_EQ(group_name(0), "root");
  EXPECT_EQ(account_label(0), "root");
}

TEST(AccountsTest, KnowsNoneOfAnotherNameOrNumber) {
  EXPECT_FALSE(find_account("no-such-account").has_value());
  EXPECT_FALSE(find_account("").has_value());
  EXPECT_FALSE(find_group("no-such-group").has_value());
  EXPECT_EQ(account_name(3'999'999'999), "");
  EXPECT_EQ(group_name(3'999'999'999), "");
  EXPECT_EQ(account_label(3'999'999'999), "3999999999");
}

}  // namespace
}  // namespace holdfast
