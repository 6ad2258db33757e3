#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "source/postgres/connection.h"
#include "source/source.h"

namespace holdfast::postgres {

// Runs the extension amcheck over all tables and B-tree indexes of the session's database,
// the server's own among them. Where the database does not have the extension it is made in
// a transaction that is rolled back, one for each table.
class Amcheck {
 public:
  Amcheck(ServerSession& session, const std::atomic<bool>& stop) : session_(session), stop_(stop) {}
  // Why it can't be run; empty when it can.
  Result<std::optional<std::string>> prepare();
  // Adds what is wrong to `findings`, what could not be looked at to `notes`. Returns how
  // many relations were checked. kInterrupted.
  Result<uint64_t> run(std::vector<source::VerifyFinding>& findings, std::vector<std::string>& notes);

 private:
  Result<void> begin();
  Result<Rows> ask(const std::string& sql, const std::string& relation);
  Result<bool> is_there(const std::string& relation);

  ServerSession& session_;
  const std::atomic<bool>& stop_;
  std::string schema_;  // where its functions are, quoted
  bool make_ = false;
};

}  // namespace holdfast::postgres
