#include "recovery/shared_progress.h"

#include <gtest/gtest.h>

#include <string_view>

namespace holdfast::recovery {
namespace {

template <typename Condition>
void wait_for(const Condition& condition) {
  while (!condition()) std::this_thread::yield();
}

TEST(SharedProgress, AddsUpAndNamesWhoDoesWhat) {
  Progress whole;
  SharedProgress shared(whole);
  Progress& db = shared.begin("db", 100);
  Progress& data = shared.begin("data", 50);
  db.phase = "copying";
  data.phase = "reading files";
  db.bytes_done = 30;
  data.bytes_done = 20;
  const auto says = [&](std::string_view phase) { return std::string_view(whole.phase.load()) == phase; };
  wait_for([&] { return whole.bytes_done == 50 && says("db: copying, data: reading files"); });
  EXPECT_EQ(whole.bytes_total, 150u);
  // What has ended is done, whatever was expected of it.
  shared.end(data);
  wait_for([&] { return whole.bytes_total == 120 && says("db: copying"); });
  // Of one that can't be told, all can't.
  shared.begin("more", 0);
  wait_for([&] { return whole.bytes_total == 0; });
}

TEST(SharedProgress, AStopReachesAll) {
  Progress whole;
  SharedProgress shared(whole);
  Progress& one = shared.begin("one", 0);
  whole.stop = true;
  wait_for([&] { return one.stop.load(); });
  EXPECT_TRUE(shared.begin("two", 0).stop);
}

TEST(SharedProgress, StoppingThePartsIsNoStopOfTheWhole) {
  Progress whole;
  {
    SharedProgress shared(whole);
    Progress& one = shared.begin("one", 0);
    shared.stop_parts();
    EXPECT_TRUE(one.stop);
    EXPECT_TRUE(shared.begin("two", 0).stop);
  }
  EXPECT_FALSE(whole.stop);
}

}  // namespace
}  // namespace holdfast::recovery
