#include <unordered_set>

#include "base/parallel.h"
#include "recovery/verify.h"
#include "repo/tree.h"

namespace holdfast::recovery {

namespace {

// One stretch of a tree's blocks. Batches keep memory bounded and the threads busy.
constexpr size_t kBatchBlocks = 4096;

struct WantedBlock {
  repo::BlockId id;
  std::string path;  // of a file that needs it
};

class Reader {
 public:
  Reader(source::World& world, repo::Repository& repository) : world_(world), repository_(repository) {}

  Result<source::VerifyReport> run(const repo::Snapshot& snapshot) {
    world_.progress.phase = "reading";
    world_.progress.bytes_total += snapshot.source_bytes;
    auto tree = TRY(repo::TreeReader::open(repository_, snapshot.root));
    while (true) {
      auto entry = TRY(tree->next());
      if (!entry) break;
      if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "verification was stopped");
      report_.checked_objects++;
      world_.progress.files_done++;
      if (entry->kind == repo::EntryKind::kFile) TRY(take_file(*entry));
    }
    TRY(flush());
    report_.checked_bytes = checked_bytes_;
    return std::move(report_);
  }

 private:
  Result<void> take_file(const repo::Entry& entry) {
    uint64_t length = 0;
    auto walked =
        repo::for_each_extent(repository_, entry.content, [&](uint64_t, const repo::Extent& extent) -> Result<void> {
          length += extent.length_bytes;
          if (!extent.block || !seen_.insert(*extent.block).second) return {};
          wanted_.push_back({*extent.block, entry.path});
          if (wanted_.size() >= kBatchBlocks) return flush();
          return {};
        });
    if (!walked.ok()) {
      if (!is_damage(walked.error())) return std::move(walked).error();
      report_.findings.push_back({entry.path, walked.error().text()});
    } else if (length != entry.size_bytes) {
      report_.findings.push_back(
          {entry.path, fmt::format("its content is {} bytes long, not {}", length, entry.size_bytes)});
    }
    return {};
  }

  static bool is_damage(const Error& error) {
    return error.code() == ErrorCode::kDamaged || error.code() == ErrorCode::kNotFound ||
           error.code() == ErrorCode::kInvalidData;
  }

  Result<void> flush() {
    std::mutex mutex;
    auto done = parallel_for(wanted_.size(), world_.threads, [&](size_t index) -> Result<void> {
      if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "verification was stopped");
      const WantedBlock& wanted = wanted_[index];
      auto block = repository_.read_block(wanted.id);
      std::lock_guard lock(mutex);
      if (block.ok()) {
        checked_bytes_ += block.value()->size();
        world_.progress.bytes_done += block.value()->size();
        return {};
      }
      if (!is_damage(block.error())) return std::move(block).error();
      report_.findings.push_back({wanted.path, block.error().text()});
      return {};
    });
    wanted_.clear();
    // Forgetting what was seen costs a second reading of shared blocks, never a wrong answer.
    if (seen_.size() > 1'000'000) seen_.clear();
    return done;
  }

  source::World& world_;
  repo::Repository& repository_;
  source::VerifyReport report_;
  uint64_t checked_bytes_ = 0;
  std::vector<WantedBlock> wanted_;
  std::unordered_set<repo::BlockId> seen_;
};

}  // namespace

Result<source::VerifyReport> verify_readable(source::World& world, repo::Repository& repository,
                                             const repo::Snapshot& snapshot) {
  return Reader(world, repository).run(snapshot);
}

}  // namespace holdfast::recovery
