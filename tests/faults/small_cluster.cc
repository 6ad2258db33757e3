#include "faults/small_cluster.h"

namespace holdfast::faults {

Result<std::unique_ptr<servers::PrivatePostgres>> make_small_cluster(const std::string& cluster,
                                                                     const std::string& space) {
  servers::PostgresOptions options;
  options.wal_segment_mib = 1;  // what --delta meets is copied for every run
  auto server = TRY(servers::PrivatePostgres::create(cluster, options));
  TRY(server->start());
  // One database is enough, and makes a run short.
  TRY(server->exec("update pg_database set datistemplate = false, datallowconn = true"));
  for (const char* name : {"template0", "template1"})
    TRY(server->exec(fmt::format("drop database {} with (force)", name)));
  TRY(server->exec("create tablespace aside location '" + space + "'"));
  TRY(server->exec("create table public.t as select g, md5(g::text) m from generate_series(1, 20000) g"));
  TRY(server->exec("create index on public.t (g)"));
  TRY(server->exec(
      "create table public.s tablespace aside as select g, md5(g::text) m from generate_series(1, 3000) g"));
  TRY(server->exec("vacuum freeze"));
  TRY(server->exec("checkpoint"));
  return server;
}

}  // namespace holdfast::faults
