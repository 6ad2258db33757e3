#pragma once

#include <map>
#include <optional>
#include <string>

#include "source/files/candidate.h"
#include "source/files/metadata.h"
#include "source/files/previous.h"
#include "source/files/walker.h"

namespace holdfast::files {

// Turns the walk into work: recognises hard links and what has not changed, and
// groups neighbours. Groups end where names say so, once they are large enough,
// so that a moved directory is bundled as it was before. Not thread-safe.
class Planner {
 public:
  // Files up to this size are bundled with their neighbours.
  static constexpr uint64_t kSmallFileBytes = 64u << 10;
  static constexpr uint64_t kBundleBytes = 1u << 20;

  Planner(FileSystem& fs, Walker& walker, PreviousTree& previous, OwnerNames& names, Clock& clock, bool force);

  // The next piece of work, in the order of the tree.
  std::optional<WorkItem> next();

 private:
  static constexpr size_t kNeighbours = 512;
  static constexpr uint64_t kNeighbourBytes = 4u << 20;

  std::optional<Candidate> next_candidate();
  Time instant_of_looking(const Found& found);
  void recognise_link(Candidate& candidate);
  void begin_large(Candidate candidate);
  std::optional<WorkItem> next_piece();
  static bool is_natural_end(const Candidate& candidate, uint64_t small_bytes);

  FileSystem& fs_;
  Walker& walker_;
  PreviousTree& previous_;
  OwnerNames& names_;
  Clock& clock_;
  const bool force_;
  struct Link {
    std::string first;     // name met first
    struct stat status{};  // as it was then
    uint64_t missing = 0;  // names not met yet
  };
  bool is_still_there(const Link& link);
  std::map<std::pair<dev_t, ino_t>, Link> links_;
  std::map<dev_t, Duration> clock_margins_;
  std::optional<Candidate> ahead_;
  std::shared_ptr<const LargeFile> large_;  // being handed out
  std::unique_ptr<File> large_file_;        // the same, to be asked for its holes; null if it has none
  uint64_t large_offset_ = 0;
};

}  // namespace holdfast::files
