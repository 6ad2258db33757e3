#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "base/bytes.h"
#include "repo/ids.h"

namespace holdfast::repo {

// Decoded blocks, most recently used first, within a bound of bytes. Thread-safe.
class BlockCache {
 public:
  explicit BlockCache(size_t limit_bytes) : limit_bytes_(limit_bytes) {}
  std::shared_ptr<const Bytes> find(const BlockId& id);
  void keep(const BlockId& id, std::shared_ptr<const Bytes> block);
  void set_limit(size_t limit_bytes);

 private:
  struct Item {
    BlockId id;
    std::shared_ptr<const Bytes> block;
  };
  void shrink();  // with mutex_ held

  std::mutex mutex_;
  size_t limit_bytes_;
  size_t used_bytes_ = 0;
  std::list<Item> items_;
  std::unordered_map<BlockId, std::list<Item>::iterator> by_id_;
};

}  // namespace holdfast::repo
