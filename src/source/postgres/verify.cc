#include "source/postgres/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/parallel.h"
#include "repo/tree.h"
#include "source/postgres/backup_label.h"
#include "source/postgres/capture_files.h"
#include "source/postgres/control_file.h"
#include "source/postgres/page.h"
#include "source/postgres/region_reader.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::postgres {
namespace {

constexpr size_t kTasksUnderWay = 16;
constexpr size_t kMostFindingsOfFile = 20;
constexpr uint64_t kLargestKept = 1 << 20;

struct CheckedFile {
  repo::Entry entry;
  std::optional<RelationFile> relation;
  std::set<uint32_t> torn;  // right only after replay
  bool keep = false;        // its content is wanted afterwards
};

struct CheckTask {
  std::shared_ptr<CheckedFile> file;
  uint64_t offset = 0, length = 0;
  std::optional<repo::RegionRef> region;
};

struct CheckOutcome {
  std::shared_ptr<CheckedFile> file;
  uint64_t bytes = 0;
  std::vector<source::VerifyFinding> findings;
  Bytes content;  // with keep
};

class OfflineVerifier {
 public:
  OfflineVerifier(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                  SnapshotSource source)
      : world_(world), repository_(repository), snapshot_(snapshot), source_(std::move(source)), reader_(repository) {}
  Result<source::VerifyReport> run();

 private:
  Result<std::optional<CheckTask>> next();
  Result<void> begin(repo::Entry entry);
  Result<CheckOutcome> check(CheckTask& task);
  Result<void> read_stretch(const CheckTask& task, uint64_t offset, const std::vector<repo::Extent>& extents,
                            uint64_t length, CheckOutcome& outcome);
  void check_pages(const CheckedFile& file, uint64_t offset, ByteView bytes, CheckOutcome& outcome);
  Result<void> take(CheckOutcome outcome);
  Result<void> check_whole();
  void check_label(const Bytes& content);
  void check_control(const Bytes& content);
  Result<void> check_wal();
  void add(std::string object, std::string problem) {
    report_.findings.push_back({std::move(object), std::move(problem)});
  }

  source::World& world_;
  repo::Repository& repository_;
  const repo::Snapshot& snapshot_;
  const SnapshotSource source_;
  RegionReader reader_;
  source::VerifyReport report_;
  std::unique_ptr<repo::TreeReader> tree_;
  std::shared_ptr<CheckedFile> current_;
  size_t region_ = 0;
  uint64_t offset_ = 0;
  std::map<std::string, Bytes> kept_;
  uint64_t pages_ = 0;
};

Result<void> OfflineVerifier::begin(repo::Entry entry) {
  if (entry.kind == repo::EntryKind::kSymlink && is_below_servers_own(entry.path))
    add(entry.path, "is a link to " + entry.link_target + ", and what that led to is not in the point");
  if (entry.kind != repo::EntryKind::kFile) return {};
  current_ = std::make_shared<CheckedFile>();
  current_->keep = entry.path == "backup_label" || entry.path == "PG_VERSION" || entry.path == "global/pg_control";
  if (source_.page_bytes == kPageBytes) current_->relation = parse_relation_path(entry.path);
  for (const FilePageProblem& page : source_.torn_pages) {
    if (page.path == entry.path) current_->torn.insert(page.page.block);
  }
  current_->entry = std::move(entry);
  region_ = 0;
  offset_ = 0;
  return {};
}

Result<std::optional<CheckTask>> OfflineVerifier::next() {
  if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "the verification was stopped");
  while (!current_) {
    auto entry = TRY(tree_->next());
    if (!entry) return std::optional<CheckTask>();
    TRY(begin(std::move(*entry)));
  }
  CheckTask task;
  task.file = current_;
  task.offset = offset_;
  const repo::Content& content = current_->entry.content;
  const bool whole = content.regions.empty();
  task.length = whole ? current_->entry.size_bytes : content.regions[region_].length_bytes;
  if (!whole) task.region = content.regions[region_++];
  offset_ += task.length;
  if (whole || region_ == content.regions.size()) current_.reset();
  return std::optional<CheckTask>(std::move(task));
}

void OfflineVerifier::check_pages(const CheckedFile& file, uint64_t offset, ByteView bytes, CheckOutcome& outcome) {
  const uint64_t first = file.relation->segment * uint64_t{source_.segment_pages} + offset / kPageBytes;
  for (size_t i = 0; (i + 1) * kPageBytes <= bytes.size(); i++) {
    const auto block = static_cast<uint32_t>(first + i);
    const PageState state = check_page(bytes.data() + i * kPageBytes, block, source_.checksums);
    if (state == PageState::kGood || state == PageState::kZero || file.torn.contains(block)) continue;
    if (outcome.findings.size() >= kMostFindingsOfFile) return;
    outcome.findings.push_back({fmt::format("{}, block {}", file.entry.path, block), std::string(problem_of(state))});
  }
}

