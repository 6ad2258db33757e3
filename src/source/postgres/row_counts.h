#pragma once

#include <nlohmann/json.hpp>

#include "source/postgres/connection.h"

namespace holdfast::postgres {

// Rows of the tables of every database, for a later comparison with what was
// restored: {"<database>": {"<schema>.<table>": {"rows": N, "exact": true}}}.
// Small tables are counted in one repeatable-read snapshot per database, the rest
// is the server's estimate. Bounded in tables and bytes read; a database that
// can't be entered is left out.
nlohmann::json count_rows(const Connection& connection, ServerSession& session);

// Whether a transaction ended or began between two calls: what was counted in
// between stands for the second moment too only if not.
Result<std::string> transaction_horizon(ServerSession& session);

}  // namespace holdfast::postgres
