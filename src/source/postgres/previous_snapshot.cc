#include "source/postgres/previous_snapshot.h"

#include "base/log.h"
#include "source/postgres/page.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::postgres {

std::string PreviousSnapshot::reason_for_full(const repo::Snapshot& snapshot, const ServerFacts& facts) {
  const auto parsed = snapshot_source(snapshot);
  if (!parsed.ok()) return parsed.error().message();
  const SnapshotSource& before = parsed.value();
  if (before.system_id != facts.system_id) return "it is of another cluster (system identifier)";
  if (before.timeline != facts.timeline) return "the timeline has changed";
  if (before.checksums != facts.checksums) return "page checksums were switched";
  if (before.page_bytes != facts.page_bytes || before.page_bytes != kPageBytes) return "the page size differs";
  if (before.major != facts.major) return "the server's major version has changed";
  if (facts.position < before.stop) return "the server stands before the end of the previous snapshot";
  return "";
}

Result<std::unique_ptr<PreviousSnapshot>> PreviousSnapshot::open(repo::Repository& repository,
                                                                 const repo::Snapshot& snapshot) {
  const SnapshotSource source = TRY(snapshot_source(snapshot));
  auto previous = std::make_unique<PreviousSnapshot>();
  previous->start_ = source.start;
  for (const FilePageProblem& page : source.bad_pages) previous->bad_.insert(page.path);
  for (const FilePageProblem& page : source.torn_pages) previous->torn_.insert(page.path);
  previous->reader_ = TRY(repo::TreeReader::open(repository, snapshot.root));
  return previous;
}

Result<std::optional<repo::Entry>> PreviousSnapshot::next_at(const std::string& path) {
  while (!ended_) {
    if (!ahead_) {
      auto entry = reader_->next();
      if (!entry.ok() && !is_damage(entry.error())) return std::move(entry).error();
      if (!entry.ok()) log_warn("postgres.capture.previous_damaged", {{"error", entry.error().text()}});
      ahead_ = entry.ok() ? std::move(entry).value() : std::nullopt;
      ended_ = !ahead_;
      continue;
    }
    const auto order = repo::compare_paths(ahead_->path, path);
    if (order > 0) break;
    std::optional<repo::Entry> entry = std::exchange(ahead_, std::nullopt);
    if (order == 0) return entry;
  }
  return std::optional<repo::Entry>();
}

Result<std::optional<repo::Entry>> PreviousSnapshot::find(const std::string& path) {
  while (!loaded_) {
    auto read = reader_->next();
    if (!read.ok() && !is_damage(read.error())) return std::move(read).error();
    std::optional<repo::Entry> entry = read.ok() ? std::move(read).value() : std::nullopt;
    loaded_ = !entry;
    if (entry && parse_relation_path(entry->path)) by_path_.emplace(entry->path, std::move(*entry));
  }
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) return std::optional<repo::Entry>();
  return std::optional<repo::Entry>(found->second);
}

}  // namespace holdfast::postgres
