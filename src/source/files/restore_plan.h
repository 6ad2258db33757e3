#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "source/files/content_reader.h"
#include "source/files/restore.h"
#include "source/files/selection.h"
#include "source/files/spared.h"
#include "source/files/target.h"

namespace holdfast::files {

// A file that hard links refer to and that is itself not restored: the first of
// those links becomes the file.
struct Detached {
  std::string first_link;
  std::optional<repo::Entry> entry;  // filled when the tree is read for writing
};

// What a look at the snapshot and the target told, before anything is written.
struct RestorePlan {
  uint64_t files = 0;
  uint64_t bytes = 0;                        // of content
  std::map<std::string, Detached> detached;  // by path
  Changes changes;                           // of a dry run
  uint64_t avoided = 0;                      // entries that lie where the repository is
};

// Looks at everything that a restore would touch, until `progress` asks to stop. kTargetNotEmpty: something is
// in the way. kNoSpace: it would not fit. Reads the whole content of files that
// exist only in a dry run with delta.
Result<RestorePlan> plan_restore(const Progress& progress, repo::Repository& repository, const repo::BlockId& root,
                                 const Choice& choice, const RestoreOptions& options, const Spared& spared,
                                 Target& target);

}  // namespace holdfast::files
