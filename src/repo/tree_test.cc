// Covers: region codec (round trips, compactness, refusals), ContentBuilder (joins,
// inline, region borders, regions taken over), tree writer and reader (order, faults,
// bounded memory, stable cuts, pages above pages), decoders on truncated and flipped bytes.
#include <gtest/gtest.h>

#include <random>

#include "repo/extent_codec.h"
#include "repo/test_repository.h"
#include "repo/tree.h"
#include "repo/tree_codec.h"

namespace holdfast::repo {
namespace {

BlockId block_number(uint64_t number) {
  BlockId id;
  std::memcpy(id.bytes.data(), &number, sizeof number);
  id.bytes[15] = 0xB1;
  return id;
}

Entry file_entry(std::string path, uint64_t size = 0) {
  Entry entry;
  entry.path = std::move(path);
  entry.mode = 0640;
  entry.uid = 33;
  entry.gid = 44;
  entry.user = "postgres";
  entry.group = "postgres";
  entry.modified = {1'700'000'000'123'456'789};
  entry.changed = entry.modified;
  entry.captured = {1'700'000'100'000'000'000};
  entry.inode = 12345;
  entry.size_bytes = size;
  if (size) entry.content.extents = {{size, block_number(7), 0}};
  return entry;
}

bool same(const Entry& a, const Entry& b) {
  return a.path == b.path && a.kind == b.kind && a.size_bytes == b.size_bytes && a.mode == b.mode && a.uid == b.uid &&
         a.gid == b.gid && a.user == b.user && a.group == b.group && a.modified == b.modified &&
         a.changed == b.changed && a.inode == b.inode && a.device_number == b.device_number &&
         a.link_target == b.link_target && a.xattrs == b.xattrs && a.content == b.content && a.captured == b.captured &&
         a.source_data == b.source_data;
}

std::vector<Entry> read_tree(Repository& repository, const BlockId& root) {
  std::vector<Entry> entries;
  auto reader = TreeReader::open(repository, root);
  EXPECT_TRUE(reader.ok()) << (reader.ok() ? "" : reader.error().text());
  if (!reader.ok()) return entries;
  while (true) {
    auto entry = reader.value()->next();
    EXPECT_TRUE(entry.ok()) << (entry.ok() ? "" : entry.error().text());
    if (!entry.ok() || !entry.value()) return entries;
    entries.push_back(std::move(*entry.value()));
  }
}

std::vector<Extent> random_extents(std::mt19937_64& random) {
  std::vector<Extent> extents;
  const bool pages = random() % 2;
  const uint64_t unit = pages ? 8192 : 1;
  const size_t count = random() % 40;
  for (size_t i = 0; i < count; i++) {
    Extent extent;
    extent.length_bytes = unit * (1 + random() % 30);
    if (random() % 5) {
      extent.block = block_number(random() % 6);
      extent.block_offset = static_cast<uint32_t>(unit * (random() % 100));
    } else if (random() % 4 == 0) {
      extent.length_bytes = unit * (1ull << (random() % 40));
    }
    extents.push_back(extent);
  }
  return extents;
}

TEST(Region, round_trips_random_extents) {
  for (uint64_t seed = 0; seed < 500; seed++) {
    std::mt19937_64 random(seed);
    const auto extents = random_extents(random);
    const Bytes bytes = encode_region(extents);
    const auto back = decode_region(bytes);
    ASSERT_TRUE(back.ok()) << "seed " << seed << ": " << back.error().text();
    ASSERT_EQ(back.value(), extents) << "seed " << seed;
  }
}

TEST(Region, is_compact_for_whole_blocks_and_for_scattered_pages) {
  std::vector<Extent> whole;
  for (uint64_t i = 0; i < 16; i++) whole.push_back({262144, block_number(i), 0});
  EXPECT_LE(encode_region(whole).size(), 16u * 17 + 5);

  // Every second page of 4 MiB changed: the base blocks alternate with one patch block.
  std::vector<Extent> scattered;
  for (uint32_t page = 0; page < 512; page++) {
    if (page % 2)
      scattered.push_back({8192, block_number(page / 32), (page % 32) * 8192});
    else
      scattered.push_back({8192, block_number(1000), page / 2 * 8192});
  }
  EXPECT_LE(encode_region(scattered).size(), 17u * 16 + 512 * 4);
  EXPECT_EQ(decode_region(encode_region(scattered)).value(), scattered);
}

TEST(Region, every_truncation_is_refused_and_no_flip_reads_out_of_bounds) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20; round++) {
    const auto extents = random_extents(random);
    const Bytes good = encode_region(extents);
    for (size_t cut = 0; cut < good.size(); cut++) EXPECT_FALSE(decode_region(good.view(0, cut)).ok());
    for (size_t at = 0; at < good.size(); at++) {
      Bytes bad = Bytes::copy_of(good);
      bad[at] ^= static_cast<uint8_t>(1u << (random() % 8));
      const auto result = decode_region(bad);
      if (!result.ok()) continue;
      for (const Extent& extent : result.value()) {
        EXPECT_GT(extent.length_bytes, 0u);
        if (extent.block) {
          EXPECT_LE(extent.block_offset + extent.length_bytes, WriteSession::kMaxBlockBytes);
        }
      }
    }
  }
}

