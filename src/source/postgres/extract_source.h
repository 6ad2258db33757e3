#pragma once

#include <string>
#include <vector>

#include "source/postgres/connection.h"

namespace holdfast::postgres {

// A table by its names as they are, without SQL's quotes.
struct TableName {
  std::string schema, name;
  std::string text() const { return schema + "." + name; }
  auto operator<=>(const TableName&) const = default;
};
// Reads "public.orders" or "\"My Schema\".\"Orders\"" as SQL does; `schema` is meant where
// none is given. kUsage.
Result<TableName> parse_table_name(ServerSession& session, const std::string& text,
                                   const std::string& schema = "public");

// What a database or tables need of the server that they come to.
struct ExtractNeeds {
  std::vector<std::string> roles;          // that own something or hold a grant
  std::vector<std::string> owners;         // of these, those that own something
  std::vector<std::string> extensions;     // of a database
  std::vector<std::string> tablespaces;    // apart from the default one
  std::vector<std::string> subscriptions;  // of a database; they are not dumped
  std::vector<std::string> unlogged;       // tables, which no copy of a cluster has the rows of
  std::vector<std::string> references;     // of tables: columns that may name large objects, which are not theirs
  uint64_t bytes = 0;                      // on disk, with indexes
};

// The other end of an extraction: the instant, booted aside, where we are alone and may
// change what we like. All work on a session in the database that is wanted.

// kNotFound names the databases that are there.
Result<void> check_database(ServerSession& session, const std::string& database);
Result<ExtractNeeds> needs_of_database(ServerSession& session);
// kNotFound; kUnsupported for what is no plain table.
Result<ExtractNeeds> needs_of_tables(ServerSession& session, const std::vector<TableName>& tables);

// A foreign key to a table that is not restored with its own. In the live server it binds
// that table from its commit on: it is made with the last step, or not at all.
struct OutgoingKey {
  size_t table = 0;        // the number of the table that has it, among those set aside
  std::string name;        // as it is, without SQL's quotes
  std::string definition;  // "FOREIGN KEY (customer) REFERENCES public.customers(id)"
  bool validated = false;
  TableName refers_to;  // at the instant; the live server may not have it
};
// Moves each table, with its indexes, owned sequences and statistics, into a schema of
// its own: `prefix`_0, `prefix`_1, ..., and takes its outgoing foreign keys away.
Result<std::vector<OutgoingKey>> set_tables_aside(ServerSession& session, const std::vector<TableName>& tables,
                                                  const std::string& prefix);

// The grants on tables and sequences of the schemas `prefix`_0, ..., each as the statement
// that takes it back: what default privileges have added can be told, and undone.
Result<std::vector<std::string>> grants_as_revokes(ServerSession& session, const std::string& prefix);

}  // namespace holdfast::postgres
