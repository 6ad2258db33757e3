#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "base/filesystem.h"
#include "base/progress.h"
#include "repo/repository.h"
#include "source/files/previous.h"

namespace holdfast::files {

// What is there of a restore's target: what can't be read of it is not what it should be,
// so that it reads as if the file ended there.
class ExistingFile final : public File {
 public:
  explicit ExistingFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Result<size_t> read_at(uint64_t offset, MutableByteView out) override;
  Result<void> write_at(uint64_t offset, ByteView data) override { return file_->write_at(offset, data); }
  Result<void> truncate(uint64_t size_bytes) override { return file_->truncate(size_bytes); }
  Result<void> sync() override { return file_->sync(); }
  Result<struct stat> stat() override { return file_->stat(); }
  Result<void> close() override { return file_->close(); }
  int descriptor() const override { return file_->descriptor(); }
  std::unique_ptr<DirectFile> open_direct() override { return file_->open_direct(); }

 private:
  const std::unique_ptr<File> file_;
};

// The extents of a file in order, holes among them; one region in memory at a
// time. Not thread-safe.
class ExtentStream {
 public:
  ExtentStream(repo::Repository& repository, const repo::Content& content);
  Result<std::optional<PlacedExtent>> next();

 private:
  repo::Repository& repository_;
  const repo::Content& content_;
  std::vector<repo::Extent> extents_;
  size_t position_ = 0, region_ = 0;
  uint64_t offset_ = 0;
};

// Reads what extents refer to. Remembers the block it read last, as neighbours
// share blocks. Not thread-safe.
class ContentReader {
 public:
  // `progress` is asked whether to stop.
  ContentReader(repo::Repository& repository, const Progress& progress)
      : repository_(repository), progress_(progress) {}

  // The bytes of an extent that has a block; valid until the next call.
  // kDamaged also when the block is shorter than the extent says.
  Result<ByteView> read(const repo::Extent& extent);

  // Whether `file` holds just what the extent says. The file is hashed first:
  // that is enough where the extent is a whole block, and spares reading it.
  // Where there is a hole in both nothing is read. kInterrupted.
  Result<bool> holds(File& file, const PlacedExtent& placed);

  // Offset of the first extent in which the file differs from the content; the
  // smaller size when only the sizes differ; nothing when it is equal. kInterrupted.
  Result<std::optional<uint64_t>> first_difference(File& file, const repo::Entry& entry);

 private:
  Result<bool> holds_zeros(File& file, uint64_t offset, uint64_t length);
  Result<bool> reads_zeros(File& file, uint64_t offset, uint64_t length);
  Result<void> check_stop() const;

  repo::Repository& repository_;
  const Progress& progress_;
  std::optional<repo::BlockId> last_id_;
  std::shared_ptr<const Bytes> last_;
  Bytes buffer_;
};

}  // namespace holdfast::files
