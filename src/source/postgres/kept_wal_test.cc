#include "source/postgres/kept_wal.h"

#include <gtest/gtest.h>

namespace holdfast::postgres {
namespace {

TEST(KeptWal, OnlyWhatIsNotStoredAndTheSlotKeepsIsStillToCome) {
  const std::vector<WalRange> with_hole = {{1, Lsn{100}, Lsn{200}, {}, {}, {}}, {1, Lsn{300}, Lsn{400}, {}, {}, {}}};
  EXPECT_TRUE(is_kept_by_server(Lsn{200}, with_hole, Lsn{200}));
  EXPECT_TRUE(is_kept_by_server(Lsn{200}, with_hole, Lsn{150}));
  EXPECT_FALSE(is_kept_by_server(Lsn{200}, with_hole, Lsn{250}));
  EXPECT_FALSE(is_kept_by_server(Lsn{200}, with_hole, std::nullopt));
  // Stored and not readable: nobody sends it again.
  EXPECT_FALSE(is_kept_by_server(Lsn{150}, with_hole, Lsn{100}));
}

}  // namespace
}  // namespace holdfast::postgres
