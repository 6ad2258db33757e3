#include "source/files/previous.h"

#include "base/log.h"
#include "source/files/selection.h"

namespace holdfast::files {
namespace {

void log_unreadable(const char* what, const Error& error) {
  log_warn("files.previous.unreadable", {{"what", std::string(what)}, {"error", error.text()}});
}

}  // namespace

PreviousTree::PreviousTree(repo::Repository& repository, const std::optional<repo::BlockId>& root) {
  if (!root) return;
  auto reader = repo::TreeReader::open(repository, *root);
  if (!reader.ok()) {
    log_unreadable("tree", reader.error());
    return;
  }
  reader_ = std::move(reader).value();
  advance();
}

void PreviousTree::advance() {
  ahead_.reset();
  if (!reader_) return;
  auto entry = reader_->next();
  if (!entry.ok()) {
    log_unreadable("entries", entry.error());
    reader_.reset();
    return;
  }
  ahead_ = std::move(entry).value();
}

std::optional<repo::Entry> PreviousTree::find(const std::string& path) {
  while (ahead_) {
    const auto order = repo::compare_paths(ahead_->path, path);
    if (order > 0) break;
    std::optional<repo::Entry> passed = std::move(ahead_);
    advance();
    if (order == 0) return passed;
  }
  return std::nullopt;
}

std::optional<std::string> first_leaf_below(repo::Repository& repository, const repo::BlockId& root,
                                            const std::string& path) {
  auto reader = repo::TreeReader::open(repository, root);
  while (reader.ok()) {
    auto entry = reader.value()->next();
    if (!entry.ok()) log_unreadable("entries", entry.error());
    if (!entry.ok() || !entry.value()) return std::nullopt;
    const bool is_leaf = entry.value()->kind != repo::EntryKind::kDirectory;
    if (is_leaf && is_at_or_below(entry.value()->path, path)) return entry.value()->path;
  }
  log_unreadable("tree", reader.error());
  return std::nullopt;
}

std::vector<PlacedExtent> previous_extents(repo::Repository& repository, const repo::Content& content, uint64_t offset,
                                           uint64_t length) {
  std::vector<PlacedExtent> placed;
  uint64_t at = 0;
  const auto add = [&](const repo::Extent& extent) {
    if (extent.block && at + extent.length_bytes > offset && at < offset + length) placed.push_back({at, extent});
    at += extent.length_bytes;
  };
  for (const auto& extent : content.extents) add(extent);
  for (const auto& region : content.regions) {
    if (at >= offset + length) break;
    if (at + region.length_bytes <= offset) {
      at += region.length_bytes;
      continue;
    }
    const uint64_t end = at + region.length_bytes;
    auto extents = repo::read_region(repository, region);
    if (extents.ok()) {
      for (const auto& extent : extents.value()) add(extent);
    } else {
      log_unreadable("region", extents.error());
    }
    at = end;
  }
  return placed;
}

Result<bool> reuse_content(repo::WriteSession& session, const repo::Content& content,
                           std::optional<repo::BlockId>& last) {
  const auto reuse = [&](const std::vector<repo::Extent>& extents) -> Result<bool> {
    for (const auto& extent : extents) {
      if (!extent.block || extent.block == last) continue;
      if (!TRY(session.reuse(*extent.block))) return false;
      last = extent.block;
    }
    return true;
  };
  if (!TRY(reuse(content.extents))) return false;
  for (const auto& region : content.regions) {
    if (!TRY(session.reuse(region.id))) return false;
    auto extents = repo::read_region(session.repository(), region);
    if (!extents.ok()) {
      log_unreadable("region", extents.error());
      return false;
    }
    if (!TRY(reuse(extents.value()))) return false;
  }
  return true;
}

}  // namespace holdfast::files
