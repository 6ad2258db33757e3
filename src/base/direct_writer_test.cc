#include "base/direct_writer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>

#include "base/parallel.h"
#include "base/places.h"
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
  const bool takes_direct = file_->open_direct() != nullptr;
  const auto write_stretch = [&](size_t stretch) -> Result<void> {
    const uint64_t begin = stretch * kStretchBytes, end = begin + kStretchBytes;
    DirectWriter writer(*file_, content.size());
    EXPECT_EQ(writer.is_direct(), takes_direct);
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

// What a direct write is made to answer; nothing: it is done.
using Answer = std::optional<Result<std::optional<size_t>>>;

// A file whose direct writes are answered by a test, and noted.
class Scripted final : public File {
 public:
  explicit Scripted(File& file) : file_(file) {}
  std::function<Answer(uint64_t offset, ByteView data)> answer = [](uint64_t, ByteView) { return Answer(); };
  uint64_t direct_bytes = 0, cached_bytes = 0;
  int closed = 0;

  Result<size_t> read_at(uint64_t offset, MutableByteView out) override { return file_.read_at(offset, out); }
  Result<void> write_at(uint64_t offset, ByteView data) override {
    cached_bytes += data.size();
    return file_.write_at(offset, data);
  }
  Result<void> truncate(uint64_t size_bytes) override { return file_.truncate(size_bytes); }
  Result<void> sync() override { return file_.sync(); }
  Result<struct stat> stat() override { return file_.stat(); }
  Result<void> close() override { return file_.close(); }
  int descriptor() const override { return file_.descriptor(); }
  std::unique_ptr<DirectFile> open_direct() override { return std::make_unique<Direct>(*this); }

 private:
  class Direct final : public DirectFile {
   public:
    explicit Direct(Scripted& owner) : owner_(owner) {}
    uint64_t alignment() const override { return kDirectAlignment; }
    Result<std::optional<size_t>> write_at(uint64_t offset, ByteView data) override {
      EXPECT_EQ(offset % kDirectAlignment, 0u);
      EXPECT_EQ(data.size() % kDirectAlignment, 0u);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(data.data()) % kDirectAlignment, 0u);
      size_t taken = data.size();
      if (auto answer = owner_.answer(offset, data)) {
        const auto told = TRY(std::move(*answer));
        if (!told) return told;
        taken = *told;
      }
      owner_.direct_bytes += taken;
      TRY(owner_.file_.write_at(offset, data.first(taken)));
      return std::optional(taken);
    }
    Result<void> close() override {
      owner_.closed++;
      return {};
    }

   private:
    Scripted& owner_;
  };
  File& file_;
};

class ScriptedWriterTest : public DirectWriterTest {
 protected:
  void SetUp() override {
    DirectWriterTest::SetUp();
    seeded_random(2)->fill(content_.mutable_view());
    scripted_ = std::make_unique<Scripted>(*file_);
  }
  // All of the content, in pieces.
  Result<void> write_all() {
    DirectWriter writer(*scripted_, content_.size());
    EXPECT_TRUE(writer.is_direct());
    TRY(write_pieces(writer, content_, 0, content_.size()));
    TRY(writer.finish());
    EXPECT_FALSE(writer.is_direct());
    EXPECT_EQ(scripted_->closed, 1) << "before the file gets its times";
    return {};
  }
  void expect_content() { EXPECT_TRUE(equal(read_file(fs_, join_path(root_, "file")).value(), content_)); }

  Bytes content_{2 * kStretchBytes};
  std::unique_ptr<Scripted> scripted_;
};

TEST_F(ScriptedWriterTest, LargeFilesPassTheCache) {
  ASSERT_TRUE(write_all().ok());
  EXPECT_LT(scripted_->cached_bytes, DirectWriter::kSmallest + kDirectAlignment);
  EXPECT_EQ(scripted_->cached_bytes + scripted_->direct_bytes, content_.size());
  expect_content();
}

TEST_F(ScriptedWriterTest, WhatIsRefusedPastTheCacheGoesThroughIt) {
  scripted_->answer = [](uint64_t, ByteView) { return Answer(std::optional<size_t>()); };
  ASSERT_TRUE(write_all().ok());
  EXPECT_EQ(scripted_->cached_bytes, content_.size());
  expect_content();
}

TEST_F(ScriptedWriterTest, AShortWriteGoesOn) {
  scripted_->answer = [](uint64_t, ByteView data) -> Answer {
    if (data.size() <= kDirectAlignment) return std::nullopt;
    return Answer(std::optional(data.size() / 2 / kDirectAlignment * kDirectAlignment));
  };
  ASSERT_TRUE(write_all().ok());
  EXPECT_GT(scripted_->direct_bytes, content_.size() / 2);
  expect_content();
}

TEST_F(ScriptedWriterTest, TheMiddleOfABufferIsWhereItGoesOnThroughTheCache) {
  scripted_->answer = [](uint64_t offset, ByteView data) -> Answer {
    if (offset == 0) return Answer(std::optional(data.size() / 2));
    return Answer(std::optional<size_t>(1000));  // less than a block: its beginning is written again
  };
  ASSERT_TRUE(write_all().ok());
  EXPECT_EQ(scripted_->cached_bytes, content_.size() - (2u << 20));
  expect_content();
}

TEST_F(ScriptedWriterTest, OtherErrorsAreTheFiles) {
  for (const int errno_value : {ENOSPC, EIO}) {
    scripted_->answer = [&](uint64_t offset, ByteView) -> Answer {
      if (offset == 0) return std::nullopt;
      return Answer(Error::from_errno(errno_value, "can't write the file"));
    };
    DirectWriter writer(*scripted_, content_.size());
    auto outcome = write_pieces(writer, content_, 0, content_.size());
    if (outcome.ok()) outcome = writer.finish();
    ASSERT_FALSE(outcome.ok()) << errno_value;
    EXPECT_EQ(outcome.error().message(), Error::from_errno(errno_value, "can't write the file").message());
  }
}

TEST_F(DirectWriterTest, AnErrorNamesTheFile) {
  struct rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto direct = file_->open_direct();
  if (!direct) GTEST_SKIP() << "this file system takes no direct writes";
  EXPECT_GE(direct->alignment(), static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  AlignedBuffer buffer(direct->alignment());
  struct rlimit none = before;
  none.rlim_cur = 0;
  const auto handled = signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &none), 0);
  const auto outcome = direct->write_at(0, buffer.view());
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, handled);
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().message(),
            Error::from_errno(EFBIG, "can't write " + resolved_path(join_path(root_, "file"))).message());
}

}  // namespace
}  // namespace holdfast
