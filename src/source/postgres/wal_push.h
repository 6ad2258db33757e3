#pragma once

#include <string>

#include "base/filesystem.h"
#include "base/result.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// What archive_command wants: stores the file at `path` under `name` (%p and %f).
// Success only when it is durable in the archive; the same file again is success.
Result<void> wal_push(FileSystem& fs, WalArchive& archive, const std::string& path, const std::string& name);

// Whose WAL a segment file is, from its first page: for a command that is given
// nothing else. kInvalidData when it is no segment (.history and .backup files).
struct SegmentIdentity {
  uint64_t system_id = 0;
  uint64_t segment_bytes = 0;
  uint32_t timeline = 0;
  int major = 0;
};
Result<SegmentIdentity> identify_segment(FileSystem& fs, const std::string& path);

}  // namespace holdfast::postgres
