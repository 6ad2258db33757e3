#pragma once

#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/time.h"
#include "source/postgres/wal_archive.h"
#include "source/source.h"

namespace holdfast::postgres {

struct GatherOptions {
  std::string data_directory;  // whose pg_wal is read
  uint32_t timeline = 0;
  Lsn from, to;              // [from, to)
  bool in_recovery = false;  // of the server: its last segment is not complete then
  bool archives = false;     // the server archives to us: it gets a moment's start
};

// Gives whoever archives a moment to store the range. Returns a line for each gap that is left.
Result<std::vector<std::string>> await_archiver(source::World& world, WalArchive& archive,
                                                const GatherOptions& options);

// Makes sure that the archive holds the WAL of a range without a gap: waits
// shortly for whoever archives, then takes what is missing from pg_wal, where a
// slot keeps it. kIncomplete when WAL is nowhere to be had: the copy is of no use.
// kMismatch when what is stored is of another history than the server's.
Result<void> gather_wal(source::World& world, WalArchive& archive, const GatherOptions& options);

// Of a timeline of which nobody has stored anything yet, though its ancestor was followed:
// all from where it began to `to`, while pg_wal has it. The next checkpoint lets the server
// remove it, no slot came along with what was restored or promoted, and a backup may be
// faster than the receiver. Does nothing where that is not so; whether it was.
Result<bool> gather_beginning(source::World& world, WalArchive& archive, const GatherOptions& options);

// The whole segments that have been filled since, from the one of `from` up to that of `to`: else
// the log would have a hole where the beginning's last segment was not complete, and where the
// server went on before the backup did.
Result<void> gather_between(source::World& world, WalArchive& archive, const GatherOptions& options);

}  // namespace holdfast::postgres
