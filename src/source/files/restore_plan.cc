#include "source/files/restore_plan.h"

#include <algorithm>

#include "base/places.h"
#include "base/units.h"
#include "source/files/candidate.h"
#include "source/files/removal.h"

namespace holdfast::files {
namespace {

constexpr uint64_t kDiskBlockBytes = 4096;

uint64_t on_disk(uint64_t bytes) { return (bytes + kDiskBlockBytes - 1) / kDiskBlockBytes * kDiskBlockBytes; }

// What files of a restore take: of one that is there already, what it grows by, and for a while
// all of it beside what is there. One that has other names leaves those what it had.
class Room {
 public:
  void add(uint64_t bytes, const struct stat* existing) {
    const uint64_t wanted = on_disk(bytes);
    const bool makes_room = existing != nullptr && S_ISREG(existing->st_mode) && existing->st_nlink == 1;
    const uint64_t freed = makes_room ? on_disk(static_cast<uint64_t>(existing->st_size)) : 0;
    lasting_ += wanted - std::min(wanted, freed);
    largest_rewrite_ = std::max(largest_rewrite_, std::min(wanted, freed));
  }
  uint64_t bytes() const { return lasting_ + largest_rewrite_; }

 private:
  uint64_t lasting_ = 0, largest_rewrite_ = 0;
};

class Planning {
 public:
  Planning(const Progress& progress, repo::Repository& repository, const RestoreOptions& options, const Choice& choice,
           const Spared& spared, Target& target)
      : progress_(progress),
        repository_(repository),
        options_(options),
        choice_(choice),
        spared_(spared),
        target_(target) {
    if (options.repository.empty()) return;
    const auto status = target.fs().stat(resolved_path(options.repository));
    if (status.ok()) repository_place_ = status.value();
  }

  Result<void> visit(const Selected& selected) {
    if (progress_.stop) return make_error(ErrorCode::kInterrupted, "restore of files was stopped");
    const repo::Entry& entry = selected.entry;
    if (selected.wanted) TRY(count(entry));
    const auto existing = TRY(look_at(entry));
    if (!existing) return note_missing(selected);
    return note_existing(selected, *existing);
  }

  // Whether it all fits: first by a bound that costs nothing, then, if that does
  // not, by what is really stored (a sparse file takes less than its size).
  Result<void> check_space(const repo::BlockId& root) {
    const std::string place = TRY(target_.existing_ancestor(target_.path_of("")));
    const uint64_t available = TRY(target_.fs().free_bytes(place));
    uint64_t wanted = room_.bytes();
    if (wanted <= available) return {};
    wanted = TRY(data_bytes(root));
    if (wanted <= available) return {};
    return make_error(ErrorCode::kNoSpace, "{} has {} free, the restore needs {}", place, format_bytes(available),
                      format_bytes(wanted))
        .with_hint("free space there, restore to another directory, or restore a part");
  }

  RestorePlan plan;

 private:
  Result<void> count(const repo::Entry& entry) {
    if (entry.kind == repo::EntryKind::kFile) {
      plan.files++;
      plan.bytes += entry.size_bytes;
    }
    if (entry.kind == repo::EntryKind::kHardLink && !choice_.covers(entry.link_target))
      plan.detached.try_emplace(entry.link_target, Detached{entry.path, std::nullopt});
    return {};
  }

  Result<std::optional<struct stat>> look_at(const repo::Entry& entry) {
    // Below a directory that is absent nothing needs to be looked for.
    if (absent_ && entry.path.size() > absent_->size() && entry.path.starts_with(*absent_) &&
        entry.path[absent_->size()] == '/')
      return std::optional<struct stat>();
    if (absent_ && absent_->empty()) return std::optional<struct stat>();
    absent_.reset();
    auto status = target_.fs().stat(target_.path_of(entry.path));
    if (status.ok()) return std::optional(status.value());
    if (status.error().code() != ErrorCode::kNotFound) return std::move(status).error();
    if (entry.kind == repo::EntryKind::kDirectory) absent_ = entry.path;
    return std::optional<struct stat>();
  }

  Result<void> note_missing(const Selected& selected) {
    const repo::Entry& entry = selected.entry;
    if (entry.kind == repo::EntryKind::kFile) room_.add(entry.size_bytes, nullptr);
    if (options_.dry_run && !entry.path.empty()) plan.changes.add("create", entry.kind, entry.path);
    return {};
  }

