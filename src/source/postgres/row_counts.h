#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "source/postgres/connection.h"

namespace holdfast::postgres {

// Of each database, the smallest. Where so many are recorded, there may have been more.
constexpr size_t kMostCountedTables = 5000;

// Rows of the tables of every database, for a later comparison with what was
// restored: {"<database>": {"<schema>.<table>": {"rows": N, "exact": true, "definition": D}}}.
// Small tables are counted in one repeatable-read snapshot per database, the rest
// is the server's estimate, as it is where the account may not read all rows. Bounded
// in tables and bytes read; a database that can't be entered is left out.
nlohmann::json count_rows(const Connection& connection, ServerSession& session);

// SQL for the definition of the table that is `c` of pg_class: 32 hexadecimal digits of a
// digest of its columns, constraints, indexes and triggers.
std::string table_definition();

// Whether a transaction ended or began between two calls: what was counted in
// between stands for the second moment too only if not.
Result<std::string> transaction_horizon(ServerSession& session);

}  // namespace holdfast::postgres
