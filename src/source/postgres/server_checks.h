#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "source/check.h"
#include "source/postgres/connection.h"
#include "source/postgres/verify.h"

namespace holdfast::postgres {

struct SnapshotSource;

// Asks a server that was restored aside whether all is right in it. What is wrong is in
// the checks; an error means that it could not be asked. Not thread-safe.
class ServerChecks {
 public:
  // `left`: time until the deadline; `stop`: when it becomes true, checks end with
  // kInterrupted. What is referred to must outlive the object.
  ServerChecks(const Connection& connection, std::function<Duration()> left, const std::atomic<bool>& stop)
      : connection_(connection), left_(std::move(left)), stop_(stop) {}

  // Tables, against what was counted at capture. Only for a cluster that is as it
  // was then: in any other, rows may rightly have come and gone. Skipped, with the reason,
  // where no count is exact.
  source::Check row_counts(const SnapshotSource& source);
  // Every relation that should have a file on disk has it.
  Result<source::Check> relation_files();
  // No index is marked invalid or not ready.
  Result<source::Check> indexes();
  // Foreign keys and CHECK constraints, proven anew. NOT VALID ones are left alone by
  // their owner's wish.
  Result<source::Check> constraints();
  Result<source::Check> assertions(const std::vector<Assertion>& assertions);

 private:
  using Visit = std::function<Result<void>(ServerSession& session, const std::string& database)>;
  // Every database that takes connections; one that can't be entered is a finding.
  Result<void> in_each_database(source::Check& check, const Visit& visit);
  Result<void> prove_constraints(ServerSession& session, const std::string& database, source::Check& check);
  Result<void> run_assertion(const Assertion& assertion, source::Check& check);

  Result<std::unique_ptr<ServerSession>> connect(const std::string& database) const;

  const Connection& connection_;
  std::function<Duration()> left_;
  const std::atomic<bool>& stop_;
};

// pg_amcheck of everything, indexes against their tables too. 14 and later.
std::vector<std::string> amcheck_command(size_t jobs);
constexpr int kFirstMajorWithAmcheck = 14;

}  // namespace holdfast::postgres
