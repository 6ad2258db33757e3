#include "source/files/selection.h"

#include "source/files/faults.h"

namespace holdfast::files {

bool is_clean_path(std::string_view path) {
  if (path.empty()) return true;  // the root
  if (path.find('\0') != std::string_view::npos) return false;
  while (true) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

std::string_view tree_parent(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

bool is_at_or_below(std::string_view path, std::string_view directory) {
  if (directory.empty() || path == directory) return true;
  return path.size() > directory.size() && path.starts_with(directory) && path[directory.size()] == '/';
}

Result<Selection> Selection::open(repo::Repository& repository, const repo::BlockId& root, const Choice& choice,
                                  OnSkipped skipped) {
  auto reader = TRY_CONTEXT(repo::TreeReader::open(repository, root), "reading the snapshot's tree");
  return Selection(std::move(reader), choice, std::move(skipped));
}

Result<std::optional<Selected>> Selection::next() {
  while (ready_.empty()) {
    auto entry = TRY_CONTEXT(reader_->next(), "reading the snapshot's tree");
    if (!entry) return std::optional<Selected>();
    TRY(check(*entry));
    take(std::move(*entry));
  }
  std::optional<Selected> selected = std::move(ready_.front());
  ready_.pop_front();
  return selected;
}

Result<void> Selection::check(const repo::Entry& entry) {
  const auto refuse = [&](const char* why) {
    return make_error(ErrorCode::kInvalidData, "the snapshot's tree has the path '{}', which {}",
                      display_path(entry.path), why)
        .with_hint("nothing of it was written; `check` tells whether the repository is damaged");
  };
  if (!is_clean_path(entry.path)) return refuse("could lead out of the target");
  if (entry.kind == repo::EntryKind::kHardLink && !is_clean_path(entry.link_target))
    return refuse("links out of the target");
  if (last_path_ && repo::compare_paths(*last_path_, entry.path) >= 0) return refuse("is out of order");
  last_path_ = entry.path;
  const std::string_view parent = tree_parent(entry.path);
  while (!directories_.empty() && !entry.path.empty() && directories_.back().path != parent) directories_.pop_back();
  if (directories_.empty() && !parent.empty()) return refuse("does not lie in a directory of it");
  return {};
}

void Selection::take(repo::Entry entry) {
  const bool above = !directories_.empty() && directories_.back().wanted;
  const bool wanted = above || choice_->everything() || choice_->names(entry.path);
  const bool is_directory = entry.kind == repo::EntryKind::kDirectory;
  if (choice_->avoids(entry.path)) {
    if (is_directory) directories_.push_back({.path = entry.path, .wanted = false, .pending = std::nullopt});
    if (skipped_) skipped_(entry);
    return;
  }
  if (wanted && choice_->is_too_long(entry.path)) {  // as all below it is
    if (is_directory) directories_.push_back({.path = entry.path, .wanted = true, .pending = std::nullopt});
    if (skipped_) skipped_(entry);
    return;
  }
  if (!wanted) {
    if (skipped_) skipped_(entry);
    if (!is_directory) return;
    Directory directory{.path = entry.path, .wanted = false, .pending = std::nullopt};
    directory.pending = std::move(entry);
    directories_.push_back(std::move(directory));
    return;
  }
  for (auto& directory : directories_) {
    if (!directory.pending) continue;
    ready_.push_back({std::move(*directory.pending), false});
    directory.pending.reset();
  }
  if (is_directory) directories_.push_back({.path = entry.path, .wanted = true, .pending = std::nullopt});
  ready_.push_back({std::move(entry), true});
}

}  // namespace holdfast::files