TEST(Region, read_region_checks_the_length) {
  TestRepository repository;
  TestSession session(repository);
  const std::vector<Extent> extents{{100, std::nullopt, 0}, {20, block_number(1), 5}};
  RegionRef region{120, session.put(BlockKind::kRegion, encode_region(extents)).value()};
  EXPECT_EQ(read_region(repository, region).value(), extents);
  region.length_bytes = 121;
  EXPECT_EQ(read_region(repository, region).error().message(),
            "region " + region.id.hex() + ": holds 120 bytes of a file instead of 121");
}

TEST(ContentBuilder, joins_extents_and_keeps_small_files_inline) {
  TestRepository repository;
  TestSession session(repository);
  ContentBuilder builder(session, 4096);
  for (uint32_t i = 0; i < 10; i++) ASSERT_TRUE(builder.add({1000, block_number(1), i * 1000}).ok());
  ASSERT_TRUE(builder.add({500, std::nullopt, 0}).ok());
  ASSERT_TRUE(builder.add({0, block_number(3), 0}).ok());
  ASSERT_TRUE(builder.add({500, std::nullopt, 0}).ok());
  const Content content = builder.finish().value();
  EXPECT_TRUE(content.regions.empty());
  EXPECT_EQ(content.extents, (std::vector<Extent>{{10000, block_number(1), 0}, {1000, std::nullopt, 0}}));
}

TEST(ContentBuilder, cuts_regions_at_their_borders_and_keeps_every_byte) {
  for (uint64_t seed = 0; seed < 200; seed++) {
    std::mt19937_64 random(seed);
    TestRepository repository;
    TestSession session(repository);
    ContentBuilder builder(session, 65536);
    std::vector<Extent> bytes_of;  // one per 512 bytes
    const size_t count = 1 + random() % 60;
    for (size_t i = 0; i < count; i++) {
      Extent extent{512 * (1 + random() % 100), std::nullopt, 0};
      if (random() % 4)
        extent = {extent.length_bytes, block_number(random() % 5), static_cast<uint32_t>(512 * (random() % 50))};
      ASSERT_TRUE(builder.add(extent).ok());
      for (uint64_t at = 0; at < extent.length_bytes; at += 512) {
        bytes_of.push_back({512, extent.block, extent.block ? static_cast<uint32_t>(extent.block_offset + at) : 0});
      }
    }
    const Content content = builder.finish().value();
    for (size_t i = 0; i + 1 < content.regions.size(); i++) ASSERT_EQ(content.regions[i].length_bytes, 65536u);
    ASSERT_TRUE(content.extents.size() <= ContentBuilder::kInlineExtents);
    ASSERT_TRUE(content.extents.empty() || content.regions.empty());
    size_t index = 0;
    const auto walked =
        for_each_extent(repository, content, [&](uint64_t offset, const Extent& extent) -> Result<void> {
          EXPECT_EQ(offset, index * 512) << "seed " << seed;
          for (uint64_t at = 0; at < extent.length_bytes; at += 512) {
            const Extent piece{512, extent.block, extent.block ? static_cast<uint32_t>(extent.block_offset + at) : 0};
            EXPECT_EQ(piece, bytes_of.at(index++)) << "seed " << seed;
          }
          return {};
        });
    ASSERT_TRUE(walked.ok()) << walked.error().text();
    ASSERT_EQ(index, bytes_of.size());
  }
}

