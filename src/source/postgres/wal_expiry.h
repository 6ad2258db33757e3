#pragma once

#include <string>
#include <vector>

#include "source/postgres/wal_archive.h"
#include "source/postgres/wal_inventory.h"

namespace holdfast::postgres {

// The records that WalArchive::expire() removes.
std::vector<std::string> expirable_records(const WalInventory& known, uint64_t segment_bytes, const WalNeed& needed);

}  // namespace holdfast::postgres
