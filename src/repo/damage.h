#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "repo/access.h"
#include "repo/check.h"

namespace holdfast::repo {

// Collects what check finds. Thread-safe. One damaged pack can hold thousands of
// blocks: what is said of one object is bounded.
class DamageList {
 public:
  void add(const std::string& object, const std::string& problem);
  void add(const std::string& object, const Error& error) { add(object, error.message()); }
  bool contains(const std::string& object) const;
  // By object; where problems were left out, a last one says how many.
  std::vector<Damage> take();

 private:
  static constexpr size_t kMaxPerObject = 20;
  struct Problems {
    std::vector<std::string> told;
    uint64_t untold = 0;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Problems> objects_;
};

// Whether an error speaks of the stored data (and not of the way to it).
bool is_damage(const Error& error);

// The index without its damaged objects, which are told to `damaged`.
Result<std::shared_ptr<const Index>> load_index_despite_damage(RepositoryAccess& repository,
                                                               const Index::OnDamaged& damaged);

}  // namespace holdfast::repo
