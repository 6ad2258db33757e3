#include "source/files/restore.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "base/parallel.h"
#include "base/units.h"
#include "source/files/candidate.h"
#include "source/files/content_store.h"
#include "source/files/file_restore.h"
#include "source/files/refusal.h"
#include "source/files/removal.h"
#include "source/files/restore_finish.h"
#include "source/files/restore_plan.h"

namespace holdfast::files {
namespace {

// How much is written before it is made durable and visible together: enough
// that waiting for the disk costs little, bounded because a restore over old data
// needs room for both.
constexpr uint64_t kRoundFiles = 65536;
constexpr uint64_t kRoundBytes = 4ull << 30;
constexpr size_t kNeighbours = 256;
constexpr uint64_t kNeighbourBytes = 4u << 20;
// Neighbours whose blocks differ are best separated, so that two threads do not
// decode one block each for itself.
constexpr uint64_t kSplitBytes = 1u << 20;

struct Task {
  std::vector<repo::Entry> neighbours;
  std::shared_ptr<FileRestore::Large> large;
  size_t region = 0;
  uint64_t offset = 0;
};

// Writes everything but hard links and directories' metadata, round by round.
class Restorer {
 public:
  Restorer(source::World& world, repo::Repository& repository, Target& target, const RestoreOptions& options,
           RestorePlan& plan, const Choice& choice, const Spared& spared, OwnerNames& names, Faults& faults)
      : world_(world),
        repository_(repository),
        target_(target),
        options_(options),
        plan_(plan),
        choice_(choice),
        spared_(spared),
        names_(names),
        faults_(faults),
        removal_(target, spared, false),
        files_(world, repository, target, options, names, faults) {}

  Result<void> run(const repo::BlockId& root) {
    const auto skipped = [this](const repo::Entry& entry) {
      if (const auto found = plan_.detached.find(entry.path); found != plan_.detached.end())
        found->second.entry = entry;
    };
    auto selection = TRY(Selection::open(repository_, root, choice_, skipped));
    selection_.emplace(std::move(selection));
    TRY(take_target());
    while (!ended_) {
      auto outcome = round();
      for (const auto& path : large_paths_) {
        if (!outcome.ok()) target_.discard(path);
      }
      large_paths_.clear();
      TRY(std::move(outcome));
    }
    return restore_detached();
  }

  FileRestore& files() { return files_; }
  const std::set<std::string>& made() const { return made_; }
  uint64_t file_count = 0, directory_count = 0, other_count = 0;

 private:
  Result<void> round() {
    round_files_ = round_bytes_ = 0;
    round_limit_ = kRoundBytes;
    auto written = write_round();
    // What is whole needs no second try, and makes room by what it replaces.
    if (!written.ok() && written.error().code() == ErrorCode::kNoSpace) TRY(target_.publish(world_.threads, faults_));
    TRY(std::move(written));
    return target_.publish(world_.threads, faults_);
  }

  Result<void> write_round() {
    const auto work = [this](Task& task) -> Result<Unit> {
      if (task.large) TRY(files_.restore_region(*task.large, task.region, task.offset));
      for (const auto& entry : task.neighbours) TRY(files_.restore(entry));
      return Unit{};
    };
    const auto sink = [](Unit) { return Result<void>(); };
    const size_t threads = writer_threads();
    return ordered_pipeline<Task, Unit>(threads, 2 * threads + 2, [this] { return next(); }, work, sink);
  }

  // Whether an entry is for the next round, as this one has as much as there is room for at once.
  Result<bool> is_too_much(const repo::Entry& entry) {
    if (round_files_ > 0) return round_bytes_ + entry.size_bytes > round_limit_;
    if (!options_.delta) return false;
    const std::string place = TRY(target_.existing_ancestor(parent_path(target_.path_of(entry.path))));
    round_limit_ = std::min(kRoundBytes, TRY(target_.fs().free_bytes(place)));
    return false;
  }

  // Small files wait for each other, not for the disk.
  size_t writer_threads() const {
    const bool are_large = plan_.files > 0 && plan_.bytes / plan_.files >= DirectWriter::kSmallest;
    return are_large ? threads_for_direct_writes(world_.threads) : world_.threads;
  }

  Result<std::optional<Task>> next() {
    if (large_) return next_region();
    if (round_files_ >= kRoundFiles || round_bytes_ >= round_limit_) return std::optional<Task>();
    Task task;
    uint64_t bytes = 0;
    while (task.neighbours.size() < kNeighbours && bytes < kNeighbourBytes) {
      auto entry = ahead_ ? std::exchange(ahead_, std::nullopt) : TRY(next_entry());
      if (!entry) {
        ended_ = true;
        break;
      }
      if (TRY(is_too_much(*entry))) {
        ahead_ = std::move(entry);
        break;
      }
      const bool is_large = entry->content.regions.size() > 1 && !TRY(may_be_kept(*entry));
      if ((is_large && !task.neighbours.empty()) ||
          (bytes >= kSplitBytes && !shares_block(task.neighbours.back(), *entry))) {
        ahead_ = std::move(entry);
        break;
      }
      round_files_++;
      round_bytes_ += entry->size_bytes;
      if (is_large) {
        if (auto region = TRY(begin_large(std::move(*entry)))) return region;
        continue;
      }
      bytes += entry->size_bytes;
      task.neighbours.push_back(std::move(*entry));
    }
    if (task.neighbours.empty()) return std::optional<Task>();
    return std::optional(std::move(task));
  }

