#include "faults/fault_file_system.h"

#include <dirent.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "base/direct_writer.h"
#include "base/parallel.h"

namespace holdfast::faults {
namespace {

// A scratch directory and the fault file system over it.
class FaultFileSystemTest : public testing::Test {
 protected:
  void SetUp() override { start({}); }
  void TearDown() override {
    faulty_.reset();
    EXPECT_TRUE(remove_tree(real_, base_).ok());
  }

  // Begins anew, in an empty directory.
  void start(const FaultPlan& plan) {
    faulty_.reset();
    if (!base_.empty()) {
      ASSERT_TRUE(remove_tree(real_, base_).ok());
    }
    std::string pattern = join_path(scratch_place(), "holdfast-faults-XXXXXX");
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    root_ = join_path(base_, "root");
    ASSERT_TRUE(real_.make_directory(root_, 0700).ok());
    again(plan);
  }
  // Goes on with what the directory holds, all of it durable.
  void again(const FaultPlan& plan) {
    faulty_.reset();
    auto made = FaultFileSystem::create(root_, plan);
    ASSERT_TRUE(made.ok()) << made.error().text();
    faulty_ = std::move(made).value();
  }

  std::string path(std::string_view name) const { return join_path(root_, name); }

  // Everything below `directory`: "a/b" -> content; directories end in '/'.
  std::map<std::string, std::string> tree(const std::string& directory = "") {
    std::map<std::string, std::string> found;
    for (const auto& entry : real_.list(path(directory)).value()) {
      const std::string name = join_path(directory, entry.name);
      if (entry.type == DT_DIR) {
        found[name + "/"] = "";
        found.merge(tree(name));
      } else {
        found[name] = std::string(as_text(read_file(real_, path(name)).value()));
      }
    }
    return found;
  }

  Result<void> put(const std::string& name, std::string_view content, bool sync) {
    OpenOptions options;
    options.write = options.create = options.truncate = true;
    auto file = TRY(faulty_->open(path(name), options));
    TRY(file->write_at(0, as_bytes(content)));
    if (sync) TRY(file->sync());
    return file->close();
  }

