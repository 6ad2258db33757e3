#pragma once

#include <functional>
#include <string>

#include "base/result.h"
#include "recovery/browse.h"

namespace holdfast::cli {

struct MountOptions {
  std::string directory;
  bool allow_other = false;
};

// Serves points as a read-only file system until it is unmounted or the process
// gets SIGINT, SIGTERM or SIGHUP (which must have their default actions); then it
// is unmounted cleanly. Calls `ready` once it is mounted.
//   points/<time>-<id>/<component>/...   latest -> points/<newest>
Result<void> serve_mount(recovery::PointBrowser& browser, repo::Repository& repository, const MountOptions& options,
                         const std::function<void()>& ready);

}  // namespace holdfast::cli
