#pragma once

#include <memory>
#include <string>

#include "base/filesystem.h"
#include "source/redis/byte_source.h"

namespace holdfast::redis {

// A new file that is written from its beginning to its end. Not thread-safe.
class FileSink {
 public:
  // kAlreadyExists when there is one.
  static Result<FileSink> create(FileSystem& fs, const std::string& path, mode_t mode);
  Result<void> append(ByteView bytes);
  // Durable content when it returns; the name is its directory's matter.
  Result<void> finish();
  uint64_t bytes() const { return written_ + buffer_.size(); }

 private:
  explicit FileSink(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Result<void> flush();
  std::unique_ptr<File> file_;
  Bytes buffer_;
  uint64_t written_ = 0;
};

// A local file, from its beginning to its end.
class FileSource : public ByteSource {
 public:
  static Result<std::unique_ptr<FileSource>> open(FileSystem& fs, const std::string& path);
  Result<size_t> read(MutableByteView out) override;

 private:
  explicit FileSource(std::unique_ptr<File> file) : file_(std::move(file)) {}
  std::unique_ptr<File> file_;
  uint64_t offset_ = 0;
};

// Reads from one source and writes what it reads to a file on the way.
class CopyingSource : public ByteSource {
 public:
  CopyingSource(ByteSource& source, FileSink& sink) : source_(source), sink_(sink) {}
  Result<size_t> read(MutableByteView out) override;

 private:
  ByteSource& source_;
  FileSink& sink_;
};

}  // namespace holdfast::redis
