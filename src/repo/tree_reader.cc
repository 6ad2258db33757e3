#include <vector>

#include "repo/repository.h"
#include "repo/tree.h"
#include "repo/tree_codec.h"

namespace holdfast::repo {
namespace {

class Reader : public TreeReader {
 public:
  Reader(Repository& repository, BlockId root) : repository_(repository), root_(root) {}

  Result<void> open() {
    TreePage page = TRY(read_page(root_));
    path_.push_back({std::move(page), 0});
    return {};
  }

  Result<std::optional<Entry>> next() override {
    while (position_ == entries_.size()) {
      if (!TRY(next_chunk())) return std::optional<Entry>();
    }
    return std::optional<Entry>(std::move(entries_[position_++]));
  }

 private:
  struct Step {
    TreePage page;
    size_t next = 0;
  };

  Result<TreePage> read_page(const BlockId& id) {
    const auto bytes = TRY_CONTEXT(repository_.read_block(id), "tree page {}", id.hex());
    return TRY_CONTEXT(decode_page(*bytes), "tree page {}", id.hex());
  }

  // Goes to the next chunk: up where a page is done, down to the chunks.
  Result<bool> next_chunk() {
    while (!path_.empty()) {
      Step& step = path_.back();
      if (step.next == step.page.refs.size()) {
        path_.pop_back();
        continue;
      }
      const TreeRef ref = step.page.refs[step.next++];
      if (step.page.level == 0) {
        TRY(load_chunk(ref));
        return true;
      }
      TreePage below = TRY(read_page(ref.id));
      if (below.level + 1 != step.page.level || below.refs.empty() || below.refs.front().first_path != ref.first_path) {
        return make_error(ErrorCode::kInvalidData, "tree page {} is not the one that its parent lists", ref.id.hex());
      }
      path_.push_back({std::move(below), 0});
    }
    return false;
  }

  Result<void> load_chunk(const TreeRef& ref) {
    const auto bytes = TRY_CONTEXT(repository_.read_block(ref.id), "tree chunk {}", ref.id.hex());
    std::vector<Entry> entries = TRY_CONTEXT(decode_chunk(*bytes), "tree chunk {}", ref.id.hex());
    const bool in_order = !any_ || compare_paths(last_path_, entries.front().path) < 0;
    if (entries.size() != ref.entries || entries.front().path != ref.first_path || !in_order) {
      return make_error(ErrorCode::kInvalidData, "tree chunk {} is not the one that its page lists", ref.id.hex());
    }
    any_ = true;
    last_path_ = entries.back().path;
    entries_ = std::move(entries);
    position_ = 0;
    return {};
  }

  Repository& repository_;
  const BlockId root_;
  std::vector<Step> path_;  // from the root to the page in hand
  std::vector<Entry> entries_;
  size_t position_ = 0;
  std::string last_path_;
  bool any_ = false;
};

}  // namespace

Result<std::unique_ptr<TreeReader>> TreeReader::open(Repository& repository, const BlockId& root) {
  auto reader = std::make_unique<Reader>(repository, root);
  TRY(reader->open());
  return std::unique_ptr<TreeReader>(std::move(reader));
}

}  // namespace holdfast::repo
