#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "repo/tree.h"
#include "source/files/patterns.h"

namespace holdfast::files {

struct Selected {
  repo::Entry entry;
  bool wanted = true;  // false: a directory that is needed only to hold something wanted
};

// Streams the entries of a tree that a restore is to make, each directory before
// what it holds, and refuses a tree that can't be trusted: every path is clean
// (no "..", not absolute), in order, and lies in a directory of the tree itself,
// never in a symbolic link. So nothing that it yields leads out of the target.
// Not thread-safe.
class Selection {
 public:
  // `skipped` sees what is passed over. `choice` outlives the Selection.
  using OnSkipped = std::function<void(const repo::Entry&)>;
  static Result<Selection> open(repo::Repository& repository, const repo::BlockId& root, const Choice& choice,
                                OnSkipped skipped = nullptr);

  // kInvalidData: the tree is not one that a capture writes.
  Result<std::optional<Selected>> next();

 private:
  struct Directory {
    std::string path;
    bool wanted = false;
    std::optional<repo::Entry> pending;  // not yielded so far
  };
  Selection(std::unique_ptr<repo::TreeReader> reader, const Choice& choice, OnSkipped skipped)
      : reader_(std::move(reader)), choice_(&choice), skipped_(std::move(skipped)) {}
  Result<void> check(const repo::Entry& entry);
  void take(repo::Entry entry);

  std::unique_ptr<repo::TreeReader> reader_;
  const Choice* choice_;
  OnSkipped skipped_;
  std::vector<Directory> directories_;  // that hold the entry read last
  std::optional<std::string> last_path_;
  std::deque<Selected> ready_;
};

// Whether `path` is one that a tree may hold: relative, without empty, "." or
// ".." parts and without a zero byte.
bool is_clean_path(std::string_view path);

// The part of a tree path before its last '/'; "" at the top.
std::string_view tree_parent(std::string_view path);

// Whether a path is `directory` or inside it; "" holds everything. For paths of a tree
// as for absolute ones.
bool is_at_or_below(std::string_view path, std::string_view directory);

}  // namespace holdfast::files