  static bool shares_block(const repo::Entry& a, const repo::Entry& b) {
    if (a.content.extents.empty() || b.content.extents.empty()) return true;
    return a.content.extents.back().block == b.content.extents.front().block;
  }

  // Those that the choice may have something in: of a path that is easily told.
  std::vector<std::string> wanted_roots() const {
    std::vector<std::string> roots = spared_.roots();
    const auto& only = options_.only;
    if (only.empty() || std::any_of(only.begin(), only.end(), has_wildcard)) return roots;
    std::erase_if(roots, [&](const std::string& root) {
      return std::none_of(only.begin(), only.end(), [&](std::string_view path) {
        path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
        return is_at_or_below(path, root) || is_at_or_below(root, path);
      });
    });
    return roots;
  }

  Result<void> take_target() {
    if (target_.in_place()) return target_.lock(wanted_roots());
    const std::string path = target_.path_of("");
    if (!TRY(exists(target_.fs(), path))) {
      TRY(make_directories(target_.fs(), path));
      made_.insert("");
    }
    return target_.lock({});
  }

  // Makes directories on the way to the next entry that is work for a thread.
  Result<std::optional<repo::Entry>> next_entry() {
    while (auto selected = TRY(selection_->next())) {
      repo::Entry& entry = selected->entry;
      if (entry.kind == repo::EntryKind::kDirectory) {
        if (selected->wanted) directory_count++;
        TRY(make_directory(*selected));
        continue;
      }
      (entry.kind == repo::EntryKind::kFile || entry.kind == repo::EntryKind::kHardLink ? file_count : other_count)++;
      if (options_.delta && options_.remove_extra) TRY(clear_directory(entry));
      if (entry.kind != repo::EntryKind::kHardLink) return std::optional(std::move(entry));
    }
    return std::optional<repo::Entry>();
  }

  Result<void> make_directory(const Selected& selected) {
    const repo::Entry& entry = selected.entry;
    const std::string path = target_.path_of(entry.path);
    if (entry.path.empty()) return {};  // take_target() has made it
    auto outcome = target_.fs().make_directory(path, 0700);
    if (!outcome.ok() && outcome.error().code() == ErrorCode::kAlreadyExists) {
      const auto status = TRY(target_.fs().stat(path));
      if (S_ISDIR(status.st_mode)) return {};
      if (!options_.remove_extra)
        return make_error(ErrorCode::kRefused, "'{}' is not a directory; the restore would write through it",
                          display_path(path));
      TRY(target_.fs().remove_file(path));
      outcome = target_.fs().make_directory(path, 0700);
    }
    outcome = of_entry(std::move(outcome));
    if (!outcome.ok() && outcome.error().code() == ErrorCode::kRefused) {
      faults_.add(entry.path, "not restored", outcome.error());
      return {};
    }
    TRY(std::move(outcome));
    if (!selected.wanted || entry.source_data == kParentMark) {
      made_.insert(entry.path);
      return open_up(entry, path);
    }
    return {};
  }

  // A directory above what is restored leads to more than that: it is not left closed if this
  // restore is ended, as the next one takes it for what was there.
  Result<void> open_up(const repo::Entry& entry, const std::string& path) {
    repo::Entry opened = entry;
    opened.mode |= 0700;
    const Place place = TRY(target_.place_of(path));
    Faults told_at_the_end;
    apply_metadata(opened, {-1, place.path()}, {options_.numeric_ids, false, true}, names_, told_at_the_end);
    return {};
  }

  Result<void> clear_directory(const repo::Entry& entry) {
    const std::string path = target_.path_of(entry.path);
    const auto status = target_.fs().stat(path);
    if (!status.ok() || !S_ISDIR(status.value().st_mode)) return {};
    const dev_t device = TRY(removal_.device_of(parent_path(path)));
    if (TRY(removal_.remove(entry.path, device))) return {};
    return make_error(ErrorCode::kTargetNotEmpty, "'{}' is a directory, and not all of it may be removed: {}",
                      display_path(path), removal_.first_left());
  }

  // With delta a file that is there is compared by one thread.
  Result<bool> may_be_kept(const repo::Entry& entry) {
    if (!options_.delta) return false;
    return exists(target_.fs(), target_.path_of(entry.path));
  }

  Result<std::optional<Task>> begin_large(repo::Entry entry) {
    std::string path = entry.path;
    large_ = TRY(files_.begin_large(std::move(entry)));
    if (!large_) return std::optional<Task>();
    large_paths_.push_back(std::move(path));
    region_ = 0;
    offset_ = 0;
    return next_region();
  }