TEST(ContentBuilder, takes_regions_over_between_new_ones) {
  TestRepository repository;
  TestSession session(repository);
  ContentBuilder first(session, 4096);
  for (uint64_t i = 0; i < 16; i++) ASSERT_TRUE(first.add({1024, block_number(i), 0}).ok());
  const Content before = first.finish().value();
  ASSERT_EQ(before.regions.size(), 4u);
  EXPECT_TRUE(first.finish().value().regions.empty());

  ContentBuilder second(session, 4096);
  ASSERT_TRUE(second.add_region(before.regions[0]).ok());
  ASSERT_TRUE(second.add({4096, block_number(99), 0}).ok());
  ASSERT_TRUE(second.add_region(before.regions[2]).ok());
  ASSERT_TRUE(second.add({100, block_number(98), 0}).ok());
  const Content after = second.finish().value();
  ASSERT_EQ(after.regions.size(), 4u);
  EXPECT_EQ(after.regions[0], before.regions[0]);
  EXPECT_EQ(after.regions[2], before.regions[2]);
  EXPECT_EQ(after.regions[3].length_bytes, 100u);
  EXPECT_EQ(read_region(repository, after.regions[1]).value(), (std::vector<Extent>{{4096, block_number(99), 0}}));
}

TEST(ReuseContent, asks_for_every_block_behind_a_region) {
  TestRepository repository;
  TestSession session(repository);
  ContentBuilder builder(session, 4096);
  std::vector<BlockId> ids;
  for (uint64_t i = 0; i < 16; i++) {
    ids.push_back(session.put(BlockKind::kData, as_bytes(std::string(1024, static_cast<char>('a' + i)))).value());
    ASSERT_TRUE(builder.add({1024, ids.back(), 0}).ok());
  }
  const Content content = builder.finish().value();
  EXPECT_TRUE(reuse_content(session, content).value());
  repository.lose(ids[9]);
  EXPECT_TRUE(reuse_region(session, content.regions[1]).value());
  EXPECT_FALSE(reuse_region(session, content.regions[2]).value());
  EXPECT_FALSE(reuse_content(session, content).value());
}

TEST(Paths, slash_sorts_before_every_other_byte) {
  EXPECT_TRUE(compare_paths("a", "a/b") < 0);
  EXPECT_TRUE(compare_paths("a/b", "a!b") < 0);
  EXPECT_TRUE(compare_paths("a/z/y", "a\x01") < 0);
  EXPECT_TRUE(compare_paths("", "a") < 0);
  EXPECT_TRUE(compare_paths("a", "a") == 0);
  EXPECT_TRUE(compare_paths("a\x7f", "a\xff") < 0);
}

