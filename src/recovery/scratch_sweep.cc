#include "recovery/scratch_sweep.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/log.h"
#include "source/scratch_place.h"

namespace holdfast::recovery {

namespace {

constexpr uint64_t kMaxBytes = 1 << 20;
constexpr size_t kMaxDirectories = 100;

std::string file_of(const std::string& registry) { return join_path(registry, "scratch.json"); }

// None, where there is no such file or it can't be read: then each is swept by the next to work there.
std::vector<std::string> noted(FileSystem& fs, const std::string& registry) {
  const auto content = read_file(fs, file_of(registry), kMaxBytes);
  if (!content.ok()) return {};
  const auto json = nlohmann::json::parse(as_text(*content), nullptr, false);
  std::vector<std::string> directories;
  for (const auto& each : json.is_array() ? json : nlohmann::json::array()) {
    if (each.is_string()) directories.push_back(each.get<std::string>());
  }
  return directories;
}

// Held while the file is read and written anew; its end is the process's at the latest.
class Guard {
 public:
  explicit Guard(const std::string& registry)
      : fd_(::open((file_of(registry) + ".guard").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) {
    is_held_ = fd_ >= 0 && ::flock(fd_, LOCK_EX) == 0;
  }
  ~Guard() {
    if (fd_ >= 0) ::close(fd_);
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
  bool is_held() const { return is_held_; }

 private:
  int fd_;
  bool is_held_ = false;
};

Result<void> rewrite(FileSystem& fs, const std::string& registry,
                     const std::function<void(std::vector<std::string>&)>& change) {
  TRY(make_directories(fs, registry));
  const Guard guard(registry);
  if (!guard.is_held()) return Error::from_errno(errno, file_of(registry) + ".guard");
  const std::vector<std::string> before = noted(fs, registry);
  std::vector<std::string> directories = before;
  change(directories);
  if (directories == before) return {};
  if (directories.empty()) return fs.remove_file(file_of(registry));
  return write_file_durably(fs, file_of(registry), as_bytes(nlohmann::json(directories).dump(2) + "\n"));
}

void tell(const Result<void>& rewritten) {
  if (!rewritten.ok()) log_info("recovery.scratch.not_noted", {{"error", rewritten.error().text()}});
}

void sweep_noted(FileSystem& fs, Clock& clock, const std::string& registry, const std::string& directory) {
  if (!source::sweep_scratch_places(fs, clock, directory)) return;
  tell(rewrite(fs, registry, [&](std::vector<std::string>& directories) { std::erase(directories, directory); }));
}

}  // namespace

NotedScratch::NotedScratch(FileSystem& fs, Clock& clock, const std::string& registry, const std::string& directory)
    : fs_(fs),
      clock_(clock),
      registry_(registry),
      directory_(directory.empty() || registry.empty() ? "" : absolute_path(directory)) {
  if (directory_.empty()) return;
  tell(rewrite(fs_, registry_, [&](std::vector<std::string>& directories) {
    if (std::find(directories.begin(), directories.end(), directory_) != directories.end()) return;
    directories.push_back(directory_);
    if (directories.size() > kMaxDirectories) directories.erase(directories.begin());
  }));
}

NotedScratch::~NotedScratch() {
  if (!directory_.empty()) sweep_noted(fs_, clock_, registry_, directory_);
}

void sweep_scratch(FileSystem& fs, Clock& clock, const std::string& registry) {
  source::sweep_scratch_places(fs, clock, source::scratch_directory(""));
  for (const std::string& directory : noted(fs, registry)) sweep_noted(fs, clock, registry, directory);
}

}  // namespace holdfast::recovery
