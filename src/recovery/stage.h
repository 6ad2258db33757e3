#pragma once

#include <cstdint>

#include "base/progress.h"

namespace holdfast::recovery {

// Progress is shown component by component: sources count from zero and know
// only their own total. `expected_bytes`: a guess until the source knows; 0: none.
inline void begin_stage(Progress& progress, uint64_t expected_bytes) {
  progress.bytes_total = expected_bytes;
  progress.bytes_done = 0;
  progress.files_total = 0;
  progress.files_done = 0;
}

}  // namespace holdfast::recovery