  using Tree = std::map<std::string, std::string>;
  FileSystem& real_ = real_file_system();
  std::string base_, root_;
  std::unique_ptr<FaultFileSystem> faulty_;
};

TEST_F(FaultFileSystemTest, NumbersWhatChangesTheDiskAndNothingElse) {
  ASSERT_TRUE(make_directories(*faulty_, path("d")).ok());
  ASSERT_TRUE(create_file_durably(*faulty_, path("d/a"), as_bytes("abc")).ok());
  ASSERT_TRUE(faulty_->hard_link(path("d/a"), path("d/b")).ok());
  ASSERT_TRUE(faulty_->remove_file(path("d/a")).ok());
  ASSERT_TRUE(read_file(*faulty_, path("d/b")).ok());
  ASSERT_TRUE(faulty_->sync_all(root_).ok());
  auto trace = faulty_->trace();
  for (auto& line : trace) {  // the temporary's name is random
    const size_t dot = line.find("/.a.");
    if (dot != std::string::npos) line.replace(dot + 1, line.find(".tmp", dot) + 3 - dot, "TMP");
  }
  EXPECT_EQ(trace,
            (std::vector<std::string>{"1 make directory d", "2 sync directory .", "3 create d/TMP", "4 write d/TMP 0+3",
                                      "5 sync d/TMP", "6 rename d/TMP to d/a", "7 sync directory d",
                                      "8 link d/a to d/b", "9 remove d/a", "10 sync everything"}));
  EXPECT_EQ(faulty_->operations(), 10u);
  EXPECT_FALSE(faulty_->fired());
}

TEST_F(FaultFileSystemTest, PathsOutsideGoToTheRealFileSystem) {
  start({FaultKind::kIoError, 1});
  EXPECT_TRUE(write_file_durably(*faulty_, join_path(base_, "outside"), as_bytes("x")).ok());
  EXPECT_TRUE(write_file_durably(*faulty_, root_ + "-sibling", as_bytes("x")).ok());
  EXPECT_EQ(faulty_->operations(), 0u);
}

TEST_F(FaultFileSystemTest, AFullDiskStaysFull) {
  start({FaultKind::kNoSpace, 2, true});
  const auto written = put("a", "abcdef", true);
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(written.error().text(), "can't write a 0+6: no space left on device");
  EXPECT_EQ(put("b", "x", true).error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(faulty_->make_directory(path("d"), 0700).error().code(), ErrorCode::kNoSpace);
  EXPECT_EQ(faulty_->hard_link(path("a"), path("l")).error().code(), ErrorCode::kNoSpace);
  EXPECT_TRUE(faulty_->rename(path("a"), path("c")).ok());
  EXPECT_TRUE(faulty_->sync_directory(root_).ok());
  EXPECT_EQ(tree(), (Tree{{"c", "abc"}}));
  EXPECT_TRUE(faulty_->remove_file(path("c")).ok());
}

TEST_F(FaultFileSystemTest, ASingleErrorPasses) {
  start({FaultKind::kIoError, 3});
  EXPECT_EQ(put("a", "abc", true).error().text(), "can't sync a: input/output error");
  EXPECT_TRUE(put("a", "abc", true).ok());
}

TEST_F(FaultFileSystemTest, AfterAKillNothingWorksAndWhatWasDoneStays) {
  start({FaultKind::kKill, 6, true});
  ASSERT_TRUE(put("a", "abcd", false).ok());
  const auto killed = put("b", "efgh", false);
  ASSERT_TRUE(killed.ok());
  EXPECT_FALSE(put("b", "ijkl", false).ok());  // emptied, then half written
  EXPECT_TRUE(faulty_->fired());
  EXPECT_FALSE(faulty_->stat(path("a")).ok());
  EXPECT_FALSE(faulty_->remove_file(path("a")).ok());
  EXPECT_FALSE(read_file(*faulty_, path("a")).ok());
  ASSERT_TRUE(faulty_->settle().ok());
  EXPECT_EQ(tree(), (Tree{{"a", "abcd"}, {"b", "ij"}}));
}

TEST_F(FaultFileSystemTest, PowerLossKeepsWhatWasMadeDurable) {
  for (uint64_t seed = 0; seed < 50; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    start({FaultKind::kPowerLoss, 0, false, seed});
    ASSERT_TRUE(make_directories(*faulty_, path("d/e")).ok());
    ASSERT_TRUE(create_file_durably(*faulty_, path("d/e/a"), as_bytes("abc")).ok());
    ASSERT_TRUE(write_file_durably(*faulty_, path("d/e/a"), as_bytes("def")).ok());
    ASSERT_TRUE(create_file_durably(*faulty_, path("d/e/b"), as_bytes("x")).ok());
    ASSERT_TRUE(faulty_->remove_file(path("d/e/b")).ok());
    ASSERT_TRUE(faulty_->sync_directory(path("d/e")).ok());
    ASSERT_TRUE(faulty_->settle().ok());
    EXPECT_EQ(tree(), (Tree{{"d/", ""}, {"d/e/", ""}, {"d/e/a", "def"}}));
  }
}

TEST_F(FaultFileSystemTest, UnsyncedContentMayBeLostOldOrNew) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 60; seed++) {
    start({});
    ASSERT_TRUE(put("a", "old", true).ok());
    again({FaultKind::kPowerLoss, 0, false, seed});
    ASSERT_TRUE(put("a", "newer", false).ok());
    ASSERT_TRUE(faulty_->settle().ok());
    seen.insert(tree()["a"]);
  }
  EXPECT_TRUE(seen.contains("old"));
  EXPECT_TRUE(seen.contains("newer"));
  EXPECT_TRUE(seen.contains(std::string("old\0\0", 5)));  // the size without the content
  EXPECT_EQ(seen.size(), 3u);
}

TEST_F(FaultFileSystemTest, WhatPassesTheCacheIsLostLikeAnyOther) {
  const std::string old(DirectWriter::kSmallest, 'o'), fresh(DirectWriter::kSmallest, 'n');
  std::set<bool> survived;
  for (const bool synced : {false, true}) {
    for (uint64_t seed = 1; seed <= 8; seed++) {
      start({});
      ASSERT_TRUE(put("file", old, true).ok());
      again({FaultKind::kPowerLoss, 3 + (synced ? 1u : 0u), false, seed});
      auto file = faulty_->open(path("file"), {.write = true}).value();
      DirectWriter writer(*file, fresh.size());
      ASSERT_TRUE(writer.is_direct());
      ASSERT_TRUE(writer.write(0, as_bytes(fresh)).ok() && writer.finish().ok());
      EXPECT_NE(faulty_->trace().back().find("write past the cache file 0+1048576"), std::string::npos);
      if (synced) {
        ASSERT_TRUE(file->sync().ok());
      }
      ASSERT_TRUE(faulty_->settle().ok());
      const bool is_fresh = tree()["file"] == fresh;
      EXPECT_TRUE(is_fresh || !synced);
      if (!synced) survived.insert(is_fresh);
    }
  }
  EXPECT_TRUE(survived.contains(false));
}

TEST_F(FaultFileSystemTest, ANewFileWhoseNameIsDurableMayBeEmptyOrGarbage) {
  std::set<size_t> sizes;
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 60; seed++) {
    start({FaultKind::kPowerLoss, 0, false, seed});
    ASSERT_TRUE(put("a", "content", false).ok());
    ASSERT_TRUE(faulty_->sync_directory(root_).ok());
    ASSERT_TRUE(faulty_->settle().ok());
    ASSERT_EQ(tree().size(), 1u);
    sizes.insert(tree()["a"].size());
    seen.insert(tree()["a"]);
  }
  EXPECT_EQ(sizes, (std::set<size_t>{0, 7}));
  EXPECT_TRUE(seen.contains("content"));
  EXPECT_TRUE(seen.contains(std::string(7, '\0')));
  EXPECT_GT(seen.size(), 3u);
}

