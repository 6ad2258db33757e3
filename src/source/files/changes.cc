#include "source/files/changes.h"

#include "source/files/faults.h"

namespace holdfast::files {

void Changes::add(std::string_view verb, repo::EntryKind kind, std::string_view path) {
  const std::string name = fmt::format("{} {}", verb, kind_name(kind));
  add_line(name, fmt::format("{} {}", name, display_path(path)));
}

void Changes::add(const Changes& others) {
  std::map<size_t, const std::string*> kind_of_line;
  for (const auto& [name, kind] : others.kinds_) {
    kinds_[name].count += kind.count - kind.told.size();
    for (const size_t index : kind.told) kind_of_line[index] = &name;
  }
  for (const auto& [index, name] : kind_of_line) add_line(*name, others.lines_[index]);
}

void Changes::add_line(const std::string& kind, std::string line) {
  Kind& of_kind = kinds_[kind];
  of_kind.count++;
  if (of_kind.told.size() == kToldOfEachKind) return;
  of_kind.told.push_back(lines_.size());
  lines_.push_back(std::move(line));
}

Changes::Mark Changes::mark() const {
  Mark mark{lines_.size(), {}};
  for (const auto& [name, kind] : kinds_) mark.counts[name] = kind.count;
  return mark;
}

void Changes::take_back(const Mark& mark) {
  lines_.resize(mark.lines);
  for (auto kind = kinds_.begin(); kind != kinds_.end();) {
    const auto before = mark.counts.find(kind->first);
    if (before == mark.counts.end()) {
      kind = kinds_.erase(kind);
      continue;
    }
    kind->second.count = before->second;
    std::erase_if(kind->second.told, [&](size_t index) { return index >= mark.lines; });
    ++kind;
  }
}

const char* kind_name(repo::EntryKind kind) {
  switch (kind) {
    case repo::EntryKind::kFile: return "file";
    case repo::EntryKind::kDirectory: return "directory";
    case repo::EntryKind::kSymlink: return "symbolic link";
    case repo::EntryKind::kHardLink: return "hard link";
    case repo::EntryKind::kFifo: return "FIFO";
    case repo::EntryKind::kCharDevice: return "character device";
    case repo::EntryKind::kBlockDevice: return "block device";
    case repo::EntryKind::kSocket: return "socket";
  }
  return "unknown object";
}

}  // namespace holdfast::files
