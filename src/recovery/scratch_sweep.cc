#include "recovery/scratch_sweep.h"

#include <algorithm>
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

Result<void> note(FileSystem& fs, const std::string& registry, const std::string& path) {
  std::vector<std::string> directories = noted(fs, registry);
  if (std::find(directories.begin(), directories.end(), path) != directories.end()) return {};
  directories.push_back(path);
  if (directories.size() > kMaxDirectories) directories.erase(directories.begin());
  TRY(make_directories(fs, registry));
  return write_file_durably(fs, file_of(registry), as_bytes(nlohmann::json(directories).dump(2) + "\n"));
}

}  // namespace

void note_scratch_directory(FileSystem& fs, const std::string& registry, const std::string& directory) {
  if (directory.empty() || registry.empty()) return;
  if (auto done = note(fs, registry, absolute_path(directory)); !done.ok())
    log_info("recovery.scratch.not_noted", {{"error", done.error().text()}});
}

void sweep_scratch(FileSystem& fs, Clock& clock, const std::string& registry) {
  source::sweep_scratch_places(fs, clock, source::scratch_directory(""));
  for (const std::string& directory : noted(fs, registry)) source::sweep_scratch_places(fs, clock, directory);
}

}  // namespace holdfast::recovery
