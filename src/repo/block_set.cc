#include "repo/block_set.h"

#include <utility>

namespace holdfast::repo {

namespace {
constexpr BlockId kFree{};
constexpr size_t kFirstSlots = 1024;
}  // namespace

bool BlockSet::insert(const BlockId& id) {
  if (id == kFree) {
    size_ += !has_zero_;
    return !std::exchange(has_zero_, true);
  }
  if ((size_ + 1) * 4 > slots_.size() * 3) grow();
  BlockId& slot = slots_[slot_of(id)];
  if (slot == id) return false;
  slot = id;
  size_++;
  return true;
}

bool BlockSet::contains(const BlockId& id) const {
  if (id == kFree) return has_zero_;
  return !slots_.empty() && slots_[slot_of(id)] == id;
}

size_t BlockSet::slot_of(const BlockId& id) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = std::hash<BlockId>()(id) & mask;
  while (slots_[slot] != kFree && slots_[slot] != id) slot = (slot + 1) & mask;
  return slot;
}

void BlockSet::grow() {
  std::vector<BlockId> old =
      std::exchange(slots_, std::vector<BlockId>(slots_.empty() ? kFirstSlots : slots_.size() * 2));
  for (const BlockId& id : old) {
    if (id != kFree) slots_[slot_of(id)] = id;
  }
}

}  // namespace holdfast::repo
