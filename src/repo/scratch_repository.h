#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "repo/access.h"
#include "repo/repository.h"
#include "store/memory_store.h"

namespace holdfast::repo {

// A whole repository in memory for tests: real formats, repeatable randomness, the
// cheapest key derivation. Objects can be changed behind its back.
struct ScratchRepository {
  explicit ScratchRepository(uint64_t seed = 1, Clock& clock = system_clock())
      : store(store::make_memory_store(clock)), random(seeded_random(seed)), environment{*store, clock, *random} {}

  static Secret passphrase() { return Secret::from_text("correct horse"); }
  std::unique_ptr<Repository> init() { return init_repository(environment, passphrase(), {8192, 1}).value(); }
  Result<std::unique_ptr<Repository>> open() { return open_repository(environment, passphrase()); }

  std::vector<std::string> names(std::string_view prefix = "") {
    std::vector<std::string> found;
    ignore(store->list(prefix,
                       [&](const store::ObjectInfo& info) -> Result<void> {
                         found.push_back(info.name);
                         return {};
                       }),
           "memory does not fail");
    return found;
  }
  Bytes get(const std::string& name) { return store->read_all(name).value(); }
  void replace(const std::string& name, ByteView content) {
    CHECK(store->remove(name).ok() && store->create(name, content).ok());
  }
  void flip(const std::string& name, size_t at, uint8_t mask = 1) {
    Bytes bytes = get(name);
    bytes[at] ^= mask;
    replace(name, bytes.view());
  }
  void truncate(const std::string& name, size_t size) {
    const Bytes bytes = get(name);
    replace(name, bytes.view(0, size));
  }

  // Bytes that compress about as well as a database's pages.
  static Bytes text(Random& random, size_t size) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; i++) bytes[i] = static_cast<uint8_t>(i % 7 ? 'a' + i % 5 : random.below(64));
    return bytes;
  }
  static Point point(std::string stack = "demo") {
    Point made;
    made.time = Time::from_unix_seconds(1'700'000'000);
    made.stack = std::move(stack);
    made.host = "host";
    made.version = "test";
    return made;
  }

  std::unique_ptr<store::ObjectStore> store;
  std::unique_ptr<Random> random;
  Environment environment;
};

}  // namespace holdfast::repo
