#include "source/postgres/wal_get.h"

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "base/parallel.h"
#include "source/postgres/crc32c.h"
#include "source/postgres/wal_format.h"

// The spool. A segment that was read ahead lies beside pg_wal's own files as
// "<segment>.<CRC-32C of its content>". Nothing there is synced: after a crash a
// file may be short or hold zeros where there was data, and zeros would look like
// the end of the log, so the checksum in the name decides whether it counts. The
// destination needs no sync either: PostgreSQL syncs what it keeps, and asks again
// after a crash.

namespace holdfast::postgres {

namespace {

constexpr size_t kMaxLookAhead = 64;

uint32_t checksum(ByteView bytes) { return crc32c_finish(crc32c_update(kCrc32cStart, bytes)); }

class Spool {
 public:
  Spool(FileSystem& fs, const WalGetOptions& options)
      : fs_(fs),
        identity_(options.identity),
        directory_(!options.spool.empty() ? options.spool
                                          : join_path(parent_path(options.destination), "holdfast.spool")) {}

  // Moves a spooled segment to `destination`; false when there is none that counts.
  bool take(const std::string& name, const std::string& destination) {
    const auto entries = fs_.list(directory_);
    if (!entries.ok()) return false;
    bool taken = false;
    for (const DirectoryEntry& entry : entries.value()) {
      if (!entry.name.starts_with(name + ".")) continue;
      const std::string path = join_path(directory_, entry.name);
      if (!taken && counts(path, entry.name))
        taken = fs_.rename(path, destination).ok();
      else
        ignore(fs_.remove_file(path), "a spooled file that does not count is only in the way");
    }
    return taken;
  }

  // Keeps the segments of [first, last] on their timeline, drops whatever else is there.
  void keep_only(const std::string& first, const std::string& last) {
    const auto entries = fs_.list(directory_);
    if (!entries.ok()) return;
    for (const DirectoryEntry& entry : entries.value()) {
      const std::string segment = entry.name.substr(0, 24);
      if (segment < first || segment > last || entry.name.size() != 33)
        ignore(fs_.remove_file(join_path(directory_, entry.name)), "the spool is only a convenience");
    }
  }

  // Recovery asks for something absent when it is at the end of the log, and for a
  // history file when it is over: nothing that is here will be wanted.
  void clear() { ignore(remove_tree(fs_, directory_), "the spool is only a convenience"); }

  bool has(const std::string& name) {
    const auto entries = fs_.list(directory_);
    return entries.ok() &&
           std::any_of(entries.value().begin(), entries.value().end(), [&](const DirectoryEntry& entry) {
             return entry.name.size() == 33 && entry.name.starts_with(name + ".");
           });
  }

  Result<void> make() {
    if (TRY(exists(fs_, directory_))) return {};
    return fs_.make_directory(directory_, 0700);
  }

  Result<void> put(const std::string& name, ByteView content) {
    const std::string path = join_path(directory_, fmt::format("{}.{:08X}", name, checksum(content)));
    const std::string temporary = path + ".tmp";
    const auto file = TRY(fs_.open(temporary, {.write = true, .create = true, .truncate = true}));
    TRY(file->write_at(0, content));
    TRY(file->close());
    return fs_.rename(temporary, path);
  }

 private:
  bool counts(const std::string& path, const std::string& file_name) {
    uint32_t expected = 0;
    const std::string_view digits = std::string_view(file_name).substr(25);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), expected, 16);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.size() != 8) return false;
    const auto content = read_file(fs_, path, identity_.segment_bytes);
    if (!content.ok() || content.value().size() != identity_.segment_bytes || checksum(content.value()) != expected)
      return false;
    const auto header = parse_wal_segment_header(content.value());
    const auto address = parse_segment_name(file_name.substr(0, 24), identity_.segment_bytes);
    return header.ok() && address.ok() && header.value().address == address.value().start &&
           header.value().system_id == identity_.system_id && header.value().segment_bytes == identity_.segment_bytes &&
           header.value().timeline <= address.value().timeline;
  }

  FileSystem& fs_;
  const WalArchive::Identity& identity_;
  const std::string directory_;
};

std::string temporary_of(const std::string& destination) { return destination + ".holdfast"; }

