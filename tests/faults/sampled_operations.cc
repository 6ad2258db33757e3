#include "faults/sampled_operations.h"

#include <cstdlib>

namespace holdfast::faults {
namespace {

constexpr uint64_t kBeyondTheEnd = 2;

// "write cluster/base" of "7 write cluster/base/1/1249": what an operation does, and in which part
// of the disk. Of a rename only where it leads counts.
std::string region_of(const std::string& operation, size_t folders) {
  const size_t kind = operation.find(' ') + 1;
  const size_t from = operation.find(' ', kind);
  const size_t to = operation.find(" to ");
  std::string path = to != std::string::npos     ? operation.substr(to + 4)
                     : from == std::string::npos ? ""
                                                 : operation.substr(from + 1);
  size_t end = path.find('/');
  for (size_t deep = 1; deep < folders && end != std::string::npos; deep++) end = path.find('/', end + 1);
  return operation.substr(kind, from - kind) + " " + path.substr(0, end);
}

}  // namespace

std::set<uint64_t> sampled_operations(const std::vector<std::string>& trace, const Sample& sample, Random& random) {
  const uint64_t end = trace.size() + kBeyondTheEnd;
  const bool all = std::getenv("HOLDFAST_ALL_POINTS") != nullptr;
  std::set<uint64_t> points;
  std::set<std::string> seen;
  for (uint64_t at = 1; at <= end; at++) {
    const bool edge = at <= sample.edge || at + sample.edge > trace.size();
    const bool first = at <= trace.size() && seen.insert(region_of(trace[at - 1], sample.folders)).second;
    if (all || edge || first) points.insert(at);
  }
  for (uint64_t i = 0; i < sample.by_chance; i++) points.insert(1 + random.below(end));
  return points;
}

}  // namespace holdfast::faults
