#pragma once

#include <memory>
#include <string>
#include <utility>

#include "base/progress.h"
#include "base/random.h"
#include "recovery/stack.h"
#include "repo/lease.h"
#include "repo/repository.h"
#include "source/source.h"
#include "store/object_store.h"

namespace holdfast::recovery {

// The outside world as the recovery room needs it. References outlive what is
// opened with them.
struct Machine {
  FileSystem& fs;
  Clock& clock;
  Random& random;
  Progress& progress;
};

// A stack with its repository open. Not thread-safe, though the repository is.
class Workspace {
 public:
  // kNoRepository, kWrongPassphrase, kNewerFormat, kUnsupported (a location that
  // this version can't reach), and what resolve_secret() says.
  static Result<std::unique_ptr<Workspace>> open(const StackConfig& stack, Machine machine);
  // The same in a store that is open.
  static Result<std::unique_ptr<Workspace>> open(const StackConfig& stack, Machine machine,
                                                 std::unique_ptr<store::ObjectStore> store);
  // Makes the repository: kAlreadyExists, kTargetNotEmpty.
  static Result<std::unique_ptr<Workspace>> create(const StackConfig& stack, Machine machine);

  // Says to collectors that this process reads, from now until the workspace goes:
  // no pack that is there now is deleted meanwhile. Call it before points are
  // listed. A location that can't be written to (a copy, a read-only mount) can't
  // be collected through it either: then it is read without a lease.
  Result<void> hold_for_reading(const std::string& purpose);

  const StackConfig& stack() const { return stack_; }
  // For one that was opened without a name.
  void name_stack(std::string name) { stack_.stack = std::move(name); }
  repo::Repository& repository() { return *repository_; }
  Machine& machine() { return machine_; }
  source::World world() { return {machine_.fs, machine_.clock, machine_.progress, stack_.effective_threads()}; }

 private:
  Workspace(const StackConfig& stack, Machine machine) : stack_(stack), machine_(machine) {}

  StackConfig stack_;
  Machine machine_;
  std::unique_ptr<store::ObjectStore> store_;
  std::unique_ptr<repo::Environment> environment_;
  std::unique_ptr<repo::Repository> repository_;  // goes before the store it reads
  std::unique_ptr<repo::Lease> lease_;            // goes before all of them
};

}  // namespace holdfast::recovery
