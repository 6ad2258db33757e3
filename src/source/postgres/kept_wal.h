#pragma once

#include <optional>
#include <vector>

#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// Whether the log that ends at `end`, though more is stored behind, can go on there: nothing is
// stored of what is missing, and the slot makes the server keep it (from `slot_restart` on).
bool is_kept_by_server(Lsn end, const std::vector<WalRange>& stored, const std::optional<Lsn>& slot_restart);

}  // namespace holdfast::postgres
