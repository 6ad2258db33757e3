#pragma once

#include <string>
#include <vector>

#include "repo/point.h"
#include "repo/repository.h"
#include "source/files/changes.h"
#include "source/source.h"

namespace holdfast::files {

struct RestoreOptions {
  std::string to = {};                     // directory below which paths appear; "" or "/": where they were
  std::vector<std::string> only = {};      // paths or patterns inside the tree; empty: all
  bool delta = false;                      // target may hold data: right blocks are kept, wrong ones rewritten
  bool remove_extra = false;               // with delta: files that the snapshot does not have go
  std::vector<std::string> excludes = {};  // of the present configuration: none of it is removed
  std::string repository = {};             // directory of the repository itself: never written to; "" when it has none
  bool dry_run = false;
  bool numeric_ids = false;  // do not map owners by name
};

struct RestoreReport {
  uint64_t files = 0, directories = 0, others = 0;
  uint64_t bytes = 0;               // of content in place now
  uint64_t bytes_written = 0;       // of it, written by this restore
  Changes changes;                  // dry run: the things that would be done
  std::vector<std::string> faults;  // "srv/x: mode 0644 not set: permission denied"
  std::vector<std::string> notes;   // what is as it has to be, yet worth a word
};

// Each file appears whole or not at all (temporary beside it, fsync, rename).
// Everything written is durable when this returns. kTargetNotEmpty without `delta`
// when something that would be written exists. Free space is checked first.
// Of what the snapshot has in the place of the repository itself nothing is restored.
// `remove_extra` leaves in place, and notes, what a backup never had: what could not be
// read or was excluded, everything below that, and what lies on other file systems.
Result<RestoreReport> restore(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                              const RestoreOptions& options);

// Which of these paths and patterns (RestoreOptions::only) name nothing in the snapshot.
Result<std::vector<std::string>> name_nothing(repo::Repository& repository, const repo::Snapshot& snapshot,
                                              std::vector<std::string> wanted);

// Compares a directory with the snapshot, byte for byte, without writing.
Result<source::VerifyReport> verify(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                                    const std::string& directory);

}  // namespace holdfast::files
