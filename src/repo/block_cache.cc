#include "repo/block_cache.h"

namespace holdfast::repo {

std::shared_ptr<const Bytes> BlockCache::find(const BlockId& id) {
  const std::lock_guard lock(mutex_);
  const auto at = by_id_.find(id);
  if (at == by_id_.end()) return nullptr;
  items_.splice(items_.begin(), items_, at->second);
  return at->second->block;
}

void BlockCache::keep(const BlockId& id, std::shared_ptr<const Bytes> block) {
  const std::lock_guard lock(mutex_);
  if (block->size() > limit_bytes_ || by_id_.contains(id)) return;
  used_bytes_ += block->size();
  items_.push_front({id, std::move(block)});
  by_id_.emplace(id, items_.begin());
  shrink();
}

void BlockCache::set_limit(size_t limit_bytes) {
  const std::lock_guard lock(mutex_);
  limit_bytes_ = limit_bytes;
  shrink();
}

void BlockCache::shrink() {
  while (used_bytes_ > limit_bytes_) {
    used_bytes_ -= items_.back().block->size();
    by_id_.erase(items_.back().id);
    items_.pop_back();
  }
}

}  // namespace holdfast::repo
