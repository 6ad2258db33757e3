#include "source/files/restore_finish.h"

#include <cerrno>

#include "source/files/candidate.h"
#include "source/files/link_copy.h"
#include "source/files/refusal.h"

namespace holdfast::files {

Result<void> RestoreFinish::run(const repo::BlockId& root, const Choice& choice, const std::set<std::string>& made) {
  const auto skipped = [&](const repo::Entry& entry) {
    if (choice.leaves_for_its_length(entry.path)) leave_out(entry.path);
  };
  auto selection = TRY(Selection::open(repository_, root, choice, skipped));
  while (auto selected = TRY(selection.next())) TRY(visit(std::move(*selected), made));
  while (!directories_.empty()) {
    TRY(leave(directories_.back()));
    directories_.pop_back();
  }
  return {};
}

// What is there of it already, made by another way, is none that the snapshot lacks.
void RestoreFinish::leave_out(const std::string& path) {
  faults_.add(path, fmt::format("not restored: its path is too long below '{}'", display_path(target_.path_of(""))));
  for (Directory& directory : directories_) {
    if (directory.entry.path == tree_parent(path)) directory.names.insert(base_name(path));
  }
}

Result<void> RestoreFinish::visit(Selected selected, const std::set<std::string>& made) {
  repo::Entry& entry = selected.entry;
  const std::string_view parent = tree_parent(entry.path);
  while (!directories_.empty() && !entry.path.empty() && directories_.back().entry.path != parent) {
    TRY(leave(directories_.back()));
    directories_.pop_back();
  }
  if (options_.remove_extra && !directories_.empty()) directories_.back().names.insert(base_name(entry.path));
  if (entry.kind == repo::EntryKind::kHardLink && !options_.dry_run) return make_link(entry);
  if (entry.kind != repo::EntryKind::kDirectory) return {};
  Directory directory;
  directory.above = !selected.wanted || entry.source_data == kParentMark;
  directory.leave = directory.above && !made.contains(entry.path);
  directory.entry = std::move(entry);
  if (options_.remove_extra && !directory.leave) directory.device = TRY(device_for(directory));
  directories_.push_back(std::move(directory));
  return {};
}

Result<void> RestoreFinish::leave(const Directory& directory) {
  if (!options_.dry_run) {
    TRY(target_.publish(1, faults_));  // copies in the place of links, before the times of what holds them
    TRY(target_.changed_in(target_.path_of(directory.entry.path)));
  }
  if (directory.leave) return {};
  if (options_.delta && options_.remove_extra) TRY(remove_extra(directory));
  if (options_.dry_run) return {};
  const std::string path = target_.path_of(directory.entry.path);
  // The target itself may have been named by a symbolic link.
  const auto place = target_.place_of(directory.entry.path.empty() ? join_path(path, ".") : path);
  if (!place.ok()) {
    faults_.add(directory.entry.path, "metadata not set", place.error());
    return {};
  }
  apply_metadata(directory.entry, {-1, place->path()}, {options_.numeric_ids, options_.delta, directory.above}, names_,
                 faults_);
  return {};
}

// The file system of the target; in place, of the topmost directory that is restored,
// as what lies above it is none of ours.
Result<std::optional<dev_t>> RestoreFinish::device_for(const Directory& directory) {
  if (!directories_.empty() && directories_.back().device) return directories_.back().device;
  auto device = removal_.device_of(target_.path_of(target_.in_place() ? directory.entry.path : ""));
  if (device.ok()) return std::optional(device.value());
  if (device.error().code() == ErrorCode::kNotFound) return std::optional<dev_t>();
  return std::move(device).error();
}

Result<void> RestoreFinish::remove_extra(const Directory& directory) {
  const std::string path = target_.path_of(directory.entry.path);
  const auto present = target_.fs().list(path);
  // In a dry run it may not exist yet, else it may be a fault that was told.
  if (!present.ok() && (options_.dry_run || present.error().code() == ErrorCode::kNotFound)) return {};
  if (!present.ok()) return present.error().clone();
  const bool elsewhere = !directory.device || TRY(removal_.device_of(path)) != *directory.device;
  for (const auto& [name, type] : present.value()) {
    if (directory.names.contains(name)) continue;
    const std::string extra = directory.entry.path.empty() ? name : join_path(directory.entry.path, name);
    if (elsewhere)
      removal_.leave(extra, Removal::kElsewhere);
    else
      TRY(remove(extra, *directory.device));
  }
  return {};
}

Result<void> RestoreFinish::remove(const std::string& extra, dev_t device) {
  const auto removed = removal_.remove(extra, device);
  if (removed.ok()) return {};
  auto error = of_entry(removed.error().clone());
  if (error.code() != ErrorCode::kRefused) return error;
  faults_.add(extra, "not removed", error);
  return {};
}

Result<void> RestoreFinish::make_link(const repo::Entry& entry) {
  std::string first = entry.link_target;
  if (const auto detached = plan_.detached.find(first); detached != plan_.detached.end()) {
    if (detached->second.first_link == entry.path) return {};  // it is the file by now
    first = detached->second.first_link;
  }
  if (target_.was_discarded(first)) {
    faults_.add(entry.path, fmt::format("not restored: it is a hard link to {}, which was not", display_path(first)));
    return {};
  }
  auto outcome = of_entry(link(target_.path_of(first), entry));
  if (outcome.ok() || outcome.error().code() != ErrorCode::kRefused) return outcome;
  const auto said = [&](int reason) { return outcome.error().says(reason); };
  if (said(EXDEV) || said(EMLINK) || said(EOPNOTSUPP) || said(EPERM)) {
    auto copied = of_entry(copy_for_link(target_, first, entry.path, names_, faults_));
    if (copied.ok()) links_copied_++;
    if (copied.ok() || copied.error().code() != ErrorCode::kRefused) return copied;
  }
  faults_.add(entry.path, fmt::format("hard link to {} not made", display_path(first)), outcome.error());
  return {};
}

Result<void> RestoreFinish::link(const std::string& from, const repo::Entry& entry) {
  const std::string to = target_.path_of(entry.path);
  auto linked = target_.fs().hard_link(from, to);
  if (linked.ok() || linked.error().code() != ErrorCode::kAlreadyExists || !target_.replaces()) return linked;
  const auto wanted = target_.fs().stat(from), present = target_.fs().stat(to);
  const bool same = wanted.ok() && present.ok() && wanted.value().st_ino == present.value().st_ino &&
                    wanted.value().st_dev == present.value().st_dev;
  if (same) return {};
  TRY(target_.clear_temporary(entry.path));
  const std::string temporary = target_.temporary_of(entry.path);
  TRY(target_.fs().hard_link(from, temporary));
  auto renamed = target_.fs().rename(temporary, to);
  if (!renamed.ok()) target_.discard(entry.path);
  return renamed;
}

}  // namespace holdfast::files