  Result<void> note_existing(const Selected& selected, const struct stat& status) {
    const repo::Entry& entry = selected.entry;
    const bool is_directory = entry.kind == repo::EntryKind::kDirectory;
    if (is_directory && S_ISDIR(status.st_mode)) return check_apart(entry, status);
    const std::string path = target_.path_of(entry.path);
    // A symbolic link at the very top was named by whoever runs this.
    if (is_directory && entry.path.empty() && S_ISLNK(status.st_mode)) return {};
    if (is_directory && (!selected.wanted || entry.source_data == kParentMark))
      return make_error(ErrorCode::kRefused, "'{}' is a {}; the restore would write through it", display_path(path),
                        kind_name(kind_of(status.st_mode)))
          .with_hint("restore to another directory and move the data from there");
    if (!options_.delta)
      return make_error(ErrorCode::kTargetNotEmpty, "'{}' exists already", display_path(path))
          .with_hint("restore to an empty directory, or with --delta over what is there");
    if (is_directory || S_ISDIR(status.st_mode)) {
      if (!options_.remove_extra)
        return make_error(ErrorCode::kTargetNotEmpty, "'{}' is a {}, but a {} is to be restored there",
                          display_path(path), kind_name(kind_of(status.st_mode)), kind_name(entry.kind))
            .with_hint("remove it, or let the restore remove what the snapshot does not have");
      if (!is_directory) TRY(check_way(entry, path));
      if (options_.dry_run) plan.changes.add("remove", kind_of(status.st_mode), entry.path);
      return note_missing(selected);
    }
    if (entry.kind == repo::EntryKind::kFile) room_.add(entry.size_bytes, &status);
    return options_.dry_run ? note_update(entry, path, status) : Result<void>();
  }

  // The repository's own place in the tree is passed over; here it is met by another way.
  Result<void> check_apart(const repo::Entry& entry, const struct stat& status) {
    if (!repository_place_ || status.st_dev != repository_place_->st_dev || status.st_ino != repository_place_->st_ino)
      return {};
    return make_error(ErrorCode::kRefused, "'{}' is the repository at {}, mounted there",
                      display_path(target_.path_of(entry.path)), display_path(options_.repository))
        .with_hint("restore to another directory, or unmount it");
  }

  // A directory that stands where something else is to be must be free to go.
  Result<void> check_way(const repo::Entry& entry, const std::string& path) {
    Removal removal(target_, spared_, true);
    const dev_t device = TRY(removal.device_of(parent_path(path)));
    if (TRY(removal.remove(entry.path, device))) return {};
    return make_error(ErrorCode::kTargetNotEmpty,
                      "'{}' is a directory, but a {} is to be restored there, and not all of it may be removed: {}",
                      display_path(path), kind_name(entry.kind), removal.first_left())
        .with_hint("move it away");
  }

  Result<void> note_update(const repo::Entry& entry, const std::string& path, const struct stat& status) {
    const bool same_kind = kind_of(status.st_mode) == entry.kind;
    bool differs = !same_kind && entry.kind != repo::EntryKind::kHardLink;
    if (same_kind && entry.kind == repo::EntryKind::kFile) {
      ContentReader reader(repository_, progress_);
      ExistingFile file(TRY(target_.fs().open(path, {.no_follow = true, .no_wait = true})));
      differs = TRY(reader.first_difference(file, entry)).has_value();
    } else if (same_kind && entry.kind == repo::EntryKind::kSymlink) {
      differs = TRY(target_.fs().read_link(path)) != entry.link_target;
    } else if (same_kind && is_device(entry.kind)) {
      differs = status.st_rdev != entry.device_number;
    }
    if (differs) plan.changes.add("replace", entry.kind, entry.path);
    return {};
  }

  Result<uint64_t> data_bytes(const repo::BlockId& root) {
    Room room;
    absent_.reset();
    auto selection = TRY(Selection::open(repository_, root, choice_));
    while (const auto selected = TRY(selection.next())) {
      if (progress_.stop) return make_error(ErrorCode::kInterrupted, "restore of files was stopped");
      const auto existing = TRY(look_at(selected->entry));
      if (selected->entry.kind != repo::EntryKind::kFile) continue;
      uint64_t data = 0;
      ExtentStream extents(repository_, selected->entry.content);
      while (const auto placed = TRY(extents.next())) {
        if (placed->extent.block) data += placed->extent.length_bytes;
      }
      room.add(data, existing ? &*existing : nullptr);
    }
    return room.bytes();
  }

  const Progress& progress_;
  repo::Repository& repository_;
  const RestoreOptions& options_;
  const Choice& choice_;
  const Spared& spared_;
  Target& target_;
  std::optional<struct stat> repository_place_;
  std::optional<std::string> absent_;  // directory known not to exist
  Room room_;
};

}  // namespace

Result<RestorePlan> plan_restore(const Progress& progress, repo::Repository& repository, const repo::BlockId& root,
                                 const Choice& choice, const RestoreOptions& options, const Spared& spared,
                                 Target& target) {
  Planning planning(progress, repository, options, choice, spared, target);
  const auto skipped = [&](const repo::Entry& entry) {
    if (choice.avoids(entry.path)) planning.plan.avoided++;
  };
  auto selection = TRY(Selection::open(repository, root, choice, skipped));
  while (const auto selected = TRY(selection.next())) TRY(planning.visit(*selected));
  TRY(planning.check_space(root));
  return std::move(planning.plan);
}

Result<std::vector<std::string>> name_nothing(repo::Repository& repository, const repo::Snapshot& snapshot,
                                              std::vector<std::string> wanted) {
  auto reader = TRY_CONTEXT(repo::TreeReader::open(repository, snapshot.root), "reading the snapshot's tree");
  while (!wanted.empty()) {
    const auto entry = TRY_CONTEXT(reader->next(), "reading the snapshot's tree");
    if (!entry) break;
    std::erase_if(wanted, [&](const std::string& text) { return Choice({text}).names(entry->path); });
  }
  return wanted;
}

}  // namespace holdfast::files
