#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast::recovery {

// The drills in progress on this machine (docs/drill.md, "Nothing stays behind"): a
// directory with a lock and a description for each.

// $HOLDFAST_DRILLS, /var/lib/holdfast/drills for root, else below the state directory.
std::string default_drill_registry(const std::function<const char*(const char*)>& environment, bool root);

// The name of a drill's directory: the sweep removes no other.
std::string drill_directory_name(const std::string& id);

// The marker of one drill. Its lock ends with the process, however that ends. Not thread-safe.
class DrillMarker {
 public:
  // Durable before it returns: make nothing before. `directory` is what the drill will make.
  static Result<std::unique_ptr<DrillMarker>> create(FileSystem& fs, const std::string& registry, const std::string& id,
                                                     const std::string& directory);
  ~DrillMarker();
  DrillMarker(const DrillMarker&) = delete;
  DrillMarker& operator=(const DrillMarker&) = delete;

  Result<void> set_phase(const std::string& phase);
  Result<void> add_process(pid_t process);
  // When nothing is left of the drill.
  Result<void> remove();

 private:
  struct Server {
    pid_t process = 0;
    std::string mark;
  };
  DrillMarker(FileSystem& fs, std::string base, std::string directory)
      : fs_(fs), base_(std::move(base)), directory_(std::move(directory)) {}
  Result<void> write();

  FileSystem& fs_;
  const std::string base_;  // of both files' paths
  const std::string directory_;
  std::string phase_;
  std::vector<Server> servers_;
  int lock_ = -1;
};

struct SweptDrill {
  std::string id, directory, phase;
  std::optional<Error> problem;  // why something of it is left, and its marker
};

// Removes what drills left that died: their processes, their directories, their markers.
// Those that live, or that another process is sweeping just now, are left alone. One that
// can't be removed is told in the log and in the outcome, and holds up no other. Without a
// registry nothing is done.
Result<std::vector<SweptDrill>> sweep_drills(FileSystem& fs, Clock& clock, const std::string& registry);

}  // namespace holdfast::recovery
