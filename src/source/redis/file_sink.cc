#include "source/redis/file_sink.h"

namespace holdfast::redis {
namespace {

constexpr size_t kBufferBytes = 1 << 20;

}  // namespace

Result<FileSink> FileSink::create(FileSystem& fs, const std::string& path, mode_t mode) {
  OpenOptions options;
  options.write = options.create = options.exclusive = true;
  options.mode = mode;
  return FileSink(TRY(fs.open(path, options)));
}

Result<void> FileSink::append(ByteView bytes) {
  buffer_.append(bytes);
  return buffer_.size() < kBufferBytes ? Result<void>() : flush();
}

Result<void> FileSink::flush() {
  TRY(file_->write_at(written_, buffer_));
  written_ += buffer_.size();
  buffer_.clear();
  return {};
}

Result<void> FileSink::finish() {
  if (!buffer_.empty()) TRY(flush());
  TRY(file_->sync());
  return file_->close();
}

Result<std::unique_ptr<FileSource>> FileSource::open(FileSystem& fs, const std::string& path) {
  OpenOptions options;
  auto file = TRY(fs.open(path, options));
  return std::unique_ptr<FileSource>(new FileSource(std::move(file)));
}

Result<size_t> FileSource::read(MutableByteView out) {
  const size_t length = TRY(file_->read_at(offset_, out));
  offset_ += length;
  return length;
}

Result<size_t> CopyingSource::read(MutableByteView out) {
  const size_t length = TRY(source_.read(out));
  TRY(sink_.append(out.first(length)));
  return length;
}

}  // namespace holdfast::redis
