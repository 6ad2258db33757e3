#include <gtest/gtest.h>

#include <unistd.h>

#include "source/postgres/dump.h"
#include "source/postgres/extract_target.h"
#include "source/postgres/inventory.h"

namespace holdfast::postgres {
namespace {

TEST(Extract, NamesAreCutBetweenCharacters) {
  EXPECT_EQ(name_with("orders", "_before"), "orders_before");
  EXPECT_EQ(name_with(std::string(63, 'x'), "_y"), std::string(61, 'x') + "_y");
  // 31 two-byte characters are 62 bytes: one more would be cut in the middle.
  std::string name;
  for (int i = 0; i < 31; i++) name += "ü";
  EXPECT_EQ(name_with(name, "_y").size(), 62u);
  EXPECT_EQ(name_with(name, "_yz"), name.substr(0, 60) + "_yz");
}

TEST(Extract, WhatIsKeptSaysUntilWhenItWasThere) {
  EXPECT_EQ(kept_ending(Time::from_unix_seconds(1'772'357'400)), "_before_20260301_093000");
}

TEST(Extract, ConnectionStringsTakeAnyValue) {
  EXPECT_EQ(conninfo_with("", "dbname", "a"), "dbname='a'");
  EXPECT_EQ(conninfo_with("host=x", "dbname", "it's \\ = ü"), "host=x dbname='it\\'s \\\\ = ü'");
  EXPECT_EQ(conninfo_with("postgresql://x/y", "dbname", "a b"), "postgresql://x/y?dbname=a%20b");
  EXPECT_EQ(conninfo_with("postgresql://x/y?port=1", "dbname", "a"), "postgresql://x/y?port=1&dbname=a");
}

TEST(Extract, DifferencesAreSaidAndCounted) {
  const Inventory wanted = {{"rows of a", "3"}, {"rows of b", "1"}, {"table a", "x"}};
  EXPECT_EQ(differences(wanted, wanted), std::vector<std::string>());
  const Inventory found = {{"rows of a", "2"}, {"table a", "x"}, {"table c", "y"}};
  EXPECT_EQ(differences(wanted, found), (std::vector<std::string>{"rows of a: 2, not 3", "rows of b: is missing",
                                                                  "table c: is there and should not be"}));
  EXPECT_EQ(differences(wanted, found, 1), (std::vector<std::string>{"rows of a: 2, not 3", "and 2 more"}));
}

}  // namespace
}  // namespace holdfast::postgres