Result<void> OfflineVerifier::read_stretch(const CheckTask& task, uint64_t offset,
                                           const std::vector<repo::Extent>& extents, uint64_t length,
                                           CheckOutcome& outcome) {
  thread_local Bytes buffer;
  if (buffer.size() < length) buffer.resize(length);
  const MutableByteView bytes = buffer.mutable_view().first(length);
  auto read = reader_.read(extents, bytes);
  if (!read.ok()) {
    // Damage is what is looked for; trouble in reaching the store is not damage.
    const ErrorCode code = read.error().code();
    if (code != ErrorCode::kDamaged && code != ErrorCode::kInvalidData && code != ErrorCode::kNotFound) return read;
    outcome.findings.push_back(
        {fmt::format("{}, bytes {} to {}", task.file->entry.path, offset, offset + length), read.error().text()});
    return {};
  }
  if (task.file->relation) check_pages(*task.file, offset, bytes, outcome);
  if (task.file->keep && length <= kLargestKept) outcome.content.append(ByteView(bytes));
  return {};
}

Result<CheckOutcome> OfflineVerifier::check(CheckTask& task) {
  CheckOutcome outcome;
  outcome.file = task.file;
  outcome.bytes = task.length;
  std::vector<repo::Extent> extents = task.file->entry.content.extents;
  if (task.region) {
    auto read = repo::read_region(repository_, *task.region);
    if (!read.ok()) {
      outcome.findings.push_back(
          {fmt::format("{}, bytes {} to {}", task.file->entry.path, task.offset, task.offset + task.length),
           read.error().text()});
      return outcome;
    }
    extents = std::move(read).value();
  }
  std::vector<repo::Extent> stretch;
  uint64_t offset = task.offset, bytes = 0;
  for (const repo::Extent& extent : extents) {
    const bool large_hole = !extent.block && extent.length_bytes > kRegionBytes;
    if (bytes > 0 && (large_hole || bytes + extent.length_bytes > kRegionBytes)) {
      TRY(read_stretch(task, offset, stretch, bytes, outcome));
      offset += bytes;
      stretch.clear();
      bytes = 0;
    }
    if (large_hole) {
      offset += extent.length_bytes;  // zeros need no proof
      continue;
    }
    stretch.push_back(extent);
    bytes += extent.length_bytes;
  }
  if (bytes > 0) TRY(read_stretch(task, offset, stretch, bytes, outcome));
  return outcome;
}

Result<void> OfflineVerifier::take(CheckOutcome outcome) {
  report_.checked_bytes += outcome.bytes;
  world_.progress.bytes_done += outcome.bytes;
  if (outcome.file->relation) pages_ += outcome.bytes / kPageBytes;
  for (source::VerifyFinding& finding : outcome.findings) report_.findings.push_back(std::move(finding));
  if (outcome.file->keep) kept_[outcome.file->entry.path] = std::move(outcome.content);
  return {};
}

void OfflineVerifier::check_label(const Bytes& content) {
  const auto label = parse_backup_label(as_text(content));
  if (!label.ok()) return add("backup_label", label.error().message());
  if (label.value().start != source_.start || label.value().timeline != source_.timeline) {
    add("backup_label",
        fmt::format("starts at {} on timeline {}, the snapshot says {} on {}", label.value().start.text(),
                    label.value().timeline, source_.start.text(), source_.timeline));
  }
}

void OfflineVerifier::check_control(const Bytes& content) {
  const auto control = parse_control_file(content);
  if (!control.ok()) return add("global/pg_control", control.error().message());
  if (control.value().system_id != source_.system_id) add("global/pg_control", "is of another cluster");
  if ((control.value().checksum_version != 0) != source_.checksums)
    add("global/pg_control", "says otherwise of page checksums");
}

Result<void> OfflineVerifier::check_wal() {
  auto archive = TRY(WalArchive::open(repository_, {snapshot_.component, source_.system_id, source_.segment_bytes}));
  for (const std::string& gap : TRY(archive->gaps(source_.timeline, source_.start, source_.stop))) add("WAL", gap);
  return {};
}

// That it is a cluster: what a server can't start without, and the WAL up to consistency.
Result<void> OfflineVerifier::check_whole() {
  for (const char* path : {"PG_VERSION", "backup_label", "global/pg_control"}) {
    if (!kept_.contains(path)) add(path, "is missing");
  }
  if (kept_.contains("backup_label")) check_label(kept_["backup_label"]);
  if (kept_.contains("global/pg_control")) check_control(kept_["global/pg_control"]);
  return check_wal();
}

Result<source::VerifyReport> OfflineVerifier::run() {
  world_.progress.phase = "verifying pages";
  world_.progress.bytes_total = snapshot_.source_bytes;
  tree_ = TRY(repo::TreeReader::open(repository_, snapshot_.root));
  const size_t window = std::max<size_t>(kTasksUnderWay, 2 * world_.threads);
  TRY((ordered_pipeline<CheckTask, CheckOutcome>(
      world_.threads, window, [this] { return next(); }, [this](CheckTask& task) { return check(task); },
      [this](CheckOutcome outcome) { return take(std::move(outcome)); })));
  TRY(check_whole());
  report_.checked_objects = pages_;
  report_.details = {{"method", "offline"},
                     {"pages", pages_},
                     {"torn_pages", source_.torn_pages.size()},
                     {"bad_pages_at_capture", snapshot_.source.value("bad_page_count", source_.bad_pages.size())}};
  return std::move(report_);
}

}  // namespace

Result<source::VerifyReport> verify_offline(source::World& world, repo::Repository& repository,
                                            const repo::Snapshot& snapshot) {
  SnapshotSource source = TRY(snapshot_source(snapshot));
  OfflineVerifier verifier(world, repository, snapshot, std::move(source));
  return verifier.run().context(fmt::format("verifying '{}'", snapshot.component));
}

}  // namespace holdfast::postgres
