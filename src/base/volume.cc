#include "base/volume.h"

namespace holdfast {

namespace {

class VolumeOfPath final : public Volume {
 public:
  VolumeOfPath(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  Result<void> sync() override { return fs_.sync_all(path_); }
  bool is_sure() const override { return true; }

 private:
  FileSystem& fs_;
  const std::string path_;
};

class SyncedFile final : public File {
 public:
  explicit SyncedFile(std::unique_ptr<File> file) : file_(std::move(file)) {}
  Result<size_t> read_at(uint64_t offset, MutableByteView out) override { return file_->read_at(offset, out); }
  Result<void> write_at(uint64_t offset, ByteView data) override { return file_->write_at(offset, data); }
  Result<void> truncate(uint64_t size_bytes) override { return file_->truncate(size_bytes); }
  Result<void> sync() override { return file_->sync(); }
  Result<struct stat> stat() override { return file_->stat(); }
  Result<void> close() override {
    TRY(file_->sync());
    return file_->close();
  }
  int descriptor() const override { return file_->descriptor(); }
  std::unique_ptr<DirectFile> open_direct() override { return file_->open_direct(); }

 private:
  const std::unique_ptr<File> file_;
};

}  // namespace

Result<std::unique_ptr<Volume>> open_volume(FileSystem& fs, const std::string& path) {
  if (auto* const opener = dynamic_cast<VolumeOpener*>(&fs)) return opener->open_volume(path);
  return std::unique_ptr<Volume>(std::make_unique<VolumeOfPath>(fs, path));
}

std::unique_ptr<File> synced_when_closed(std::unique_ptr<File> file) {
  return std::make_unique<SyncedFile>(std::move(file));
}

}  // namespace holdfast
