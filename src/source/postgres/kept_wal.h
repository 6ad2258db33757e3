#pragma once

#include <optional>
#include <vector>

#include "source/postgres/lsn.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// Whether the log of a timeline that ends at `end`, though more is stored behind, can go on there: nothing
// is stored of what is missing, and the slot makes the server keep it (from `slot_restart` on).
bool is_kept_by_server(uint32_t timeline, Lsn end, const std::vector<WalRange>& stored,
                       const std::optional<Lsn>& slot_restart);

// Where the log goes on behind the last hole that expiry has left: one that begins where the WAL of a
// kept snapshot's own (`bases`) ends, and ends before the newest of them begins. Nobody is to fill it.
// Lsn{} when there is none. `stored`: by timeline and position.
Lsn expired_until(const std::vector<WalRange>& stored, const std::vector<WalSpan>& bases, uint64_t segment_bytes);

}  // namespace holdfast::postgres
