#include "source/postgres/kept_wal.h"

#include <algorithm>

namespace holdfast::postgres {

bool is_kept_by_server(Lsn end, const std::vector<WalRange>& stored, const std::optional<Lsn>& slot_restart) {
  const bool is_hole =
      std::none_of(stored.begin(), stored.end(), [&](const WalRange& r) { return r.from <= end && end < r.to; });
  return is_hole && slot_restart && *slot_restart <= end;
}

}  // namespace holdfast::postgres
