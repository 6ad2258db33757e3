// Covers: whatever the order that is declared, each component begins once, after those
// that it names have ended; never more at once than allowed; nothing after a stop.
#include "recovery/capture_order.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>
#include <set>
#include <thread>

namespace holdfast::recovery {
namespace {

struct Stack {
  std::vector<ComponentConfig> owned;
  std::vector<const ComponentConfig*> components;

  explicit Stack(size_t count) : owned(count) {
    for (size_t i = 0; i < count; i++) owned[i].name = "c" + std::to_string(i);
    for (const ComponentConfig& component : owned) components.push_back(&component);
  }
};

TEST(CaptureOrder, EachBeginsAfterThoseThatItNames) {
  for (uint64_t seed = 0; seed < 200; seed++) {
    std::mt19937_64 random(seed);
    Stack stack(1 + random() % 8);
    std::vector<size_t> rank(stack.owned.size());
    for (size_t i = 0; i < rank.size(); i++) rank[i] = i;
    std::shuffle(rank.begin(), rank.end(), random);
    for (size_t i = 0; i < rank.size(); i++) {
      for (size_t j = 0; j < rank.size(); j++) {
        if (rank[j] < rank[i] && random() % 3 == 0) stack.owned[i].after.push_back(stack.owned[j].name);
      }
      if (random() % 5 == 0) stack.owned[i].after.push_back("one that is not captured this time");
    }
    const size_t parallel = 1 + random() % 3;
    std::mutex mutex;
    std::set<std::string> begun, ended;
    size_t running = 0, most = 0;
    in_order(stack.components, parallel, [&](size_t at) {
      const ComponentConfig& component = *stack.components[at];
      {
        const std::lock_guard lock(mutex);
        most = std::max(most, ++running);
        EXPECT_TRUE(begun.insert(component.name).second) << "twice, seed " << seed;
        for (const std::string& name : component.after) {
          const bool among = name.size() < 4;
          EXPECT_TRUE(!among || ended.contains(name)) << component.name << " before " << name << ", seed " << seed;
        }
      }
      std::this_thread::yield();
      const std::lock_guard lock(mutex);
      running--;
      ended.insert(component.name);
      return true;
    });
    EXPECT_EQ(ended.size(), stack.owned.size()) << "seed " << seed;
    EXPECT_LE(most, parallel) << "seed " << seed;
  }
}

TEST(CaptureOrder, NothingBeginsAfterAStop) {
  Stack stack(5);
  std::vector<size_t> begun;
  in_order(stack.components, 1, [&](size_t at) {
    begun.push_back(at);
    return at != 2;
  });
  EXPECT_EQ(begun, (std::vector<size_t>{0, 1, 2}));
}

TEST(CaptureOrder, SeveralRunAtOnce) {
  Stack stack(2);
  std::atomic<int> inside{0};
  in_order(stack.components, 2, [&](size_t) {
    inside++;
    while (inside < 2) std::this_thread::yield();  // each waits for the other
    return true;
  });
  EXPECT_EQ(inside, 2);
}

}  // namespace
}  // namespace holdfast::recovery
