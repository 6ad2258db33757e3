#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "source/postgres/connection.h"
#include "source/postgres/lsn.h"

namespace holdfast::postgres {

// Of each database, the smallest. Where so many are recorded, there may have been more.
constexpr size_t kMostCountedTables = 5000;

// Rows of the tables of every database, for a later comparison with what was
// restored: {"<database>": {"<schema>.<table>": {"rows": N, "exact": true, "definition": D}}}.
// Small tables are counted in one repeatable-read snapshot per database, the rest
// is the server's estimate, as it is where the account may not read all rows
// ("readable": false). Bounded in tables and bytes read; a database that can't be entered
// is left out.
nlohmann::json count_rows(const Connection& connection, ServerSession& session);

// Why no count of these is exact; "" when one is.
std::string why_none_is_exact(const nlohmann::json& counts);

// SQL for the definition of the table that is `c` of pg_class: 32 hexadecimal digits of a
// digest of its columns, constraints, indexes and triggers.
std::string table_definition();

// Watches whether transactions end. What is counted between two looks stands for a place
// in the log between the same looks only if none did. Not thread-safe.
class Stillness {
 public:
  Result<void> look(ServerSession& session);
  // Looks for the last time: why not exactly the transactions whose end lies before `stop`,
  // the end of a backup that is over, have been seen as ended, from a look before `stop`
  // to this one; "" when they have.
  Result<std::string> why_not_beyond(ServerSession& session, Lsn stop);

 private:
  std::string horizon_;
  Lsn since_;  // at or before the log's end when `horizon_` was seen first
  bool in_recovery_ = false;
};

}  // namespace holdfast::postgres
