#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"

namespace holdfast::faults {

struct Sample {
  uint64_t edge = 0;       // operations of the beginning and of the end: all of them
  uint64_t by_chance = 0;  // of those in between
  size_t folders = 2;      // that make a part of the disk
};

// The operations of a trace to break, where all would take too long: the beginning and the end, the
// first of each kind in each part of the disk ("write cluster/base", as many folders deep), and
// others by chance. A run does not always do the same number: some lie beyond the end.
// HOLDFAST_ALL_POINTS=1 takes all.
std::set<uint64_t> sampled_operations(const std::vector<std::string>& trace, const Sample& sample, Random& random);

}  // namespace holdfast::faults
