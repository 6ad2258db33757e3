#include "repo/tree_walk.h"

#include "base/parallel.h"
#include "repo/repository.h"
#include "repo/tree_codec.h"

namespace holdfast::repo {
namespace {

class Walk {
 public:
  Walk(Repository& repository, size_t threads, WalkSink& sink)
      : repository_(repository), threads_(threads), sink_(sink) {}

  Result<void> page(const BlockId& id) {
    if (!TRY(sink_.enter(BlockKind::kTreeRoot, id))) return {};
    const auto page = read<TreePage>(id, decode_page);
    if (!page.ok()) return sink_.unreadable(BlockKind::kTreeRoot, id, page.error());
    if (page->level == 0) {
      return parallel_for(page->refs.size(), threads_, [&](size_t i) { return chunk(page->refs[i].id); });
    }
    for (const TreeRef& ref : page->refs) TRY(this->page(ref.id));
    return {};
  }

 private:
  template <typename T>
  Result<T> read(const BlockId& id, Result<T> (*decode)(ByteView)) {
    const auto bytes = TRY(repository_.read_block(id));
    return decode(*bytes);
  }

  Result<void> chunk(const BlockId& id) {
    if (!TRY(sink_.enter(BlockKind::kTreeChunk, id))) return {};
    const auto entries = read<std::vector<Entry>>(id, decode_chunk);
    if (!entries.ok()) return sink_.unreadable(BlockKind::kTreeChunk, id, entries.error());
    for (const Entry& entry : *entries) {
      TRY(extents(entry.content.extents));
      for (const RegionRef& each : entry.content.regions) TRY(region(each));
    }
    return {};
  }

  Result<void> region(const RegionRef& region) {
    if (!TRY(sink_.enter(BlockKind::kRegion, region.id))) return {};
    const auto list = read_region(repository_, region);
    if (!list.ok()) return sink_.unreadable(BlockKind::kRegion, region.id, list.error());
    return extents(*list);
  }

  Result<void> extents(const std::vector<Extent>& extents) {
    for (const Extent& extent : extents) {
      if (extent.block) TRY(sink_.enter(BlockKind::kData, *extent.block));
    }
    return {};
  }

  Repository& repository_;
  const size_t threads_;
  WalkSink& sink_;
};

}  // namespace

Result<void> walk_tree(Repository& repository, const BlockId& root, size_t threads, WalkSink& sink) {
  return Walk(repository, threads, sink).page(root);
}

BlockMarks::BlockMarks(std::shared_ptr<const Index> index)
    : index_(std::move(index)), words_((index_->entries().size() + 63) / 64) {}

BlockMarks::Outcome BlockMarks::mark(const BlockId& id) {
  const auto places = index_->find(id);
  if (places.empty()) return Outcome::kUnknown;
  const auto at = static_cast<size_t>(places.data() - index_->entries().data());
  const uint64_t bit = 1ull << (at % 64);
  return words_[at / 64].fetch_or(bit, std::memory_order_relaxed) & bit ? Outcome::kAgain : Outcome::kFirst;
}

bool BlockMarks::marked(size_t first_entry) const {
  return words_[first_entry / 64].load(std::memory_order_relaxed) >> (first_entry % 64) & 1;
}

}  // namespace holdfast::repo
