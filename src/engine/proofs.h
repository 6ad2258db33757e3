#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "engine/plan.h"

namespace holdfast::engine {

struct ProvenPoint {
  std::string id;
  Time instant;
  std::vector<std::string> components;
  std::string repository;  // the id of that which holds it
};

// What has to be true before something is destroyed.
class Proofs {
 public:
  virtual ~Proofs() = default;
  // Proves that the instant can be reached, and reads its recovery point of the components
  // whole. An error when there is none, when it lacks one of them, or when any byte is wrong. That may take hours:
  // `go_on` is called several times a second, on this thread, and ends it with kInterrupted by returning false.
  virtual Result<ProvenPoint> prove_point(const WantedPoint& wanted, const std::function<bool()>& go_on) = 0;
  // The id of the repository that points are proven of now. Opens it the first time.
  virtual Result<std::string> repository() = 0;
  // How far the standby behind a component's connection is from what its primary sent, in
  // words for a person. `component` "": the only one that there is.
  virtual Result<std::string> replication_lag(const std::string& component) = 0;
  // The name of this machine.
  virtual std::string host() const = 0;
};

}  // namespace holdfast::engine
