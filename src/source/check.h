#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "source/source.h"

namespace holdfast::source {

// One thing that was looked at in what was restored, and what came of it.
struct Check {
  static constexpr size_t kMostFindings = 50;  // kept; the others are counted
  enum class Outcome { kPassed, kFailed, kSkipped };

  explicit Check(std::string what) : name(std::move(what)) {}
  static Check skipped(std::string what, std::string why) {
    Check check(std::move(what));
    check.outcome = Outcome::kSkipped;
    check.words = std::move(why);
    return check;
  }

  std::string name;  // "relation files"
  Outcome outcome = Outcome::kPassed;
  std::string words;     // what was looked at, or why it was not
  uint64_t objects = 0;  // that were looked at, where they are counted
  std::vector<VerifyFinding> findings;
  uint64_t findings_total = 0;

  void add(std::string object, std::string problem) {
    outcome = Outcome::kFailed;
    findings_total++;
    if (findings.size() < kMostFindings) findings.push_back({std::move(object), std::move(problem)});
  }
};

}  // namespace holdfast::source
