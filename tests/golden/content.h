#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "repo/repository.h"
#include "repo/tree.h"

// What the golden repositories hold. It never changes: a repository that an older
// holdfast wrote must give exactly this.
namespace holdfast::golden {

inline constexpr std::string_view kFirstPassphrase = "golden one";
inline constexpr std::string_view kSecondPassphrase = "golden two";
inline constexpr int64_t kTimeSeconds = 1'750'000'000;
inline constexpr std::string_view kHoldReason = "audit \xc3\xbc";

// `size` bytes that depend on `seed` and compress somewhat.
inline Bytes content(uint32_t seed, size_t size) {
  Bytes bytes(size);
  uint32_t state = seed * 2654435761u + 1;
  for (size_t i = 0; i < size; i++) {
    if (i % 3 == 0) state = state * 1664525u + 1013904223u;
    bytes[i] = static_cast<uint8_t>(i % 3 ? 'a' + i % 11 : state >> 24);
  }
  return bytes;
}

struct File {
  std::string path;
  uint32_t seed = 0;
  size_t size = 0;
  size_t hole_bytes = 0;  // of zeros, after the content
};

// In tree order.
inline std::vector<File> files(int round) {
  return {{"data/empty", 1, 0},
          {"data/large", 2, 200'000, 65'536},
          {"data/small", 3, 100},
          {"log\xff.bin", 4u + static_cast<uint32_t>(round), 30'000}};
}

}  // namespace holdfast::golden
