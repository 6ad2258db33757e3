#include "repo/tree_lookup.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "repo/repository.h"
#include "repo/tree_codec.h"

namespace holdfast::repo {
namespace {

class Lookup : public TreeLookup {
 public:
  Lookup(Repository& repository, BlockId root) : repository_(repository), root_(root) {}

  Result<void> open() {
    auto root = read_page(root_);
    if (!root.ok()) return std::move(root).error();
    return {};
  }

  Result<const Entry*> at_or_after(std::string_view path) override {
    if (!covers(path)) TRY(descend(path));
    const Entry* found = search(path);
    if (found != nullptr || !next_first_path_) return found;
    // All of the chunk comes before `path`: the answer begins the next one.
    const std::string next = *next_first_path_;
    TRY(descend(next));
    return search(next);
  }

 private:
  bool covers(std::string_view path) const {
    return !entries_.empty() && compare_paths(entries_.front().path, path) <= 0 &&
           compare_paths(path, entries_.back().path) <= 0;
  }

  const Entry* search(std::string_view path) const {
    const auto found = std::lower_bound(
        entries_.begin(), entries_.end(), path,
        [](const Entry& entry, std::string_view wanted) { return compare_paths(entry.path, wanted) < 0; });
    return found == entries_.end() ? nullptr : &*found;
  }

  Result<TreePage> read_page(const BlockId& id) {
    const auto bytes = TRY_CONTEXT(repository_.read_block(id), "tree page {}", id.hex());
    return TRY_CONTEXT(decode_page(bytes->view()), "tree page {}", id.hex());
  }

  // Loads the chunk that holds `path` if the tree has it, and remembers with
  // which path the chunk after it begins.
  Result<void> descend(std::string_view path) {
    entries_.clear();
    next_first_path_.reset();
    BlockId id = root_;
    std::optional<uint8_t> level;
    while (true) {
      const TreePage page = TRY(read_page(id));
      if (level && page.level + 1 != *level)
        return make_error(ErrorCode::kInvalidData, "tree page {} is not of its parent's level", id.hex());
      if (page.refs.empty()) return {};
      const auto after = std::upper_bound(
          page.refs.begin(), page.refs.end(), path,
          [](std::string_view wanted, const TreeRef& ref) { return compare_paths(wanted, ref.first_path) < 0; });
      if (after != page.refs.end()) next_first_path_ = after->first_path;
      const TreeRef& ref = after == page.refs.begin() ? page.refs.front() : *std::prev(after);
      if (page.level == 0) return load(ref);
      level = page.level;
      id = ref.id;
    }
  }

  Result<void> load(const TreeRef& ref) {
    const auto bytes = TRY_CONTEXT(repository_.read_block(ref.id), "tree chunk {}", ref.id.hex());
    entries_ = TRY_CONTEXT(decode_chunk(bytes->view()), "tree chunk {}", ref.id.hex());
    if (entries_.size() != ref.entries || entries_.front().path != ref.first_path) {
      entries_.clear();
      return make_error(ErrorCode::kInvalidData, "tree chunk {} is not the one that its page lists", ref.id.hex());
    }
    return {};
  }

  Repository& repository_;
  const BlockId root_;
  std::vector<Entry> entries_;                  // of the chunk in hand
  std::optional<std::string> next_first_path_;  // of the chunk after it
};

}  // namespace

Result<std::unique_ptr<TreeLookup>> TreeLookup::open(Repository& repository, const BlockId& root) {
  auto lookup = std::make_unique<Lookup>(repository, root);
  TRY(lookup->open());
  return std::unique_ptr<TreeLookup>(std::move(lookup));
}

}  // namespace holdfast::repo
