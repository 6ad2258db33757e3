#pragma once

#include <memory>

#include "base/log.h"
#include "repo/repository.h"
#include "store/memory_store.h"

namespace holdfast::fuzz {

// One repository in memory for a whole run; what an input adds it removes.
struct FuzzRepository {
  std::unique_ptr<store::ObjectStore> store = store::make_memory_store(system_clock());
  std::unique_ptr<repo::Repository> repository;

  FuzzRepository() {
    set_log_level(LogLevel::kOff);  // damage is warned of each time
    repository =
        repo::init_repository({*store, system_clock(), system_random()}, Secret::from_text("correct horse"), {8192, 1})
            .value();
  }
  static FuzzRepository& get() {
    static FuzzRepository one;
    return one;
  }
};

}  // namespace holdfast::fuzz
