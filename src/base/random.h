#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"

namespace holdfast {

// The source of randomness. Injected, so that tests repeat. Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(MutableByteView out) = 0;
  uint64_t u64();
  // Uniform in [0, bound); bound > 0.
  uint64_t below(uint64_t bound);
};

// getrandom(2). Lives for ever.
Random& system_random();
// Repeatable; for tests only, never for keys.
std::unique_ptr<Random> seeded_random(uint64_t seed);

}  // namespace holdfast
