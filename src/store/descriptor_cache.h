#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/filesystem.h"

namespace holdfast::store {

// A file that stays open for reading. Objects are immutable, so its size is too.
struct OpenObject {
  std::unique_ptr<File> file;
  uint64_t size_bytes = 0;
};

// The most recently read objects' descriptors: blocks are read pack by pack, and
// opening one takes as long as reading a small block. Thread-safe.
class DescriptorCache {
 public:
  static constexpr size_t kLimit = 64;

  std::shared_ptr<OpenObject> find(std::string_view name);
  // Keeps it, and lets the one go that was not used for longest.
  void keep(std::string_view name, std::shared_ptr<OpenObject> object);
  void drop(std::string_view name);
  void clear();

 private:
  struct Item {
    std::string name;
    std::shared_ptr<OpenObject> object;
  };
  std::mutex mutex_;
  std::list<Item> items_;                                                    // most recently used first
  std::unordered_map<std::string_view, std::list<Item>::iterator> by_name_;  // keys live in items_
};

}  // namespace holdfast::store
