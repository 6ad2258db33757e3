#include "source/files/capture.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/log.h"
#include "base/parallel.h"
#include "base/places.h"
#include "source/files/file_capture.h"
#include "source/files/planner.h"
#include "source/files/selection.h"

namespace holdfast::files {
namespace {

bool contains(const std::vector<std::string>& paths, const std::string& path) {
  return std::find(paths.begin(), paths.end(), path) != paths.end();
}

// Puts the outcomes, which come in the order of the tree, into the new tree.
class TreeSink {
 public:
  // `watched`: directories of which empty_directories() is to tell.
  TreeSink(FileCapture& capture, ContentStore& content, repo::WriteSession& session, Faults& faults,
           std::vector<std::string> watched)
      : capture_(capture),
        content_(content),
        session_(session),
        faults_(faults),
        tree_(session),
        empty_directories_(std::move(watched)) {}

  Result<void> take(FileCapture::Outcome outcome) {
    if (outcome.item.large) return take_piece(outcome);
    for (size_t i = 0; i < outcome.entries.size(); i++) {
      const Candidate& candidate = outcome.item.neighbours[i];
      auto& entry = outcome.entries[i];
      if (entry && entry->kind == repo::EntryKind::kHardLink)
        TRY(add_link(candidate, std::move(*entry)));
      else
        TRY(add_first(candidate, entry));
    }
    return {};
  }

  Result<repo::BlockId> finish() { return tree_.finish(); }
  uint64_t files() const { return files_; }
  uint64_t bytes() const { return bytes_; }
  bool holds_only_directories() const { return leaves_ == 0; }
  // Those of the watched in which nothing but directories was found.
  const std::vector<std::string>& empty_directories() const { return empty_directories_; }
  bool was_met(const std::string& directory) const { return met_.contains(directory); }

 private:
  Result<void> add(const repo::Entry& entry) {
    if (entry.kind == repo::EntryKind::kDirectory) {
      if (contains(empty_directories_, entry.path)) met_.insert(entry.path);
    } else {
      leaves_++;
      std::erase_if(empty_directories_, [&](const auto& directory) { return is_at_or_below(entry.path, directory); });
    }
    if (entry.kind == repo::EntryKind::kFile) {
      files_++;
      bytes_ += entry.size_bytes;
    }
    if (entry.modified == kLatestTime || entry.modified == kEarliestTime)
      faults_.add(entry.path, "modification time not kept: it lies outside of the years 1678 to 2262");
    return tree_.add(entry);
  }

  // The file that links were found to refer to may be gone from this name, or another
  // may have taken it by now: then they would refer to that one.
  Result<void> add_first(const Candidate& candidate, const std::optional<repo::Entry>& entry) {
    if (candidate.first_name_of && (!entry || entry->inode != *candidate.first_name_of))
      stand_ins_.emplace(entry ? entry->path : candidate.entry.path, "");
    return entry ? add(*entry) : Result<void>();
  }

  // A further name of a file. When the first name could not be captured, this
  // one carries the content, and the names after it refer to this one.
  Result<void> add_link(const Candidate& candidate, repo::Entry entry) {
    const auto lost = stand_ins_.find(entry.link_target);
    if (lost == stand_ins_.end()) return add(entry);
    if (lost->second.empty()) {
      auto alone = TRY(capture_.capture_alone(candidate));
      if (!alone) return {};
      if (alone->inode == candidate.status.st_ino) lost->second = alone->path;
      return add(*alone);
    }
    entry.link_target = lost->second;
    return add(entry);
  }

  Result<void> take_piece(FileCapture::Outcome& outcome) {
    if (!builder_) builder_.emplace(session_, ContentStore::kRegionBytes);
    if (!outcome.piece) unsteady_ = true;
    if (!unsteady_ && outcome.item.is_hole) {
      TRY(content_.add_hole(*builder_, outcome.item.length));
    } else if (!unsteady_) {
      for (const auto& extent : outcome.piece->extents) TRY(builder_->add(extent));
    }
    if (!outcome.item.last) return {};
    const LargeFile& large = *outcome.item.large;
    std::optional<repo::Entry> entry;
    if (unsteady_) {
      builder_.reset();
      entry = TRY(capture_.capture_alone(large.candidate));
    } else {
      auto content = TRY(builder_->finish());
      entry = TRY(capture_.finish_large(large, std::move(content)));
    }
    builder_.reset();
    unsteady_ = false;
    return add_first(large.candidate, entry);
  }

