#include "base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/random.h"

namespace holdfast {
namespace {

TEST(ParallelFor, RunsEveryItemOnce) {
  for (const size_t threads : {0u, 1u, 2u, 7u}) {
    std::vector<std::atomic<int>> seen(1000);
    EXPECT_TRUE(parallel_for(seen.size(), threads, [&](size_t i) -> Result<void> {
                  seen[i]++;
                  return {};
                }).ok());
    for (const auto& count : seen) EXPECT_EQ(count, 1);
  }
  EXPECT_TRUE(
      parallel_for(0, 4, [](size_t) -> Result<void> { return make_error(ErrorCode::kIo, "never called"); }).ok());
}

TEST(ParallelFor, AnErrorStopsTheHandOut) {
  std::atomic<size_t> calls{0};
  const auto outcome = parallel_for(1'000'000, 4, [&](size_t i) -> Result<void> {
    calls++;
    if (i >= 100) return make_error(ErrorCode::kIo, "item {}", i);
    return {};
  });
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kIo);
  EXPECT_LT(calls, 1'000'000u);
}

TEST(BoundedQueue, NeverHoldsMoreThanItsLimit) {
  constexpr int kItems = 20000, kLimit = 3;
  BoundedQueue<int> queue(kLimit);
  std::atomic<int> inside{0}, highest{0};
  std::jthread producer([&] {
    for (int i = 0; i < kItems; i++) {
      EXPECT_TRUE(queue.push(i));
      const int now = ++inside;  // counted after the push: it may lag, never exaggerate by more than our own item
      int seen = highest;
      while (now > seen && !highest.compare_exchange_weak(seen, now)) continue;
    }
    queue.close();
  });
  int expected = 0;
  while (auto item = queue.pop()) {
    inside--;
    EXPECT_EQ(*item, expected++);
  }
  EXPECT_EQ(expected, kItems);
  EXPECT_LE(highest, kLimit + 1);
}

TEST(BoundedQueue, CloseFreesWaitersAndDrains) {
  BoundedQueue<int> queue(1);
  ASSERT_TRUE(queue.push(1));
  std::jthread blocked([&] { EXPECT_FALSE(queue.push(2)); });
  queue.close();
  blocked.join();
  EXPECT_EQ(queue.pop(), 1);
  EXPECT_EQ(queue.pop(), std::nullopt);
  EXPECT_FALSE(queue.push(3));
}

// One seeded run of the pipeline: workers dawdle at random, and the source, a
// worker or the sink may fail at a random item.
struct Stress {
  explicit Stress(uint64_t seed) : random(seeded_random(seed)) {
    threads = random->below(6);
    window = random->below(9);
    items = random->below(300);
    const uint64_t kind = random->below(6);
    if (kind == 1) fail_next = random->below(items + 1);
    if (kind == 2) fail_work = random->below(items + 1);
    if (kind == 3) fail_sink = random->below(items + 1);
  }

  void dawdle() {
    for (uint64_t i = random->below(4); i > 0; i--) std::this_thread::yield();
  }

  Result<void> run() {
    return ordered_pipeline<uint64_t, std::unique_ptr<uint64_t>>(
        threads, window,
        [this]() -> Result<std::optional<uint64_t>> {
          EXPECT_FALSE(fetching.exchange(true));
          dawdle();
          const uint64_t item = handed_out;
          fetching = false;
          if (item == fail_next) return make_error(ErrorCode::kIo, "next {}", item);
          if (item == items) return std::optional<uint64_t>();
          handed_out++;
          const uint64_t in_flight = item + 1 - sunk;
          EXPECT_LE(in_flight, window ? window : 1);
          return std::optional<uint64_t>(item);
        },
        [this](uint64_t& item) -> Result<std::unique_ptr<uint64_t>> {
          dawdle();
          if (item == fail_work) return make_error(ErrorCode::kIo, "work {}", item);
          return std::make_unique<uint64_t>(item * 3);
        },
        [this](std::unique_ptr<uint64_t> out) -> Result<void> {
          EXPECT_FALSE(sinking.exchange(true));
          EXPECT_EQ(*out, sunk * 3);
          dawdle();
          sinking = false;
          if (sunk == fail_sink) return make_error(ErrorCode::kIo, "sink {}", sunk.load());
          sunk++;
          return {};
        });
  }

  static constexpr uint64_t kNever = UINT64_MAX;
  std::unique_ptr<Random> random;
  size_t threads = 0, window = 0;
  uint64_t items = 0, fail_next = kNever, fail_work = kNever, fail_sink = kNever;
  std::atomic<uint64_t> handed_out{0}, sunk{0};
  std::atomic<bool> fetching{false}, sinking{false};
};

TEST(OrderedPipeline, KeepsOrderBoundAndErrorsUnderStress) {
  for (uint64_t seed = 0; seed < 400; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Stress stress(seed);
    const auto outcome = stress.run();
    const bool source_fails = stress.fail_next <= stress.items;
    const bool item_fails = stress.fail_work < stress.items || stress.fail_sink < stress.items;
    ASSERT_EQ(outcome.ok(), !source_fails && !item_fails);
    if (outcome.ok()) {
      EXPECT_EQ(stress.sunk, stress.items);
    }
    if (stress.fail_work < stress.items) {
      EXPECT_EQ(outcome.error().text(), fmt::format("work {}", stress.fail_work));
      EXPECT_LE(stress.sunk, stress.fail_work);
    }
    if (stress.fail_sink < stress.items) {
      EXPECT_EQ(stress.sunk, stress.fail_sink);
    }
  }
}

}  // namespace
}  // namespace holdfast
