#include "engine/lost_attempts.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/filesystem.h"
#include "engine/fork_server.h"
#include "engine/launcher.h"

namespace holdfast::engine {
namespace {

std::set<std::string> named_directories(const std::vector<Event>& events) {
  std::set<std::string> named;
  for (const Event& event : events) named.insert(event.payload.value("directory", ""));
  return named;
}

// Its supervisor bears the directory's name, and nothing else; the step's own processes have the key.
pid_t process_of(const std::string& directory, const std::string& run, const LostAttempt& lost) {
  const std::string title = supervisor_title(join_path(directory, lost.directory)), key = idempotency_key(run, lost.id);
  return find_process([&](pid_t pid) {
    const std::string line = command_line_of(pid);
    return line.substr(0, line.find('\0')) == title || has_in_environment(pid, "HOLDFAST_IDEMPOTENCY_KEY", key);
  });
}

Result<std::vector<DirectoryEntry>> entries_of(const std::string& directory) {
  auto entries = real_file_system().list(directory);
  if (!entries.ok() && entries.error().code() == ErrorCode::kNotFound) return std::vector<DirectoryEntry>();
  return entries;
}

class Finder {
 public:
  Finder(const std::string& directory, const RunState& state, const std::vector<Event>& events)
      : directory_(directory), run_(state.id), named_(named_directories(events)) {}

  Result<void> look_for(const std::string& id) {
    const std::string place = attempts_directory(id);
    for (const DirectoryEntry& entry : TRY(entries_of(join_path(directory_, place)))) {
      LostAttempt lost{id, 0, place + "/" + entry.name, std::nullopt, 0};
      std::from_chars(entry.name.data(), entry.name.data() + entry.name.size(), lost.attempt);
      const AttemptFiles files{join_path(directory_, lost.directory)};
      if (named_.contains(lost.directory)) continue;
      lost.end = TRY(read_status(real_file_system(), files));
      if (!lost.end && !TRY(exists(real_file_system(), files.began()))) continue;
      if (!lost.end) lost.running = process_of(directory_, run_, lost);
      found_.push_back(std::move(lost));
    }
    return {};
  }

  std::vector<LostAttempt> take() {
    std::stable_sort(found_.begin(), found_.end(),
                     [](const LostAttempt& a, const LostAttempt& b) { return a.attempt < b.attempt; });
    return std::move(found_);
  }

 private:
  const std::string& directory_;
  const std::string run_;
  const std::set<std::string> named_;
  std::vector<LostAttempt> found_;
};

}  // namespace

Result<std::vector<LostAttempt>> find_lost_attempts(const std::string& directory, const RunState& state,
                                                    const std::vector<Event>& events) {
  Finder finder(directory, state, events);
  for (const Step& step : state.plan.steps) {
    TRY(finder.look_for(step.id));
    TRY(finder.look_for(step.id + std::string(kUndoSuffix)));
  }
  return finder.take();
}

}  // namespace holdfast::engine
