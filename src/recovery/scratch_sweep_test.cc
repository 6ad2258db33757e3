#include "recovery/scratch_sweep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "source/scratch_place.h"

namespace holdfast::recovery {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ScratchSweepTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-scratch-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    registry_ = root_ + "/drills";
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(fs_, root_).ok()); }

  std::vector<std::string> noted() {
    const auto content = read_file(fs_, registry_ + "/scratch.json", 1 << 20);
    return content.ok() ? nlohmann::json::parse(as_text(*content)).get<std::vector<std::string>>()
                        : std::vector<std::string>();
  }
  std::string directory(const std::string& name) {
    EXPECT_TRUE(make_directories(fs_, root_ + "/" + name).ok());
    return root_ + "/" + name;
  }
  void sweep() { sweep_scratch(fs_, system_clock(), registry_); }

  FileSystem& fs_ = real_file_system();
  std::string root_, registry_;
};

TEST_F(ScratchSweepTest, ADirectoryIsNotedAsLongAsSomebodyWorksThere) {
  const std::string aside = directory("aside");
  {
    const NotedScratch noted_scratch(fs_, system_clock(), registry_, aside);
    EXPECT_THAT(noted(), ElementsAre(aside));
  }
  EXPECT_THAT(noted(), IsEmpty());
  std::optional<source::ScratchPlace> other = source::ScratchPlace::make(fs_, system_clock(), aside).value();
  {
    const NotedScratch noted_scratch(fs_, system_clock(), registry_, aside);
  }
  sweep();
  EXPECT_THAT(noted(), ElementsAre(aside)) << "somebody else works there";
  other.reset();
  sweep();
  EXPECT_THAT(noted(), IsEmpty());
}

TEST_F(ScratchSweepTest, WhatADeadProcessNotedIsSweptOnce) {
  const std::string aside = directory("aside");
  EXPECT_TRUE(make_directories(fs_, registry_).ok());
  const std::string all = nlohmann::json({aside, root_ + "/gone"}).dump();
  EXPECT_TRUE(write_file_durably(fs_, registry_ + "/scratch.json", as_bytes(all)).ok());
  const std::string left = directory("aside/holdfast-aside-abcdef");
  EXPECT_TRUE(write_file_durably(fs_, left + "/lock", as_bytes(std::string())).ok());
  sweep();
  EXPECT_FALSE(exists(fs_, left).value());
  EXPECT_THAT(noted(), IsEmpty());
}

TEST_F(ScratchSweepTest, NoneIsLostWhereSeveralAreNotedAtOnce) {
  constexpr int kMany = 8;
  std::vector<std::unique_ptr<NotedScratch>> all(kMany);
  std::vector<std::thread> threads;
  for (int i = 0; i < kMany; i++)
    threads.emplace_back([&, i] {
      all[i] = std::make_unique<NotedScratch>(fs_, system_clock(), registry_, root_ + "/" + std::to_string(i));
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(noted(), SizeIs(kMany));
}

}  // namespace
}  // namespace holdfast::recovery
