#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/filesystem.h"

namespace holdfast::postgres {

// A file system in which something else is at work: hooks run before a file is
// opened, after bytes were read, and before anything is changed.
class MeddlingFileSystem : public FileSystem {
 public:
  std::function<void(const std::string& path)> before_open;
  std::function<void(const std::string& path, uint64_t offset, MutableByteView read)> after_read;
  // An error is returned instead of changing anything.
  std::function<Result<void>(const std::string& path)> before_change;
  // Before each write to a file; an error is the write's.
  std::function<Result<void>(const std::string& path, int descriptor)> before_write;
  // What is said to be free at a place; empty: what is.
  std::function<std::optional<uint64_t>(const std::string& path)> free;
  // Changes what is said of a place.
  std::function<void(const std::string& path, struct stat& status)> after_stat;

  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override {
    if (before_open) before_open(path);
    if (options.write) TRY(change(path));
    auto file = TRY(real_.open(path, options));
    return std::unique_ptr<File>(new MeddlingFile(*this, path, std::move(file)));
  }
  Result<struct stat> stat(const std::string& path) override {
    struct stat status = TRY(real_.stat(path));
    if (after_stat) after_stat(path, status);
    return status;
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override { return real_.list(path); }
  Result<void> make_directory(const std::string& path, mode_t mode) override {
    TRY(change(path));
    return real_.make_directory(path, mode);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    TRY(change(to));
    return real_.rename(from, to);
  }
  Result<void> rename_exclusive(const std::string& from, const std::string& to) override {
    TRY(change(to));
    return real_.rename_exclusive(from, to);
  }
  Result<void> hard_link(const std::string& from, const std::string& to) override {
    TRY(change(to));
    return real_.hard_link(from, to);
  }
  Result<void> symlink(const std::string& target, const std::string& path) override {
    TRY(change(path));
    return real_.symlink(target, path);
  }
  Result<std::string> read_link(const std::string& path) override { return real_.read_link(path); }
  Result<void> remove_file(const std::string& path) override {
    TRY(change(path));
    return real_.remove_file(path);
  }
  Result<void> remove_directory(const std::string& path) override {
    TRY(change(path));
    return real_.remove_directory(path);
  }
  Result<void> sync_directory(const std::string& path) override {
    TRY(change(path));
    return real_.sync_directory(path);
  }
  Result<void> sync_all(const std::string& path) override {
    TRY(change(path));
    return real_.sync_all(path);
  }
  Result<uint64_t> free_bytes(const std::string& path) override {
    const auto said = free ? free(path) : std::nullopt;
    if (said) return *said;
    return real_.free_bytes(path);
  }

 private:
  class MeddlingFile : public File {
   public:
    MeddlingFile(MeddlingFileSystem& fs, std::string path, std::unique_ptr<File> file)
        : fs_(fs), path_(std::move(path)), file_(std::move(file)) {}
    Result<size_t> read_at(uint64_t offset, MutableByteView out) override {
      const size_t got = TRY(file_->read_at(offset, out));
      if (fs_.after_read) fs_.after_read(path_, offset, out.first(got));
      return got;
    }
    Result<void> write_at(uint64_t offset, ByteView data) override {
      TRY(fs_.change(path_));
      if (fs_.before_write) TRY(fs_.before_write(path_, descriptor()));
      return file_->write_at(offset, data);
    }
    Result<void> truncate(uint64_t size_bytes) override {
      TRY(fs_.change(path_));
      return file_->truncate(size_bytes);
    }
    Result<void> sync() override {
      TRY(fs_.change(path_));
      return file_->sync();
    }
    Result<struct stat> stat() override { return file_->stat(); }
    Result<void> close() override { return file_->close(); }
    int descriptor() const override { return file_->descriptor(); }

   private:
    MeddlingFileSystem& fs_;
    std::string path_;
    std::unique_ptr<File> file_;
  };

  Result<void> change(const std::string& path) { return before_change ? before_change(path) : Result<void>(); }
  FileSystem& real_ = real_file_system();
};

}  // namespace holdfast::postgres