// All or nothing under the final name.
Result<void> place(FileSystem& fs, const std::string& destination, ByteView content) {
  const std::string temporary = temporary_of(destination);
  const auto file = TRY(fs.open(temporary, {.write = true, .create = true, .truncate = true}));
  TRY(file->write_at(0, content));
  TRY(file->close());
  return fs.rename(temporary, destination);
}

// PostgreSQL puts what it is given over the segment of that name in pg_wal. Of a segment
// that is not stored whole, the server's own copy may hold more, and records that are
// nowhere else: a server that starts as a standby would lose them. Where all that is
// stored stands in the server's copy too, that copy is delivered.
Bytes prefer_local(FileSystem& fs, const WalGetOptions& options, Bytes stored) {
  const std::string local = join_path(parent_path(options.destination), options.name);
  if (local == options.destination) return stored;
  auto there = read_file(fs, local, options.identity.segment_bytes);
  if (!there.ok() || there.value().size() != stored.size()) return stored;
  size_t end = stored.size();
  while (end > 0 && stored[end - 1] == 0) end--;
  return equal(there.value().view(0, end), stored.view(0, end)) ? std::move(there).value() : std::move(stored);
}

std::string following(const std::string& name, uint64_t count, uint64_t segment_bytes) {
  const auto address = parse_segment_name(name, segment_bytes);
  if (!address.ok()) return name;
  return segment_name(address.value().timeline, Lsn{address.value().start.value + count * segment_bytes},
                      segment_bytes);
}

Result<WalGetOutcome> get(FileSystem& fs, const WalGetOptions& options,
                          const std::function<Result<WalArchive*>()>& open, bool* from_spool) {
  Spool spool(fs, options);
  const bool segment = is_segment_name(options.name);
  if (segment && spool.take(options.name, options.destination)) {
    *from_spool = true;
    return WalGetOutcome::kFound;
  }
  WalArchive* archive = TRY(open());
  auto content = segment ? TRY(archive->fetch_whole(options.name)) : std::optional<Bytes>();
  if (!content) {
    content = TRY(archive->fetch(options.name));
    if (content && segment) content = prefer_local(fs, options, std::move(*content));
  }
  if (!content) {
    // A renamed component, another repository, a log that is away: where nothing is stored nothing is proven.
    if (TRY(archive->is_empty())) {
      return make_error(ErrorCode::kNotFound, "the repository holds no WAL of component '{}' and system identifier {}",
                        options.identity.component, options.identity.system_id)
          .with_hint("restore_command must name the repository and the component that the WAL was stored under");
    }
    spool.clear();
    ignore(fs.remove_file(temporary_of(options.destination)), "there is one only after a kill");
    return WalGetOutcome::kAbsent;
  }
  TRY(place(fs, options.destination, *content));
  return WalGetOutcome::kFound;
}

}  // namespace

WalGetReport wal_get(FileSystem& fs, const WalGetOptions& options, const std::function<Result<WalArchive*>()>& open) {
  WalGetReport report;
  auto outcome = get(fs, options, open, &report.from_spool);
  if (outcome.ok())
    report.outcome = outcome.value();
  else
    report.error = std::move(outcome).error().with_context(fmt::format("fetching {}", options.name));
  return report;
}

void wal_look_ahead(FileSystem& fs, const WalGetOptions& options, WalArchive& archive) {
  if (!is_segment_name(options.name) || options.look_ahead == 0) return;
  const uint64_t segment_bytes = options.identity.segment_bytes;
  const size_t count = std::min(options.look_ahead, kMaxLookAhead);
  Spool spool(fs, options);
  spool.keep_only(following(options.name, 1, segment_bytes), following(options.name, count, segment_bytes));
  auto outcome = spool.make();
  if (outcome.ok())
    outcome = parallel_for(count, options.threads, [&](size_t i) -> Result<void> {
      const std::string name = following(options.name, i + 1, segment_bytes);
      if (spool.has(name)) return {};
      // Only whole segments: parts may be followed by more when they are asked for.
      const auto content = TRY(archive.fetch_whole(name));
      if (!content) return make_error(ErrorCode::kNotFound, "{} is not stored whole", name);
      return spool.put(name, *content);
    });
  if (!outcome.ok()) log_debug("postgres.wal_get.look_ahead", {{"problem", outcome.error().text()}});
}

}  // namespace holdfast::postgres
