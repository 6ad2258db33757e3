#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// What we need of global/pg_control. Field order differs little between server
// versions 13 to 18; what does differ is found, not assumed (control_file.cc).
struct ControlFile {
  uint64_t system_id = 0;
  uint32_t control_version = 0;  // 1300, 1700, 1800
  uint32_t catalog_version = 0;
  uint32_t state = 0;     // DBState: 1 is "shut down", 6 is "in production"
  Lsn checkpoint;         // of the latest checkpoint record
  Lsn redo;               // where recovery from it begins
  uint32_t timeline = 0;  // of that checkpoint
  uint32_t page_bytes = 0;
  uint32_t relation_segment_pages = 0;
  uint32_t wal_page_bytes = 0;
  uint32_t segment_bytes = 0;
  uint32_t checksum_version = 0;  // 0: pages carry no checksums
  size_t crc_offset = 0;

  bool in_recovery() const { return state == 2 || state == 5; }  // shut down in, or in archive recovery
};

// Bytes of the file that a server looks at; the rest of its 8 KiB is zeros.
constexpr size_t kControlFileBytes = 8192;

// kInvalidData when the CRC proves nothing (torn or damaged), kUnsupported when
// it is whole but of a server that we don't know.
Result<ControlFile> parse_control_file(ByteView bytes);

// Reads <data_directory>/global/pg_control. The server rewrites it in place, so
// a torn read is repeated until the CRC is right or `patience` has passed.
struct ControlFileRead {
  ControlFile fields;
  Bytes bytes;
};
Result<ControlFileRead> read_control_file(FileSystem& fs, Clock& clock, const std::string& data_directory,
                                          Duration patience = Duration::seconds(5));

}  // namespace holdfast::postgres