TEST(Tree, keeps_every_field_of_every_kind) {
  TestRepository repository;
  TestSession session(repository);
  std::vector<Entry> entries;
  Entry root = file_entry("");
  root.kind = EntryKind::kDirectory;
  root.mode = 01777;
  entries.push_back(root);
  entries.push_back(file_entry("a", 10));
  Entry sparse = file_entry("b\xff\xfe", 1ull << 40);
  sparse.content.extents = {{(1ull << 40) - 5, std::nullopt, 0}, {5, block_number(4), 77}};
  sparse.xattrs = {{"security.capability", std::string("\0\1\2", 3)}, {"user.note", ""}};
  sparse.source_data = std::string("x\0y", 3);
  sparse.changed = {sparse.modified.ns - 5};
  sparse.captured = {};
  sparse.uid = UINT32_MAX;
  entries.push_back(sparse);
  Entry regions = file_entry("c", 4096 * 3 + 100);
  regions.content.extents.clear();
  regions.content.regions = {
      {4096, block_number(1)}, {4096, block_number(1)}, {4096, block_number(2)}, {100, block_number(3)}};
  entries.push_back(regions);
  const EntryKind kinds[] = {EntryKind::kSymlink,    EntryKind::kHardLink,    EntryKind::kFifo,
                             EntryKind::kCharDevice, EntryKind::kBlockDevice, EntryKind::kSocket};
  char name = 'd';
  for (const EntryKind kind : kinds) {
    Entry entry = file_entry(std::string(1, name++));
    entry.kind = kind;
    if (kind == EntryKind::kSymlink) entry.link_target = "/else/../where";
    if (kind == EntryKind::kHardLink) entry.link_target = "a";
    if (kind == EntryKind::kCharDevice) entry.device_number = 0x10500000003ull;
    entry.modified = {INT64_MIN};
    entry.inode = UINT64_MAX;
    entries.push_back(entry);
  }
  TreeWriter writer(session);
  for (const Entry& entry : entries) {
    const auto added = writer.add(entry);
    ASSERT_TRUE(added.ok()) << added.error().text();
  }
  const auto back = read_tree(repository, writer.finish().value());
  ASSERT_EQ(back.size(), entries.size());
  for (size_t i = 0; i < back.size(); i++) EXPECT_TRUE(same(back[i], entries[i])) << entries[i].path;
}

TEST(Tree, may_be_empty) {
  TestRepository repository;
  TestSession session(repository);
  TreeWriter writer(session);
  EXPECT_TRUE(read_tree(repository, writer.finish().value()).empty());
}

TEST(Tree, refuses_wrong_order_and_paths_out_of_the_tree) {
  TestRepository repository;
  TestSession session(repository);
  TreeWriter writer(session);
  ASSERT_TRUE(writer.add(file_entry("m")).ok());
  EXPECT_EQ(writer.add(file_entry("m")).error().message(), "tree entry 'm' comes after 'm', which sorts behind it");
  EXPECT_EQ(writer.add(file_entry("b")).error().message(), "tree entry 'b' comes after 'm', which sorts behind it");
  for (const std::string path : {"n/../x", "/n", "n//x", "n/", "n/.", ".."}) {
    EXPECT_EQ(entry_fault(file_entry(path)), "not a path inside the tree") << path;
  }
  EXPECT_EQ(entry_fault(file_entry(std::string("n\0x", 3))), "not a path inside the tree");
  Entry wrong = file_entry("n", 10);
  wrong.size_bytes = 11;
  EXPECT_EQ(writer.add(wrong).error().message(), "tree entry 'n': 10 bytes of content in a file of 11 bytes");
  EXPECT_TRUE(writer.add(file_entry("n")).ok());
}

std::string path_number(uint64_t number) { return fmt::format("dir{:04}/file{:06}", number / 1000, number); }

TEST(Tree, many_entries_come_back_in_order_with_pages_above_pages) {
  TestRepository repository;
  TestSession session(repository);
  TreeWriter writer(session);
  constexpr uint64_t kCount = 1'000'000;
  for (uint64_t i = 0; i < kCount; i++) ASSERT_TRUE(writer.add(file_entry(path_number(i), i % 3)).ok());
  const BlockId root = writer.finish().value();
  EXPECT_EQ(decode_page(*repository.read_block(root).value()).value().level, 1);
  auto reader = TreeReader::open(repository, root).value();
  for (uint64_t i = 0; i < kCount; i++) {
    const auto entry = reader->next().value();
    ASSERT_TRUE(entry.has_value());
    ASSERT_EQ(entry->path, path_number(i));
    ASSERT_EQ(entry->size_bytes, i % 3);
  }
  EXPECT_FALSE(reader->next().value().has_value());
  EXPECT_GT(repository.block_count(), 400u);
  EXPECT_LT(repository.block_count(), 4000u);
}

