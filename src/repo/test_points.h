#pragma once

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "repo/repository.h"
#include "repo/tree.h"

namespace holdfast::repo {

// Small points for tests: files made of numbered pieces, whose bytes follow from the
// number, so that what is read back can be judged without anything else.
struct TestFile {
  std::string path;
  std::vector<uint64_t> pieces;
};

constexpr size_t kPieceBytes = 3000;
constexpr uint64_t kTestRegionBytes = 2 * kPieceBytes;

inline Bytes piece(uint64_t number) {
  Bytes bytes(kPieceBytes);
  std::mt19937_64 random(number);
  for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<uint8_t>(random());
  return bytes;
}

// One file's entry; pieces that the repository has are taken over, as a source would.
inline Result<Entry> test_entry(WriteSession& session, const TestFile& file) {
  Entry entry;
  entry.path = file.path;
  entry.mode = 0644;
  entry.size_bytes = file.pieces.size() * kPieceBytes;
  ContentBuilder builder(session, kTestRegionBytes);
  for (const uint64_t number : file.pieces) {
    const Bytes bytes = piece(number);
    const BlockId id = session.repository().id_of(BlockKind::kData, bytes);
    if (!TRY(session.reuse(id))) TRY(session.put_known(id, BlockKind::kData, bytes));
    TRY(builder.add({kPieceBytes, id, 0}));
    entry.source_data += std::to_string(number) + " ";
  }
  entry.content = TRY(builder.finish());
  return entry;
}

inline Result<Point> take_test_point(WriteSession& session, const std::vector<TestFile>& files, Time time = {}) {
  TreeWriter writer(session);
  for (const TestFile& file : files) TRY(writer.add(TRY(test_entry(session, file))));
  Point point;
  point.time = time;
  point.stack = "demo";
  point.host = "host";
  point.version = "test";
  Snapshot snapshot;
  snapshot.component = "data";
  snapshot.kind = "files";
  snapshot.files = files.size();
  snapshot.root = TRY(writer.finish());
  point.snapshots = {snapshot};
  TRY(session.commit(point));
  return point;
}

inline Result<Point> take_test_point(Repository& repository, const std::vector<TestFile>& files, Time time = {}) {
  WriteOptions options;
  options.pack_bytes = 256 << 10;
  const auto session = TRY(WriteSession::begin(repository, options));
  return take_test_point(*session, files, time);
}

// A file's bytes, as a restore would write them; the error names what is wrong.
inline Result<std::string> read_file_content(Repository& repository, const Entry& entry) {
  std::string content;
  TRY(for_each_extent(repository, entry.content, [&](uint64_t offset, const Extent& extent) -> Result<void> {
    EXPECT_EQ(offset, content.size());
    if (!extent.block) {
      content.append(extent.length_bytes, '\0');
      return {};
    }
    const auto block = TRY(repository.read_block(*extent.block));
    if (extent.block_offset + extent.length_bytes > block->size()) {
      return make_error(ErrorCode::kInvalidData, "block {} is too short", extent.block->hex());
    }
    content.append(as_text(block->view(extent.block_offset, extent.length_bytes)));
    return {};
  }));
  return content;
}

inline std::string expected_content(const Entry& entry) {
  std::string content;
  for (size_t at = 0; at < entry.source_data.size();) {
    size_t used = 0;
    content += as_text(piece(std::stoull(entry.source_data.substr(at), &used)));
    at += used + 1;
  }
  return content;
}

// Everything of a point, byte for byte. Wrong bytes fail the test at once; what
// can't be read is an error.
inline Result<void> verify_test_point(Repository& repository, const Point& point) {
  for (const Snapshot& snapshot : point.snapshots) {
    const auto reader = TRY(TreeReader::open(repository, snapshot.root));
    uint64_t files = 0;
    while (const auto entry = TRY(reader->next())) {
      const std::string content = TRY(read_file_content(repository, *entry));
      EXPECT_TRUE(content == expected_content(*entry)) << "wrong bytes in " << entry->path;
      files++;
    }
    EXPECT_EQ(files, snapshot.files);
  }
  return {};
}

}  // namespace holdfast::repo
