#pragma once

#include <string>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast::recovery {

// Who works in a scratch directory and is killed leaves what it made there, perhaps with a server
// that runs. The next one in the same directory would end that (source/scratch_place.h); so that
// any command can, the directories that were named are noted in the registry of drills.

// Noted before anything is made there. "" is $TMPDIR or /tmp, where the sweep looks anyway. Where
// that can't be written down the next to work there ends what is left, as it would anyway.
void note_scratch_directory(FileSystem& fs, const std::string& registry, const std::string& directory);

// Ends what the dead left in $TMPDIR or /tmp and in the directories that were noted. What can't
// be removed is told in the log.
void sweep_scratch(FileSystem& fs, Clock& clock, const std::string& registry);

}  // namespace holdfast::recovery