TEST_F(FaultFileSystemTest, NamesThatWereNotSyncedMayGoInOrderOfTheirDirectory) {
  std::set<std::vector<std::string>> seen;
  for (uint64_t seed = 0; seed < 200; seed++) {
    start({FaultKind::kPowerLoss, 0, false, seed});
    for (const char* name : {"1", "2", "3"}) ASSERT_TRUE(put(name, "x", true).ok());
    ASSERT_TRUE(faulty_->settle().ok());
    std::vector<std::string> names;
    for (const auto& [name, content] : tree()) names.push_back(name);
    seen.insert(names);
  }
  EXPECT_EQ(seen, (std::set<std::vector<std::string>>{{}, {"1"}, {"1", "2"}, {"1", "2", "3"}}));
}

TEST_F(FaultFileSystemTest, RenamesAreUndoneWhole) {
  std::set<Tree> seen;
  for (uint64_t seed = 0; seed < 100; seed++) {
    start({});
    ASSERT_TRUE(put("a", "A", true).ok());
    ASSERT_TRUE(put("b", "B", true).ok());
    again({FaultKind::kPowerLoss, 0, false, seed});
    ASSERT_TRUE(faulty_->rename(path("a"), path("b")).ok());
    ASSERT_TRUE(faulty_->settle().ok());
    seen.insert(tree());
  }
  EXPECT_EQ(seen, (std::set<Tree>{{{"a", "A"}, {"b", "B"}}, {{"b", "A"}}}));
}

TEST_F(FaultFileSystemTest, ARenameIsDurableByTheDirectoryOfTheNewName) {
  std::set<Tree> target_synced, source_synced;
  for (uint64_t seed = 0; seed < 60; seed++) {
    for (const bool target : {true, false}) {
      start({FaultKind::kPowerLoss, 0, false, seed});
      ASSERT_TRUE(make_directories(*faulty_, path("s")).ok());
      ASSERT_TRUE(make_directories(*faulty_, path("t")).ok());
      ASSERT_TRUE(put("s/a", "A", true).ok());
      ASSERT_TRUE(faulty_->sync_directory(path("s")).ok());
      ASSERT_TRUE(faulty_->rename_exclusive(path("s/a"), path("t/a")).ok());
      ASSERT_TRUE(faulty_->sync_directory(path(target ? "t" : "s")).ok());
      ASSERT_TRUE(faulty_->settle().ok());
      (target ? target_synced : source_synced).insert(tree());
    }
  }
  const Tree before = {{"s/", ""}, {"s/a", "A"}, {"t/", ""}}, after = {{"s/", ""}, {"t/", ""}, {"t/a", "A"}};
  EXPECT_EQ(target_synced, (std::set<Tree>{after}));
  EXPECT_EQ(source_synced, (std::set<Tree>{before, after}));
}

TEST_F(FaultFileSystemTest, ADirectoryThatIsLostTakesItsContentAlong) {
  std::set<Tree> seen;
  for (uint64_t seed = 0; seed < 60; seed++) {
    start({FaultKind::kPowerLoss, 0, false, seed});
    ASSERT_TRUE(faulty_->make_directory(path("d"), 0700).ok());
    ASSERT_TRUE(create_file_durably(*faulty_, path("d/a"), as_bytes("A")).ok());
    ASSERT_TRUE(faulty_->settle().ok());
    seen.insert(tree());
  }
  EXPECT_EQ(seen, (std::set<Tree>{{}, {{"d/", ""}, {"d/a", "A"}}}));
}

