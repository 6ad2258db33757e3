#include "recovery/browse.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "repo/test_repository.h"

namespace holdfast::recovery {
namespace {

repo::Entry entry_of(const std::string& path, repo::EntryKind kind, uint64_t size = 0) {
  repo::Entry entry;
  entry.path = path;
  entry.kind = kind;
  entry.size_bytes = size;
  entry.mode = 0644;
  entry.modified = entry.changed = Time::from_unix_seconds(1'700'000'000);
  return entry;
}

class Browse : public testing::Test {
 protected:
  repo::Snapshot write_tree(std::vector<repo::Entry> entries) {
    std::sort(entries.begin(), entries.end(),
              [](const auto& a, const auto& b) { return repo::compare_paths(a.path, b.path) < 0; });
    repo::TreeWriter writer(session_);
    for (const repo::Entry& entry : entries) {
      const auto added = writer.add(entry);
      EXPECT_TRUE(added.ok()) << added.error().text();
    }
    repo::Snapshot snapshot;
    snapshot.root = writer.finish().value();
    snapshot.instant = Time::from_unix_seconds(1'700'000'000);
    return snapshot;
  }
  std::vector<std::string> names(SnapshotTree& tree, const std::string& path) {
    std::vector<std::string> result;
    for (const auto& child : tree.list(path).value()) result.push_back(child.name);
    return result;
  }

  repo::TestRepository repository_;
  repo::TestSession session_{repository_};
};

TEST_F(Browse, FindsAndListsAcrossManyChunks) {
  std::vector<repo::Entry> entries = {entry_of("", repo::EntryKind::kDirectory)};
  std::vector<std::string> files;
  for (int directory = 0; directory < 40; directory++) {
    const std::string path = fmt::format("d{:02}", directory);
    entries.push_back(entry_of(path, repo::EntryKind::kDirectory));
    for (int file = 0; file < 500; file++) {
      files.push_back(fmt::format("{}/a rather long name of a file {:04}", path, file));
      entries.push_back(entry_of(files.back(), repo::EntryKind::kFile));
    }
  }
  auto tree = SnapshotTree::open(repository_, write_tree(entries)).value();
  EXPECT_EQ(names(*tree, "").size(), 40u);
  EXPECT_EQ(names(*tree, "d17").size(), 500u);
  EXPECT_EQ(names(*tree, "d39").back(), "a rather long name of a file 0499");
  for (size_t i = 0; i < files.size(); i += 97) EXPECT_EQ(tree->find(files[i]).value().path, files[i]);
  EXPECT_EQ(tree->find("d17/a rather long name of a file 0500").error().code(), ErrorCode::kNotFound);
  EXPECT_EQ(tree->find("d99").error().code(), ErrorCode::kNotFound);
}

TEST_F(Browse, ParentsThatTheTreeDoesNotListAreDirectories) {
  auto tree = SnapshotTree::open(repository_, write_tree({entry_of("srv/data", repo::EntryKind::kDirectory),
                                                          entry_of("srv/data/a", repo::EntryKind::kFile),
                                                          entry_of("srv/data-2", repo::EntryKind::kDirectory),
                                                          entry_of("etc/x/hosts", repo::EntryKind::kFile)}))
                  .value();
  EXPECT_EQ(names(*tree, ""), (std::vector<std::string>{"etc", "srv"}));
  EXPECT_EQ(names(*tree, "srv"), (std::vector<std::string>{"data", "data-2"}));
  EXPECT_EQ(names(*tree, "etc"), (std::vector<std::string>{"x"}));
  EXPECT_EQ(tree->find("etc").value().kind, repo::EntryKind::kDirectory);
  EXPECT_EQ(tree->find("").value().kind, repo::EntryKind::kDirectory);
  EXPECT_EQ(tree->find("et").error().code(), ErrorCode::kNotFound);
}

TEST_F(Browse, AHardLinkIsTheFileItNames) {
  repo::Entry link = entry_of("z", repo::EntryKind::kHardLink);
  link.link_target = "a";
  auto tree = SnapshotTree::open(repository_, write_tree({entry_of("", repo::EntryKind::kDirectory),
                                                          entry_of("a", repo::EntryKind::kFile), link}))
                  .value();
  EXPECT_EQ(tree->find("z").value().path, "a");
}

TEST_F(Browse, ReadsAnyRangeOfExtentsAndHoles) {
  Bytes block(1000);
  for (size_t i = 0; i < block.size(); i++) block[i] = static_cast<uint8_t>(i * 7);
  const repo::BlockId id = session_.put(repo::BlockKind::kData, block.view()).value();
  repo::Entry entry = entry_of("f", repo::EntryKind::kFile, 1500);
  entry.content.extents = {{600, id, 100}, {500, std::nullopt, 0}, {400, id, 0}};
  std::vector<uint8_t> expected(1500, 0);
  std::copy_n(block.data() + 100, 600, expected.begin());
  std::copy_n(block.data(), 400, expected.begin() + 1100);

  SnapshotFile file(repository_, entry);
  for (const auto& [offset, length] : std::vector<std::pair<uint64_t, size_t>>{
           {0, 1500}, {599, 2}, {650, 600}, {1499, 100}, {1100, 400}, {1500, 1}, {9000, 5}}) {
    std::vector<uint8_t> out(length, 0xee);
    const size_t wanted = offset >= 1500 ? 0 : std::min<size_t>(length, 1500 - offset);
    EXPECT_EQ(file.read_at(offset, out).value(), wanted) << offset;
    const auto first = expected.begin() + static_cast<ptrdiff_t>(std::min<uint64_t>(offset, expected.size()));
    EXPECT_TRUE(std::equal(out.begin(), out.begin() + static_cast<ptrdiff_t>(wanted), first)) << offset;
  }
}

TEST_F(Browse, ContentThatEndsTooEarlyIsDamageNotZeros) {
  repo::Entry entry = entry_of("f", repo::EntryKind::kFile, 100);
  entry.content.extents = {{50, std::nullopt, 0}};
  SnapshotFile file(repository_, entry);
  std::vector<uint8_t> out(100);
  EXPECT_EQ(file.read_at(0, out).error().code(), ErrorCode::kDamaged);
}

}  // namespace
}  // namespace holdfast::recovery
