#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace holdfast::engine {

struct SqlStatement {
  std::string text;
  size_t line = 1;  // of its beginning
};

// Cuts a script into statements as psql does: at semicolons outside of quotes,
// dollar quotes, comments and parentheses. Comments alone make no statement.
// kUnsupported for a psql command (a line that begins with a backslash): there is
// no psql here.
Result<std::vector<SqlStatement>> split_sql(const std::string& script);

// `holdfast __sql FILE`: runs the statements one after the other through libpq and
// prints what they return; the first that fails ends it with status 3, as psql with
// ON_ERROR_STOP. The connection is $HOLDFAST_SQL_CONNECTION, the password $PGPASSWORD.
int run_sql_script(const std::string& path);

}  // namespace holdfast::engine