  Result<std::optional<Task>> next_region() {
    Task task{.neighbours = {}, .large = large_, .region = region_, .offset = offset_};
    const auto& regions = large_->entry.content.regions;
    offset_ += regions[region_++].length_bytes;
    if (region_ == regions.size()) large_.reset();
    return std::optional(std::move(task));
  }

  Result<void> restore_detached() {
    for (const auto& [path, detached] : plan_.detached) {
      if (!detached.entry) continue;
      repo::Entry entry = *detached.entry;
      entry.path = detached.first_link;
      TRY(files_.restore(entry));
    }
    return target_.publish(world_.threads, faults_);
  }

  source::World& world_;
  repo::Repository& repository_;
  Target& target_;
  const RestoreOptions& options_;
  RestorePlan& plan_;
  const Choice& choice_;
  const Spared& spared_;
  OwnerNames& names_;
  Faults& faults_;
  Removal removal_;
  FileRestore files_;
  std::optional<Selection> selection_;
  std::optional<repo::Entry> ahead_;
  bool ended_ = false;
  uint64_t round_files_ = 0, round_bytes_ = 0, round_limit_ = kRoundBytes;
  std::set<std::string> made_;  // directories above what was asked for, where they were missing
  std::shared_ptr<FileRestore::Large> large_;
  std::vector<std::string> large_paths_;  // of this round
  size_t region_ = 0;
  uint64_t offset_ = 0;
};

Error damage_error(const FileRestore::Damage& damage) {
  return make_error(ErrorCode::kDamaged, "{} of the files can't be restored, as their stored content is damaged: {}{}",
                    format_count(damage.files), fmt::join(damage.examples, "; "),
                    damage.files > damage.examples.size() ? "; ..." : "")
      .with_hint(
          "everything else was restored; `check` and `explain` tell what is damaged, an older point may have the files")
      .with_data_loss();
}

std::string owners_note(uint64_t count) {
  return fmt::format(
      "{} of the files and directories were another's and are yours now, as only root can give files away: restore as "
      "root to have their owners back",
      format_count(count));
}

std::string links_note(uint64_t count) {
  return fmt::format("{} of the hard links became files of their own, as the target can't hold them as links",
                     format_count(count));
}

std::string avoided_note(uint64_t count, const std::string& repository) {
  return fmt::format("{} of the files and directories would lie in the repository at {}, and were left out",
                     format_count(count), display_path(repository));
}

}  // namespace

Result<RestoreReport> restore(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                              const RestoreOptions& options) {
  Target target(world.fs, options.to, options.delta, snapshot.root);
  const auto repository_path =
      options.repository.empty() ? std::optional<std::string>() : target.tree_path_of(options.repository);
  const Choice choice(options.only, repository_path, [&](std::string_view path) { return target.is_too_long(path); });
  const Spared spared = TRY(Spared::create(snapshot, options.excludes, repository_path));
  Faults faults;
  OwnerNames names;
  world.progress.phase = "looking at the target";
  RestorePlan plan = TRY(plan_restore(world.progress, repository, snapshot.root, choice, options, spared, target));
  world.progress.bytes_total = plan.bytes;
  world.progress.files_total = plan.files;

  RestoreReport report;
  RestoreFinish finish(repository, target, options, plan, spared, names, faults);
  if (options.dry_run) {
    TRY(finish.run(snapshot.root, choice, {}));
    report.changes = std::move(plan.changes);
    report.changes.add(finish.removed());
    report.notes = finish.notes();
    if (plan.avoided > 0) report.notes.push_back(avoided_note(plan.avoided, options.repository));
    for (const std::string& left_out : faults.take()) report.notes.push_back(left_out);
    return report;
  }

  world.progress.phase = "writing files";
  Restorer restorer(world, repository, target, options, plan, choice, spared, names, faults);
  TRY(restorer.run(snapshot.root));
  world.progress.phase = "setting directories right";
  TRY(finish.run(snapshot.root, choice, restorer.made()));
  TRY(target.sync());

  report.files = restorer.file_count;
  report.directories = restorer.directory_count;
  report.others = restorer.other_count;
  report.bytes = restorer.files().bytes();
  report.bytes_written = restorer.files().bytes_written();
  report.faults = faults.take();
  report.notes = finish.notes();
  if (finish.links_copied() > 0) report.notes.push_back(links_note(finish.links_copied()));
  if (plan.avoided > 0) report.notes.push_back(avoided_note(plan.avoided, options.repository));
  if (faults.owners_left() > 0) report.notes.push_back(owners_note(faults.owners_left()));
  const auto damage = restorer.files().damage();
  if (damage.files > 0) return damage_error(damage);
  log_info("files.restored",
           {{"files", report.files}, {"bytes", report.bytes}, {"bytes_written", report.bytes_written}});
  return report;
}

}  // namespace holdfast::files
