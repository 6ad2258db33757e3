#pragma once

#include <string>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast::source {

// A directory of our own for the time of one operation, gone with the object. A process
// that is killed leaves it, perhaps with a server that runs in it: whoever makes the next
// one below the same directory ends what works in it and removes what is left. A lock on a
// file in it, which ends with the process that holds it, tells the living from the dead.
class ScratchPlace {
 public:
  // `below` is made when it is not there; "" : $TMPDIR or /tmp. kPermission, kIo.
  static Result<ScratchPlace> make(FileSystem& fs, Clock& clock, const std::string& below);
  ScratchPlace(ScratchPlace&& other) noexcept;
  ScratchPlace& operator=(ScratchPlace&&) = delete;
  ~ScratchPlace();

  const std::string& path() const { return path_; }
  // A new directory in it.
  Result<std::string> folder(const std::string& name) const;

 private:
  ScratchPlace(FileSystem& fs, std::string path, int lock) : fs_(&fs), path_(std::move(path)), lock_(lock) {}
  FileSystem* fs_;
  std::string path_;
  int lock_;
};

// Ends and removes what processes that were killed left below `directory`. Whether nobody's
// is there any more.
bool sweep_scratch_places(FileSystem& fs, Clock& clock, const std::string& directory);

// $TMPDIR or /tmp when `directory` is "", else that, absolute.
std::string scratch_directory(const std::string& directory);

}  // namespace holdfast::source
