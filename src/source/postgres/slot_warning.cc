#include "source/postgres/slot_warning.h"

#include <algorithm>

#include "base/filesystem.h"
#include "base/units.h"
#include "source/postgres/control_file.h"

namespace holdfast::postgres {

namespace {

// Never less than is kept already: the server would remove that at once. Half of what is
// free beyond it leaves the other half to everything else on that disk.
std::string advised_limit(std::optional<uint64_t> free_bytes, uint64_t kept_bytes) {
  const uint64_t limit = free_bytes ? kept_bytes + *free_bytes / 2 : std::max(20 * kGiB, 2 * kept_bytes);
  const uint64_t whole = limit / kGiB * kGiB;
  if (whole >= 10 * kGiB && whole > kept_bytes) return fmt::format("{}GB", whole / kGiB);
  return fmt::format("{}MB", limit / kMiB + 1);
}

std::string advice_to_limit(std::optional<uint64_t> free_bytes, uint64_t kept_bytes) {
  return fmt::format(
      "limit it to what the disk of pg_wal can spare, such as: alter system set max_slot_wal_keep_size = '{}'; "
      "select pg_reload_conf()",
      advised_limit(free_bytes, kept_bytes));
}

}  // namespace

std::optional<uint64_t> free_for_wal(const ServerState& state) {
  if (state.data_directory.empty()) return std::nullopt;
  FileSystem& fs = real_file_system();
  const auto control = read_control_file(fs, system_clock(), state.data_directory, Duration{});
  if (!control.ok() || control.value().fields.system_id != state.system_id) return std::nullopt;
  const auto free = fs.free_bytes(join_path(state.data_directory, "pg_wal"));
  return free.ok() ? std::optional(*free) : std::nullopt;
}

std::optional<SlotWarning> slot_warning(const std::string& slot, const ServerState& state,
                                        std::optional<uint64_t> free_bytes) {
  const std::string kept = format_bytes(state.slot_kept_bytes);
  if (state.slot_status == "lost") {
    return SlotWarning{fmt::format("the server has removed WAL that the slot {} was to keep", slot),
                       "take a backup: it gives recovery a new beginning; then raise max_slot_wal_keep_size"};
  }
  if (state.slot_limit == "-1") {
    std::string problem = fmt::format(
        "nothing limits the WAL that the slot {} makes the server keep (max_slot_wal_keep_size = -1): while it is not "
        "stored, pg_wal grows until its disk is full, and the server stops; it keeps {} now",
        slot, kept);
    if (free_bytes) problem += fmt::format(", and that disk has {} free", format_bytes(*free_bytes));
    return SlotWarning{problem, advice_to_limit(free_bytes, state.slot_kept_bytes)};
  }
  const std::string behind = "see that 'holdfast wal receive' runs and that the repository's store takes what it sends";
  if (state.slot_status == "unreserved") {
    return SlotWarning{fmt::format("the slot {} keeps {} of WAL, more than max_slot_wal_keep_size = {}: the server "
                                   "removes it at its next checkpoint",
                                   slot, kept, state.slot_limit),
                       behind};
  }
  if (state.slot_status == "extended") {
    return SlotWarning{fmt::format("the slot {} keeps {} of WAL, more than max_wal_size; beyond max_slot_wal_keep_size "
                                   "= {} the server removes it",
                                   slot, kept, state.slot_limit),
                       behind};
  }
  return std::nullopt;
}

}  // namespace holdfast::postgres
