#pragma once

#include <string>
#include <utility>

#include "base/filesystem.h"

namespace holdfast::redis {

// A private folder that goes, with all in it, when this does.
class ScratchFolder {
 public:
  // Below `below`, which is made when it is missing.
  static Result<ScratchFolder> make(FileSystem& fs, const std::string& below);
  ScratchFolder(ScratchFolder&& other) noexcept : fs_(other.fs_), path_(std::exchange(other.path_, {})) {}
  ~ScratchFolder();
  const std::string& path() const { return path_; }

 private:
  ScratchFolder(FileSystem& fs, std::string path) : fs_(fs), path_(std::move(path)) {}
  FileSystem& fs_;
  std::string path_;
};

}  // namespace holdfast::redis