TEST_F(FaultFileSystemTest, RemovedTreesComeBackUnlessSynced) {
  const Tree whole = {{"d/", ""}, {"d/e/", ""}, {"d/e/a", "A"}, {"d/e/b", "B"}};
  bool came_back = false, went = false;
  for (uint64_t seed = 0; seed < 100; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    start({});
    ASSERT_TRUE(make_directories(*faulty_, path("d/e")).ok());
    ASSERT_TRUE(put("d/e/a", "A", true).ok());
    ASSERT_TRUE(put("d/e/b", "B", true).ok());
    again({FaultKind::kPowerLoss, 0, false, seed});
    ASSERT_TRUE(remove_tree(*faulty_, path("d")).ok());
    if (seed >= 50) {
      ASSERT_TRUE(faulty_->sync_directory(root_).ok());
    }
    ASSERT_TRUE(faulty_->settle().ok());
    const Tree left = tree();
    if (seed >= 50) {
      EXPECT_EQ(left, Tree{});
    } else {
      EXPECT_TRUE(std::includes(whole.begin(), whole.end(), left.begin(), left.end()));
      came_back = came_back || left == whole;
      went = went || left.empty();
    }
  }
  EXPECT_TRUE(came_back);
  EXPECT_TRUE(went);
}

TEST_F(FaultFileSystemTest, DirectoriesMayBeRenamedBelowWhatIsUndone) {
  for (uint64_t seed = 0; seed < 100; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    start({});
    ASSERT_TRUE(make_directories(*faulty_, path("d")).ok());
    ASSERT_TRUE(put("d/a", "A", true).ok());
    again({FaultKind::kPowerLoss, 0, false, seed});
    ASSERT_TRUE(faulty_->rename(path("d/a"), path("d/b")).ok());
    ASSERT_TRUE(put("d/c", "C", true).ok());
    ASSERT_TRUE(faulty_->rename(path("d"), path("n")).ok());
    ASSERT_TRUE(faulty_->sync_directory(root_).ok());
    ASSERT_TRUE(put("n/c", "later", true).ok());
    ASSERT_TRUE(faulty_->settle().ok());
    Tree left = tree();
    EXPECT_TRUE(left.contains("n/"));
    EXPECT_NE(left.contains("n/a"), left.contains("n/b"));
    if (left.contains("n/c")) {
      EXPECT_EQ(left["n/c"], "later");
    }
  }
}

TEST_F(FaultFileSystemTest, OperationsUndoneAndRedoneAtRandomNeverConfuseIt) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    start({FaultKind::kPowerLoss, 0, false, seed});
    const auto random = seeded_random(seed + 1000);
    const char* const names[] = {"a", "b", "d", "d/a", "d/b", "e", "e/a", "e/d", "e/d/a"};
    const auto any = [&] { return std::string(names[random->below(std::size(names))]); };
    for (int i = 0; i < 40; i++) {
      // Most fail, as the kernel sees fit; none may be undone that was not done.
      switch (random->below(10)) {
        case 0:
        case 1: ignore(faulty_->make_directory(path(any()), 0700), "may exist"); break;
        case 2:
        case 3: ignore(put(any(), "content " + std::to_string(i), random->below(2) == 0), "may be a directory"); break;
        case 4: ignore(faulty_->rename(path(any()), path(any())), "may be absent"); break;
        case 5: ignore(faulty_->rename_exclusive(path(any()), path(any())), "may exist"); break;
        case 6: ignore(faulty_->hard_link(path(any()), path(any())), "may be absent"); break;
        case 7: ignore(faulty_->remove_file(path(any())), "may be absent"); break;
        case 8: ignore(faulty_->remove_directory(path(any())), "may be absent"); break;
        default: ignore(faulty_->sync_directory(path(random->below(2) == 0 ? "" : any())), "may be absent");
      }
    }
    const auto settled = faulty_->settle();
    ASSERT_TRUE(settled.ok()) << settled.error().text();
  }
}

TEST_F(FaultFileSystemTest, ThreadsShareOneOrderOfOperations) {
  ASSERT_TRUE(parallel_for(40, 4, [&](size_t i) { return put(std::to_string(i), "x", true); }).ok());
  EXPECT_EQ(faulty_->operations(), 120u);
  EXPECT_EQ(faulty_->trace().size(), 120u);
}

}  // namespace
}  // namespace holdfast::faults