  FileCapture& capture_;
  ContentStore& content_;
  repo::WriteSession& session_;
  Faults& faults_;
  repo::TreeWriter tree_;
  std::optional<repo::ContentBuilder> builder_;   // of the large file whose pieces are coming in
  bool unsteady_ = false;                         // one of its pieces can't be relied on
  std::map<std::string, std::string> stand_ins_;  // lost first name of a file -> the one in its place, if any
  uint64_t files_ = 0, bytes_ = 0;
  uint64_t leaves_ = 0;  // entries that are no directories
  std::vector<std::string> empty_directories_;
  std::set<std::string> met_;  // of them
};

nlohmann::json describe(const std::vector<std::string>& roots, const CaptureOptions& options, const Walker& walker,
                        const FileCapture& capture) {
  nlohmann::json source;
  source[kRootsKey] = nlohmann::json::array();
  for (const auto& root : roots) source[kRootsKey].push_back("/" + (root.empty() ? "" : display_path(root)));
  if (!options.excludes.empty()) source[kExcludesKey] = options.excludes;
  if (walker.repository_met()) source[kRepositoryKey] = display_path(*walker.repository_met());
  for (const auto& mount : walker.mounts_met()) source[kMountsKey].push_back(display_path(mount));
  for (const auto& mount : walker.mounts_entered()) source[kMountsEnteredKey].push_back(display_path(mount));
  if (walker.mount_count() > walker.mounts_met().size()) source[kMountCountKey] = walker.mount_count();
  source["vanished"] = walker.vanished() + capture.vanished();
  source["read_again"] = capture.read_again();
  return source;
}

// A backup of the repository in itself would grow without end, and be of no use
// without it.
Result<void> check_apart(FileSystem& fs, const std::vector<std::string>& roots, const std::string& repository) {
  if (repository.empty()) return {};
  for (const auto& root : roots) {
    if (!lies_in(fs, "/" + root, repository)) continue;
    return make_error(ErrorCode::kConfig, "'/{}' can't be captured: it lies in the repository at {}",
                      display_path(root), display_path(repository))
        .with_hint("correct 'paths' of the component, or keep the repository elsewhere");
  }
  return {};
}

// Paths that can be listed by name but not read (an account that lost its rights, a
// share that went away) must not become the newest, empty state of a component.
Result<void> check_something_was_read(const TreeSink& sink, Faults& faults) {
  if (!sink.holds_only_directories() || faults.count() == 0) return {};
  return make_error(ErrorCode::kIo, "nothing of it could be read: {}", faults.take().front())
      .with_hint("a point of nothing was not taken; let this account read the component's 'paths'");
}

// Where file systems were mounted below the roots when that snapshot was taken.
std::vector<std::string> mounts_of(const repo::Snapshot& snapshot) {
  std::vector<std::string> mounts;
  if (!snapshot.source.is_object() || !snapshot.source.contains(kMountsEnteredKey)) return mounts;
  for (const auto& mount : snapshot.source[kMountsEnteredKey]) {
    if (mount.is_string()) mounts.push_back(path_of_display(mount.get<std::string>()));
  }
  return mounts;
}

// Where a file system is not mounted its mount point is an empty directory: that must
// not become the newest state, which retention keeps while the real ones go.
Result<void> check_never_held_anything(repo::Repository& repository, const repo::Snapshot& previous,
                                       const std::string& directory) {
  const auto before = first_leaf_below(repository, previous.root, directory);
  if (!before) return {};
  return make_error(ErrorCode::kRefused, "'/{}' holds no file, and the point before has some of it: {}",
                    directory.empty() ? "" : display_path(directory), display_path(*before))
      .with_hint(
          "a point of nothing was not taken; mount what belongs there, or say --allow-empty if it has to be empty");
}

// What holds nothing but directories, or nothing that is not excluded, is known only now.
Result<void> check_nothing_went_away(const TreeSink& sink, const std::vector<std::string>& roots,
                                     repo::Repository& repository, const repo::Snapshot& previous) {
  for (const auto& directory : sink.empty_directories()) {
    const bool is_root = contains(roots, directory);
    // It is gone or excluded; or mounted, and empty or not to be entered.
    if (!is_root && (!sink.was_met(directory) || is_mount_point("/" + directory))) continue;
    TRY(check_never_held_anything(repository, previous, directory));
  }
  return {};
}

// Whether a walk comes by this directory, if it is there.
bool is_walked(const std::vector<std::string>& roots, const ExcludePatterns& excludes, std::string_view directory) {
  for (const auto& root : roots) {
    if (!is_at_or_below(directory, root)) continue;
    if (directory == root) return true;
    const size_t below_root = root.empty() ? 0 : root.size() + 1;
    size_t end = below_root;
    do {
      end = directory.find('/', end + 1);
      const std::string_view above = directory.substr(0, end);
      if (excludes.excludes(above, above.substr(below_root), true)) return false;
    } while (end != std::string_view::npos);
    return true;
  }
  return false;
}

// What can't be looked at is for the walk to tell.
bool is_bare(FileSystem& fs, const std::string& path) {
  if (resolved_path(path) != path) return false;
  const auto is_empty = is_empty_directory(fs, path);
  return is_empty.ok() && *is_empty;
}

// What is bare needs no walk to be known, which may take hours.
Result<void> check_nothing_is_bare(FileSystem& fs, const std::vector<std::string>& roots,
                                   const ExcludePatterns& excludes, const CaptureOptions& options,
                                   repo::Repository& repository, const repo::Snapshot& previous) {
  for (const auto& root : roots) {
    if (is_bare(fs, "/" + root)) TRY(check_never_held_anything(repository, previous, root));
  }
  if (options.one_file_system) return {};  // what is mounted below a root may not be met
  for (const auto& mount : mounts_of(previous)) {
    if (contains(roots, mount) || !is_bare(fs, "/" + mount) || is_mount_point("/" + mount)) continue;
    if (is_walked(roots, excludes, mount)) TRY(check_never_held_anything(repository, previous, mount));
  }
  return {};
}

struct Places {
  ExcludePatterns excludes;
  std::vector<std::string> roots;
};

Result<Places> look_first(FileSystem& fs, repo::Repository& repository, const CaptureOptions& options,
                          const repo::Snapshot* previous) {
  if (options.paths.empty())
    return make_error(ErrorCode::kConfig, "no paths to capture").with_hint("name them in 'paths'");
  auto excludes = TRY(ExcludePatterns::create(options.excludes));
  auto roots = TRY(resolve_roots(options.paths));
  Places places{std::move(excludes), std::move(roots)};
  TRY(check_apart(fs, places.roots, options.repository));
  if (previous && !options.allow_empty)
    TRY(check_nothing_is_bare(fs, places.roots, places.excludes, options, repository, *previous));
  return places;
}

}  // namespace

Result<void> look_before_capture(FileSystem& fs, repo::Repository& repository, const CaptureOptions& options,
                                 const repo::Snapshot* previous) {
  TRY(look_first(fs, repository, options, previous));
  return {};
}

Result<repo::Snapshot> capture(source::World& world, repo::WriteSession& session, const CaptureOptions& options,
                               const repo::Snapshot* previous) {
  const auto [excludes, roots] = TRY(look_first(world.fs, session.repository(), options, previous));

  repo::Snapshot snapshot;
  snapshot.kind = "files";
  snapshot.instant = world.clock.now();
  snapshot.incremental = previous != nullptr;
  const Duration began = world.clock.monotonic();
  const uint64_t stored_before = session.stats().stored_bytes;
  world.progress.phase = "reading files";

  Faults faults;
  OwnerNames names;
  Walker walker(world.fs,
                {.roots = roots, .one_file_system = options.one_file_system, .repository = options.repository},
                excludes, faults);
  PreviousTree before(session.repository(), previous ? std::optional(previous->root) : std::nullopt);
  Planner planner(world.fs, walker, before, names, world.clock, options.force);
  ContentStore content(session);
  FileCapture worker(world, content, names, faults);
  std::vector<std::string> watched = roots;
  if (previous) {
    for (auto& mount : mounts_of(*previous)) watched.push_back(std::move(mount));
  }
  TreeSink sink(worker, content, session, faults, std::move(watched));
  TRY((ordered_pipeline<WorkItem, FileCapture::Outcome>(
      world.threads, 2 * world.threads + 2, [&]() -> Result<std::optional<WorkItem>> { return planner.next(); },
      [&](WorkItem& item) { return worker.run(item); },
      [&](FileCapture::Outcome outcome) { return sink.take(std::move(outcome)); })));

  TRY(check_something_was_read(sink, faults));
  if (previous && !options.allow_empty) TRY(check_nothing_went_away(sink, roots, session.repository(), *previous));
  snapshot.root = TRY(sink.finish());
  snapshot.files = sink.files();
  snapshot.source_bytes = sink.bytes();
  snapshot.read_bytes = content.bytes_read();
  snapshot.stored_bytes = session.stats().stored_bytes - stored_before;
  snapshot.took = world.clock.monotonic() - began;
  snapshot.source = describe(roots, options, walker, worker);
  snapshot.faults = faults.take();
  log_info("files.captured",
           {{"files", snapshot.files}, {"bytes", snapshot.source_bytes}, {"read_bytes", snapshot.read_bytes}});
  return snapshot;
}

}  // namespace holdfast::files
