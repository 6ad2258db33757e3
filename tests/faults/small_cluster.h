#pragma once

#include <memory>
#include <string>

#include "servers/private_postgres.h"

namespace holdfast::faults {

// A running PostgreSQL 15 of one database, whose tables public.t and public.s lie in the cluster
// and in a tablespace below the directory `space`, which exists: small, for many runs.
Result<std::unique_ptr<servers::PrivatePostgres>> make_small_cluster(const std::string& cluster,
                                                                     const std::string& space);

// Says what its tables hold.
inline constexpr const char* kRowsOfSmallCluster =
    "select (select count(*) || ':' || sum(hashtext(t::text)::bigint) from public.t) || '/' ||"
    "       (select count(*) || ':' || sum(hashtext(s::text)::bigint) from public.s)";

}  // namespace holdfast::faults