TEST(Tree, a_change_costs_the_chunks_around_it) {
  TestRepository repository;
  TestSession session(repository);
  const auto write = [&](uint64_t skip, uint64_t grow) {
    TreeWriter writer(session);
    const uint64_t before = session.stats().blocks_new;
    for (uint64_t i = 0; i < 50'000; i++) {
      if (i == skip) continue;
      EXPECT_TRUE(writer.add(file_entry(path_number(i), i == grow ? 5 : 1)).ok());
    }
    EXPECT_TRUE(writer.finish().ok());
    return session.stats().blocks_new - before;
  };
  EXPECT_GT(write(UINT64_MAX, UINT64_MAX), 20u);
  EXPECT_EQ(write(UINT64_MAX, UINT64_MAX), 0u);
  EXPECT_LE(write(25'000, UINT64_MAX), 4u);
  EXPECT_LE(write(UINT64_MAX, 40'000), 4u);
}

TEST(Tree, large_entries_still_cut_where_they_cut_before) {
  TestRepository repository;
  TestSession session(repository);
  const auto write = [&](uint64_t changed) {
    TreeWriter writer(session);
    const uint64_t before = session.stats().blocks_new;
    for (uint64_t i = 0; i < 2'000; i++) {
      Entry entry = file_entry(path_number(i));
      for (uint64_t region = 0; region < 256 + (i == changed); region++) {
        entry.content.regions.push_back({4096, block_number(i * 1000 + region)});
        entry.size_bytes += 4096;
      }
      EXPECT_TRUE(writer.add(entry).ok());
    }
    EXPECT_TRUE(writer.finish().ok());
    return session.stats().blocks_new - before;
  };
  EXPECT_GT(write(UINT64_MAX), 50u);
  EXPECT_LE(write(700), 4u);
}

TEST(Tree, swapped_or_missing_blocks_are_errors) {
  TestRepository repository;
  TestSession session(repository);
  TreeWriter writer(session);
  for (uint64_t i = 0; i < 5'000; i++) ASSERT_TRUE(writer.add(file_entry(path_number(i))).ok());
  TreePage page = decode_page(*repository.read_block(writer.finish().value()).value()).value();
  ASSERT_GT(page.refs.size(), 2u);
  std::swap(page.refs[0].id, page.refs[1].id);
  const BlockId swapped = session.put(BlockKind::kTreeRoot, encode_page(page)).value();
  auto reader = TreeReader::open(repository, swapped).value();
  EXPECT_EQ(reader->next().error().message(),
            "tree chunk " + page.refs[0].id.hex() + " is not the one that its page lists");
  std::swap(page.refs[0].id, page.refs[1].id);
  repository.lose(page.refs[0].id);
  const BlockId lost = session.put(BlockKind::kTreeRoot, encode_page(page)).value();
  reader = TreeReader::open(repository, lost).value();
  EXPECT_EQ(reader->next().error().code(), ErrorCode::kNotFound);
}

TEST(Tree, decoders_survive_truncated_and_flipped_bytes) {
  std::mt19937_64 random(5);
  ChunkEncoder encoder;
  for (uint64_t i = 0; i < 20; i++) {
    Entry entry = file_entry(path_number(i), 5 + i);
    if (i % 3 == 0) entry.xattrs = {{"user.a", "b"}};
    if (i % 4 == 0) entry.source_data = "data";
    ASSERT_TRUE(encoder.add(entry).ok());
  }
  const Bytes chunk = encoder.take();
  ASSERT_EQ(decode_chunk(chunk).value().size(), 20u);
  TreePage root;
  for (uint64_t i = 0; i < 20; i++) root.refs.push_back({block_number(i), i + 1, i * 7, path_number(i)});
  const Bytes page = encode_page(root);
  ASSERT_EQ(decode_page(page).value().refs, root.refs);
  for (size_t cut = 0; cut < page.size(); cut++) EXPECT_FALSE(decode_page(page.view(0, cut)).ok());
  for (int round = 0; round < 20'000; round++) {
    Bytes bad = Bytes::copy_of(round % 2 ? chunk : page);
    for (uint64_t flips = 1 + random() % 3; flips > 0; flips--)
      bad[random() % bad.size()] ^= static_cast<uint8_t>(1 + random() % 255);
    const ByteView view = bad.view(0, 1 + random() % bad.size());
    const auto entries = decode_chunk(view);
    if (entries.ok()) {
      for (const Entry& entry : entries.value()) EXPECT_EQ(entry_fault(entry), "");
    }
    ignore(decode_page(view), "only that it neither crashes nor reads outside");
  }
}

}  // namespace
}  // namespace holdfast::repo
