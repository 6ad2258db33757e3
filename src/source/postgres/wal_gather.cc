#include "source/postgres/wal_gather.h"

#include <algorithm>

#include "source/postgres/timeline.h"

namespace holdfast::postgres {
namespace {

constexpr Duration kArchiverStart = Duration::seconds(2);
constexpr Duration kPollInterval = Duration::milliseconds(50);

// How far the archive reaches from `from` on.
Result<Lsn> covered_until(WalArchive& archive, uint32_t timeline, Lsn from) {
  Lsn end = from;
  for (const WalRange& range : TRY(archive.ranges())) {
    if (range.timeline == timeline && range.from <= from && range.to > end) end = range.to;
  }
  return end;
}

std::string path_of(const GatherOptions& options, const std::string& name) {
  return join_path(join_path(options.data_directory, "pg_wal"), name);
}

bool is_complete(const GatherOptions& options, Lsn start, uint64_t size) {
  return !options.in_recovery || start.value + size <= options.to.value;
}

Result<void> store_segment(source::World& world, WalArchive& archive, const GatherOptions& options, Lsn start) {
  const uint64_t size = archive.identity().segment_bytes;
  const std::string name = segment_name(options.timeline, start, size);
  const std::string path = path_of(options, name);
  const Bytes content = TRY(read_file(world.fs, path, size));
  if (content.size() != size) {
    return make_error(ErrorCode::kMismatch, "{} has {} bytes, not a segment's {}", path, content.size(), size);
  }
  // The last one is pushed while whoever called waits for the end.
  const bool is_last = start.value + size >= options.to.value;
  if (is_complete(options, start, size)) return archive.push(name, content, {.in_haste = is_last});
  const Lsn have = TRY(covered_until(archive, options.timeline, start));
  if (have >= options.to) return {};
  return archive.push_part(options.timeline, have,
                           content.view(have.value - start.value, options.to.value - have.value));
}

Result<void> store_history(source::World& world, WalArchive& archive, const GatherOptions& options) {
  if (options.timeline <= 1) return {};
  const std::string name = history_name(options.timeline);
  const auto content = read_file(world.fs, path_of(options, name));
  if (!content.ok() && content.error().code() == ErrorCode::kNotFound) return {};
  if (!content.ok()) return content.error().clone();
  return archive.push(name, content.value());
}

// All may be stored already, of another history: of a server that was set back since. The
// histories parted before the capture began, so its first segment differs.
Result<void> check_beginning(source::World& world, WalArchive& archive, const GatherOptions& options) {
  const uint64_t size = archive.identity().segment_bytes;
  const Lsn start = segment_start(options.from, size);
  const std::string name = segment_name(options.timeline, start, size);
  const auto content = read_file(world.fs, path_of(options, name), size);
  if (!content.ok() && content.error().code() == ErrorCode::kNotFound) return {};  // archived and removed
  if (!content.ok()) return content.error().clone();
  const auto stored = archive.fetch(name);
  if (!stored.ok() && stored.error().data_loss()) return {};  // with a hole behind it, which is none of ours
  if (!stored.ok()) return stored.error().clone();
  const size_t bytes = std::min<uint64_t>(options.to.value - start.value, content->size());
  if (!*stored || equal(ByteView(**stored).first(bytes), content->view(0, bytes))) return {};
  return make_error(ErrorCode::kMismatch,
                    "component {}: the WAL of this copy is stored already, as another: the server was set back, or two "
                    "write to one archive (segment {})",
                    archive.identity().component, name)
      .with_hint(
          "with that WAL the copy would not be this server's. If the server is to go on as it is, give its component "
          "another name in holdfast.yaml (docs/postgres.md, \"A server that was set back\")");
}

}  // namespace

Result<std::vector<std::string>> await_archiver(source::World& world, WalArchive& archive,
                                                const GatherOptions& options) {
  auto gaps = TRY(archive.gaps(options.timeline, options.from, options.to));
  const Duration until = world.clock.monotonic() + kArchiverStart;
  while (!gaps.empty() && options.archives && world.clock.monotonic() < until && !world.progress.stop) {
    world.clock.sleep(kPollInterval);
    gaps = TRY(archive.gaps(options.timeline, options.from, options.to));
  }
  return gaps;
}

Result<void> gather_wal(source::World& world, WalArchive& archive, const GatherOptions& options) {
  world.progress.phase = "storing WAL";
  TRY(store_history(world, archive, options));
  auto gaps = TRY(await_archiver(world, archive, options));
  if (gaps.empty()) return check_beginning(world, archive, options);
  const uint64_t size = archive.identity().segment_bytes;
  std::string failure;
  bool beginning_compared = false;  // as storing does
  for (Lsn start{options.from.value / size * size}; start < options.to; start.value += size) {
    if (world.progress.stop) return make_error(ErrorCode::kInterrupted, "the capture was stopped");
    const Lsn from{std::max(start.value, options.from.value)}, to{std::min(start.value + size, options.to.value)};
    if (TRY(archive.gaps(options.timeline, from, to, WalArchive::kListedLately)).empty()) continue;
    auto stored = store_segment(world, archive, options, start);
    if (!stored.ok() && stored.error().code() == ErrorCode::kMismatch) return std::move(stored).error();
    if (!stored.ok() && failure.empty()) failure = stored.error().text();
    beginning_compared =
        beginning_compared || (stored.ok() && from == options.from && is_complete(options, start, size));
  }
  // The copy rests on what is there now: others store, and retention may go by an older state.
  gaps = TRY(archive.gaps(options.timeline, options.from, options.to));
  if (gaps.empty() && beginning_compared) return {};
  if (gaps.empty()) return check_beginning(world, archive, options);
  return make_error(ErrorCode::kIncomplete, "WAL that the copy needs is not in the repository: {}{}{}", gaps.front(),
                    failure.empty() ? "" : "; ", failure)
      .with_hint("let the server keep WAL until it is stored: allow a replication slot, or raise wal_keep_size");
}

Result<bool> gather_beginning(source::World& world, WalArchive& archive, const GatherOptions& options) {
  if (options.timeline <= 1) return false;
  TRY(store_history(world, archive, options));
  const auto ancestors = archive.history(options.timeline);
  if (!ancestors.ok() || ancestors->empty()) return false;
  const TimelineSwitch& left = ancestors->back();
  bool followed = false;
  for (const WalPiece& piece : TRY(archive.pieces())) {
    if (piece.timeline == options.timeline) return false;
    followed = followed || piece.timeline == left.timeline;
  }
  if (!followed) return false;
  const uint64_t size = archive.identity().segment_bytes;
  const Lsn first = segment_start(left.left_at, size);
  // At a segment's end the next one need not be there yet.
  for (Lsn start = segment_start(Lsn{options.to.value - 1}, size);; start.value -= size) {
    if (!TRY(exists(world.fs, path_of(options, segment_name(options.timeline, start, size))))) return false;
    if (start <= first) break;
  }
  for (Lsn start = first; start < options.to; start.value += size) TRY(store_segment(world, archive, options, start));
  return true;
}

Result<void> gather_between(source::World& world, WalArchive& archive, const GatherOptions& options) {
  TRY(archive.gaps(options.timeline, options.from, options.to));  // lists parts that others have stored since
  const uint64_t size = archive.identity().segment_bytes;
  for (Lsn start = segment_start(options.from, size); start < segment_start(options.to, size); start.value += size)
    TRY(store_segment(world, archive, options, start));
  return {};
}

}  // namespace holdfast::postgres
