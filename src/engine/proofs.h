#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::engine {

struct ProvenPoint {
  std::string id;
  Time instant;
  std::vector<std::string> components;
};

// What has to be true before something is destroyed.
class Proofs {
 public:
  virtual ~Proofs() = default;
  // Reads the newest recovery point of the components (empty: of all of the stack) whole.
  // An error when there is none, when it lacks one of them, or when any byte is wrong.
  virtual Result<ProvenPoint> prove_point(const std::vector<std::string>& components) = 0;
  // How far the standby behind a component's connection is from what its primary sent, in
  // words for a person. `component` "": the only one that there is.
  virtual Result<std::string> replication_lag(const std::string& component) = 0;
  // The name of this machine.
  virtual std::string host() const = 0;
};

}  // namespace holdfast::engine
