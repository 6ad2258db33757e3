#pragma once

#include <memory>
#include <string>

#include "base/filesystem.h"

namespace holdfast {

// A mounted file system, held open. The kernel tells a descriptor of the write errors since it
// was opened, and of one that another was told of nobody later: who wants to know of all opens
// the volume before the first write.
class Volume {
 public:
  virtual ~Volume() = default;
  // Durable content and names of everything on it (syncfs).
  virtual Result<void> sync() = 0;
  // False where the kernel or the file system (FUSE) may keep an error from sync(), or not sync at
  // all: there each file has to be synced by itself.
  virtual bool is_sure() const = 0;
};

// A FileSystem that has volumes of its own, as the machine's does.
class VolumeOpener {
 public:
  virtual ~VolumeOpener() = default;
  virtual Result<std::unique_ptr<Volume>> open_volume(const std::string& path) = 0;
};

// The file system that holds `path`, a directory. Of a FileSystem that is no VolumeOpener it is
// one whose sync() is sync_all(path). `fs` must outlive it.
Result<std::unique_ptr<Volume>> open_volume(FileSystem& fs, const std::string& path);

// The same file, whose close() syncs it first.
std::unique_ptr<File> synced_when_closed(std::unique_ptr<File> file);

}  // namespace holdfast
