#include "base/parallel.h"
#include "source/files/candidate.h"
#include "source/files/content_reader.h"
#include "source/files/metadata.h"
#include "source/files/restore.h"
#include "source/files/restore_plan.h"
#include "source/files/selection.h"
#include "source/files/target.h"

namespace holdfast::files {
namespace {

constexpr size_t kNeighbours = 256;
constexpr uint64_t kNeighbourBytes = 16u << 20;

using Findings = std::vector<source::VerifyFinding>;

// Compares what is in a directory with entries of the tree. Thread-safe.
class Comparison {
 public:
  Comparison(source::World& world, repo::Repository& repository, const Target& target)
      : world_(world), repository_(repository), target_(target) {}

  Result<void> compare(const repo::Entry& entry, Findings& findings) {
    const auto report = [&](std::string problem) {
      findings.push_back({display_path(entry.path), std::move(problem)});
    };
    const std::string path = target_.path_of(entry.path);
    const auto status = world_.fs.stat(path);
    if (!status.ok()) {
      report(status.error().code() == ErrorCode::kNotFound ? "missing" : display_path(status.error().text()));
      return {};
    }
    if (entry.source_data == kParentMark) return {};
    if (entry.kind == repo::EntryKind::kHardLink) return compare_link(entry, status.value(), report);
    if (kind_of(status.value().st_mode) != entry.kind) {
      report(fmt::format("is a {}, not a {}", kind_name(kind_of(status.value().st_mode)), kind_name(entry.kind)));
      return {};
    }
    for (auto& difference : metadata_differences(entry, status.value(), {-1, path}, names_))
      report(std::move(difference));
    if (entry.kind == repo::EntryKind::kFile) return compare_content(entry, path, report);
    if (entry.kind == repo::EntryKind::kSymlink && TRY(world_.fs.read_link(path)) != entry.link_target)
      report("points elsewhere");
    if (entry.device_number != 0 && status.value().st_rdev != entry.device_number) report("is another device");
    return {};
  }

 private:
  template <typename Report>
  Result<void> compare_link(const repo::Entry& entry, const struct stat& status, const Report& report) {
    const auto first = world_.fs.stat(target_.path_of(entry.link_target));
    if (!first.ok() || first.value().st_ino != status.st_ino || first.value().st_dev != status.st_dev)
      report(fmt::format("is not a hard link to {}", display_path(entry.link_target)));
    return {};
  }

  template <typename Report>
  Result<void> compare_content(const repo::Entry& entry, const std::string& path, const Report& report) {
    ContentReader reader(repository_, world_.progress);
    auto file = world_.fs.open(path, {.no_follow = true, .no_atime = true, .no_wait = true});
    if (!file.ok()) {
      report(display_path(file.error().text()));
      return {};
    }
    const auto different = TRY(reader.first_difference(*file.value(), entry));
    if (!different) return {};
    const auto size = static_cast<uint64_t>(TRY(file.value()->stat()).st_size);
    if (size != entry.size_bytes)
      report(fmt::format("has {} bytes, not {}", size, entry.size_bytes));
    else
      report(fmt::format("content differs behind byte {}", *different));
    return {};
  }

  source::World& world_;
  repo::Repository& repository_;
  const Target& target_;
  OwnerNames names_;
};

struct Compared {
  Findings findings;
  uint64_t bytes = 0, objects = 0;
};

}  // namespace

Result<source::VerifyReport> verify(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                                    const std::string& directory) {
  const Choice everything({});
  const Target target(world.fs, directory, false, snapshot.root);
  Comparison comparison(world, repository, target);
  auto selection = TRY(Selection::open(repository, snapshot.root, everything));
  source::VerifyReport report;
  world.progress.phase = "comparing files";
  world.progress.bytes_total = snapshot.source_bytes;
  using Entries = std::vector<repo::Entry>;
  const auto next = [&]() -> Result<std::optional<Entries>> {
    Entries entries;
    uint64_t bytes = 0;
    while (entries.size() < kNeighbours && bytes < kNeighbourBytes) {
      auto selected = TRY(selection.next());
      if (!selected) break;
      bytes += selected->entry.size_bytes;
      entries.push_back(std::move(selected->entry));
    }
    if (entries.empty()) return std::optional<Entries>();
    return std::optional(std::move(entries));
  };
  const auto work = [&](Entries& entries) -> Result<Compared> {
    if (world.progress.stop) return make_error(ErrorCode::kInterrupted, "comparison of files was stopped");
    Compared compared;
    for (const auto& entry : entries) {
      TRY(comparison.compare(entry, compared.findings));
      compared.bytes += entry.size_bytes;
      compared.objects++;
      world.progress.bytes_done += entry.size_bytes;
      world.progress.files_done++;
    }
    return compared;
  };
  const auto sink = [&](Compared compared) -> Result<void> {
    for (auto& finding : compared.findings) report.findings.push_back(std::move(finding));
    report.checked_bytes += compared.bytes;
    report.checked_objects += compared.objects;
    return {};
  };
  TRY((ordered_pipeline<Entries, Compared>(world.threads, 2 * world.threads + 2, next, work, sink)));
  report.details = {{"compared_with", display_path(target.path_of(""))}, {"objects", report.checked_objects}};
  return report;
}

}  // namespace holdfast::files
