#pragma once

#include <memory>

#include "base/random.h"
#include "repo/key_set.h"

namespace holdfast::fuzz {

// The same keys in every run, so that a corpus of sealed objects keeps its meaning.
inline const repo::KeySet& keys() {
  static const std::unique_ptr<repo::KeySet> set = [] {
    const auto random = seeded_random(1);
    auto made = std::make_unique<repo::KeySet>("000102030405060708090a0b0c0d0e0f", crypto::Key::generate(*random));
    made->add_epoch({1, Time{}, crypto::Key::generate(*random)}, crypto::Key::generate(*random));
    return made;
  }();
  return *set;
}

}  // namespace holdfast::fuzz
