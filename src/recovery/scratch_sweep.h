#pragma once

#include <string>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast::recovery {

// Who works in a scratch directory and is killed leaves what it made there, perhaps with a server
// that runs. The next one in the same directory would end that (source/scratch_place.h); so that
// any command can, the directories that were named are noted in the registry of drills.

// Noted from before anything is made there until the object goes, and longer while there is
// something of somebody else's. "" is $TMPDIR or /tmp, where the sweep looks anyway. Where that
// can't be written down the next to work there ends what is left, as it would anyway.
class NotedScratch {
 public:
  NotedScratch(FileSystem& fs, Clock& clock, const std::string& registry, const std::string& directory);
  ~NotedScratch();
  NotedScratch(const NotedScratch&) = delete;
  NotedScratch& operator=(const NotedScratch&) = delete;

 private:
  FileSystem& fs_;
  Clock& clock_;
  const std::string registry_, directory_;  // "": nothing is noted
};

// Ends what the dead left in $TMPDIR or /tmp and in the directories that were noted; one where
// nothing is left is looked at no more. What can't be removed is told in the log. A directory
// may be on a server that is away, and looking at it then takes as long: not for what is urgent.
void sweep_scratch(FileSystem& fs, Clock& clock, const std::string& registry);

}  // namespace holdfast::recovery
