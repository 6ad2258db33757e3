#include "base/direct_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/parallel.h"
#include "base/random.h"

namespace holdfast {
namespace {

constexpr uint64_t kStretchBytes = (5u << 20) + 4321;
constexpr uint64_t kStretches = 4;

class DirectWriterTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-direct-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    file_ = fs_.open(join_path(root_, "file"), {.write = true, .create = true}).value();
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(fs_, root_).ok()); }

  // Writes bytes [begin, end) of `content` in pieces of any length.
  static Result<void> write_pieces(DirectWriter& writer, const Bytes& content, uint64_t begin, uint64_t end) {
    const auto random = seeded_random(begin);
    while (begin < end) {
      const uint64_t step = std::min(end - begin, 1 + random->below(300'000));
      TRY(writer.write(begin, content.view(begin, step)));
      begin += step;
    }
    return {};
  }

  FileSystem& fs_ = real_file_system();
  std::string root_;
  std::unique_ptr<File> file_;
};

TEST_F(DirectWriterTest, SeveralWriteStretchesThatBeginAnywhere) {
  Bytes content(kStretches * kStretchBytes);
  seeded_random(1)->fill(content.mutable_view());
  const MutableByteView hole = content.mutable_view().subspan(kStretchBytes / 2 + 7, 1u << 20);
  std::fill(hole.begin(), hole.end(), uint8_t{0});
  ASSERT_TRUE(file_->truncate(content.size()).ok());
  const auto write_stretch = [&](size_t stretch) -> Result<void> {
    const uint64_t begin = stretch * kStretchBytes, end = begin + kStretchBytes;
    DirectWriter writer(*file_, content.size());
    if (stretch > 0) TRY(write_pieces(writer, content, begin, end));
    if (stretch == 0) TRY(write_pieces(writer, content, begin, begin + kStretchBytes / 2 + 7));
    if (stretch == 0) TRY(write_pieces(writer, content, begin + kStretchBytes / 2 + 7 + hole.size(), end));
    return writer.finish();
  };
  ASSERT_TRUE(parallel_for(kStretches, 3, write_stretch).ok());
  EXPECT_TRUE(equal(read_file(fs_, join_path(root_, "file")).value(), content));
}

TEST_F(DirectWriterTest, SmallFilesGoThroughTheCache) {
  DirectWriter writer(*file_, 5);
  EXPECT_FALSE(writer.is_direct());
  ASSERT_TRUE(writer.write(0, as_bytes("small")).ok());
  ASSERT_TRUE(writer.finish().ok());
  EXPECT_EQ(as_text(read_file(fs_, join_path(root_, "file")).value()), "small");
}

// A file whose descriptor takes no writes at all.
class Sealed final : public File {
 public:
  explicit Sealed(File& file) : file_(file), sealed_(::memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC)) {
    EXPECT_EQ(::ftruncate(sealed_, 2 * kStretchBytes), 0);
    EXPECT_EQ(::fcntl(sealed_, F_ADD_SEALS, F_SEAL_WRITE), 0);
  }
  ~Sealed() override { ::close(sealed_); }
  Sealed(const Sealed&) = delete;
  Sealed& operator=(const Sealed&) = delete;
  Result<size_t> read_at(uint64_t offset, MutableByteView out) override { return file_.read_at(offset, out); }
  Result<void> write_at(uint64_t offset, ByteView data) override { return file_.write_at(offset, data); }
  Result<void> truncate(uint64_t size_bytes) override { return file_.truncate(size_bytes); }
  Result<void> sync() override { return file_.sync(); }
  Result<struct stat> stat() override { return file_.stat(); }
  Result<void> close() override { return file_.close(); }
  int descriptor() const override { return sealed_; }

 private:
  File& file_;
  const int sealed_;
};

TEST_F(DirectWriterTest, WhatIsRefusedPastTheCacheGoesThroughIt) {
  Bytes content(2 * kStretchBytes);
  seeded_random(2)->fill(content.mutable_view());
  Sealed sealed(*file_);
  DirectWriter writer(sealed, content.size());
  ASSERT_TRUE(write_pieces(writer, content, 0, content.size()).ok());
  ASSERT_TRUE(writer.finish().ok());
  EXPECT_FALSE(writer.is_direct());
  EXPECT_TRUE(equal(read_file(fs_, join_path(root_, "file")).value(), content));
}

}  // namespace
}  // namespace holdfast
