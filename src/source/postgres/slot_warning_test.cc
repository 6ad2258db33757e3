#include "source/postgres/slot_warning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/units.h"

namespace holdfast::postgres {
namespace {

using ::testing::HasSubstr;

ServerState keeping(uint64_t bytes) {
  ServerState state;
  state.slot_exists = true;
  state.slot_status = "extended";
  state.slot_limit = "-1";
  state.slot_kept_bytes = bytes;
  return state;
}

std::string advice(uint64_t kept_bytes, std::optional<uint64_t> free_bytes) {
  const auto warning = slot_warning("holdfast_db", keeping(kept_bytes), free_bytes);
  return warning ? warning->advice : "";
}

// A limit below what is kept would make the server remove it at once.
TEST(SlotWarning, TheLimitThatIsAdvisedIsNeverLessThanWhatIsKept) {
  EXPECT_THAT(advice(0, 100 * kGiB), HasSubstr("max_slot_wal_keep_size = '50GB'"));
  EXPECT_THAT(advice(100 * kGiB, 10 * kGiB), HasSubstr("'105GB'"));
  EXPECT_THAT(advice(100 * kGiB, 0), HasSubstr("'102401MB'"));
  EXPECT_THAT(advice(100 * kGiB + 5 * kMiB, kMiB), HasSubstr("'102406MB'"));
  EXPECT_THAT(advice(kMiB, 3 * kMiB), HasSubstr("'3MB'"));
  EXPECT_THAT(advice(0, std::nullopt), HasSubstr("'20GB'"));
  EXPECT_THAT(advice(100 * kGiB, std::nullopt), HasSubstr("'200GB'"));
}

}  // namespace
}  // namespace holdfast::postgres
