#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

namespace holdfast {

namespace {

class SystemRandom final : public Random {
 public:
  void fill(MutableByteView out) override {
    while (!out.empty()) {
      const ssize_t got = getrandom(out.data(), out.size(), 0);
      if (got < 0 && errno == EINTR) continue;
      CHECK_MSG(got > 0, "the kernel gives no randomness");
      out = out.subspan(static_cast<size_t>(got));
    }
  }
};

// SplitMix64: small, and good enough for tests.
class SeededRandom final : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}

  void fill(MutableByteView out) override {
    std::lock_guard lock(mutex_);
    while (!out.empty()) {
      const uint64_t word = next();
      const size_t size = std::min(out.size(), sizeof word);
      std::memcpy(out.data(), &word, size);
      out = out.subspan(size);
    }
  }

 private:
  uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ULL;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

  std::mutex mutex_;
  uint64_t state_;
};

}  // namespace

uint64_t Random::u64() {
  uint64_t value = 0;
  fill({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

uint64_t Random::below(uint64_t bound) {
  CHECK(bound > 0);
  // Values below 2^64 mod bound would make the small outcomes more likely.
  const uint64_t unfair = -bound % bound;
  while (true) {
    const uint64_t value = u64();
    if (value >= unfair) return value % bound;
  }
}

Random& system_random() {
  static SystemRandom* const random = new SystemRandom;  // lives for ever: threads may outlast main's statics
  return *random;
}

std::unique_ptr<Random> seeded_random(uint64_t seed) { return std::make_unique<SeededRandom>(seed); }

}  // namespace holdfast
