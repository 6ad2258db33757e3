#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::engine {

// A small file whose blocks are taken before they are needed, so that a disk that
// fills up meanwhile can't keep it from being written.
class ReservedFile {
 public:
  // Makes `path`; publish() gives it the name `final_path`.
  static Result<ReservedFile> create(const std::string& path, const std::string& final_path);
  ReservedFile(ReservedFile&& other) noexcept;
  ReservedFile& operator=(ReservedFile&&) = delete;
  // Removes the reservation when nothing was published.
  ~ReservedFile();

  // Durable content under the final name: fsync, rename, fsync of the directory.
  // At most kReserved_bytes.
  Result<void> publish(std::string_view content);

 private:
  ReservedFile(int fd, std::string path, std::string final_path)
      : fd_(fd), path_(std::move(path)), final_path_(std::move(final_path)) {}

  int fd_ = -1;
  std::string path_, final_path_;
};

inline constexpr size_t kReserved_bytes = 4096;

}  // namespace holdfast::engine
