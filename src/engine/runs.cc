#include "engine/runs.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <tuple>

namespace holdfast::engine {
namespace {

constexpr int kAttemptsToName = 10;
constexpr size_t kMinuteDigits = 13;  // of an id: "20260301-0930"

std::string journal_path(const std::string& directory) { return join_path(directory, "journal.db"); }

// "20260301-0930-7f3a": sorts by time, and is easy to say on the telephone.
std::string new_id(Time now, Random& random) {
  std::string digits;
  for (const char c : format_rfc3339(now).substr(0, 16)) {
    if (std::isdigit(static_cast<unsigned char>(c))) digits += c;
  }
  return fmt::format("{}-{}-{:04x}", digits.substr(0, 8), digits.substr(8), random.below(1 << 16));
}

}  // namespace

std::string default_runs_directory(const std::function<const char*(const char*)>& environment, bool root) {
  const auto value = [&](const char* name) {
    const char* text = environment(name);
    return std::string(text == nullptr ? "" : text);
  };
  if (const std::string runs = value("HOLDFAST_RUNS"); !runs.empty()) return absolute_path(runs);
  if (root) return "/var/lib/holdfast/runs";
  if (const std::string state = value("XDG_STATE_HOME"); !state.empty())
    return absolute_path(join_path(state, "holdfast/runs"));
  return absolute_path(join_path(value("HOME"), ".local/state/holdfast/runs"));
}

Result<OpenRun> create_run(const std::string& runs, const Json& created, std::string_view document,
                           const std::string& who, Clock& clock, Random& random) {
  FileSystem& fs = real_file_system();
  TRY(make_directories(fs, runs));
  // Made aside and renamed: a run is there with its first event, or not at all.
  std::string id, aside;
  for (int attempt = 0; attempt < kAttemptsToName; attempt++) {
    id = new_id(clock.now(), random);
    aside = join_path(runs, ".new-" + id);
    auto made = fs.make_directory(aside, 0700);
    if (made.ok()) break;
    if (made.error().code() != ErrorCode::kAlreadyExists) return std::move(made).error();
  }
  RunLock lock = TRY(RunLock::take(join_path(aside, "lock"), who));
  TRY(create_file_durably(fs, join_path(aside, "runbook.md"), as_bytes(document)));
  {
    auto journal = TRY(Journal::create(journal_path(aside), id));
    Event event;
    event.time = clock.now();
    event.kind = kind::kRunCreated;
    event.payload = created;
    journal->append(std::move(event));
    TRY(journal->commit());
  }
  const std::string directory = join_path(runs, id);
  TRY(fs.rename_exclusive(aside, directory));
  TRY(fs.sync_directory(runs));
  auto journal = TRY(Journal::open(journal_path(directory)));
  return OpenRun{directory, std::move(lock), std::move(journal), {}};
}

Result<OpenRun> open_run(const std::string& directory, const std::string& who) {
  auto lock = TRY_CONTEXT(RunLock::take(join_path(directory, "lock"), who), "run {}", base_name(directory));
  OpenRun run{directory, std::move(lock), nullptr, {}};
  run.journal = TRY(Journal::open(journal_path(directory)));
  run.lost = TRY(find_lost_attempts(directory, TRY(fold(run.journal->events())), run.journal->events()));
  return run;
}

Result<std::vector<std::string>> list_runs(const std::string& runs) {
  auto entries = real_file_system().list(runs);
  if (!entries.ok() && entries.error().code() == ErrorCode::kNotFound) return std::vector<std::string>();
  // An id begins with its minute. Within one the document tells: it is written when the
  // run is made, and never again.
  std::vector<std::tuple<std::string, int64_t, int64_t, std::string>> order;
  for (const DirectoryEntry& entry : TRY(std::move(entries))) {
    if (entry.name.starts_with('.')) continue;  // never came to be
    const std::string directory = join_path(runs, entry.name);
    // A run that can't be looked at is one all the same; without a journal it is none.
    std::error_code unlike;
    const bool directory_or_unknown = std::filesystem::is_directory(directory, unlike) || unlike;
    if (!directory_or_unknown) continue;
    const auto journal = real_file_system().stat(journal_path(directory));
    if (!journal.ok() && journal.error().code() == ErrorCode::kNotFound) continue;
    const auto document = real_file_system().stat(join_path(directory, "runbook.md"));
    const timespec made = document.ok() ? document->st_mtim : timespec{};
    order.emplace_back(entry.name.substr(0, kMinuteDigits), made.tv_sec, made.tv_nsec, entry.name);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::string> ids;
  for (const auto& [minute, seconds, nanoseconds, id] : order) ids.push_back(id);
  return ids;
}

Result<std::string> find_run(const std::string& runs, const std::string& words) {
  const std::vector<std::string> ids = TRY(list_runs(runs));
  if (ids.empty()) return make_error(ErrorCode::kNotFound, "there is no run in {}", runs);
  if (words == "latest") return join_path(runs, ids.back());
  std::vector<std::string> found;
  for (const std::string& id : ids) {
    if (id == words) return join_path(runs, id);
    if (id.find(words) != std::string::npos) found.push_back(id);
  }
  if (found.empty()) {
    return make_error(ErrorCode::kNotFound, "there is no run {} in {}", words, runs)
        .with_hint("'holdfast runbook runs' lists them");
  }
  if (found.size() > 1) {
    return make_error(ErrorCode::kUsage, "{} runs match {}: {}", found.size(), words, fmt::join(found, ", "));
  }
  return join_path(runs, found.front());
}

Result<RunState> read_run(const std::string& directory) { return fold(TRY(Journal::read(journal_path(directory)))); }

}  // namespace holdfast::engine
