#include "store/descriptor_cache.h"

namespace holdfast::store {

std::shared_ptr<OpenObject> DescriptorCache::find(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto at = by_name_.find(name);
  if (at == by_name_.end()) return nullptr;
  items_.splice(items_.begin(), items_, at->second);
  return at->second->object;
}

void DescriptorCache::keep(std::string_view name, std::shared_ptr<OpenObject> object) {
  const std::lock_guard lock(mutex_);
  if (by_name_.contains(name)) return;
  items_.push_front({std::string(name), std::move(object)});
  by_name_.emplace(items_.front().name, items_.begin());
  if (items_.size() > kLimit) {
    by_name_.erase(items_.back().name);
    items_.pop_back();
  }
}

void DescriptorCache::drop(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const auto at = by_name_.find(name);
  if (at == by_name_.end()) return;
  const auto item = at->second;
  by_name_.erase(at);
  items_.erase(item);
}

void DescriptorCache::clear() {
  const std::lock_guard lock(mutex_);
  by_name_.clear();
  items_.clear();
}

}  // namespace holdfast::store
