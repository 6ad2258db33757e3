#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "repo/tree.h"
#include "source/postgres/entry_spool.h"
#include "source/postgres/file_list.h"
#include "source/postgres/region_capture.h"
#include "source/source.h"

namespace holdfast::postgres {

// One file (or directory, or link) on its way into the snapshot.
struct CapturedFile {
  repo::Entry entry;                     // without content; its size is what is to be read
  std::string full_path;                 // where it is read; "" when tasks carry the bytes
  std::optional<RelationFile> relation;  // a file of pages
  std::optional<repo::Entry> previous;   // the same file in the previous snapshot
  bool take_over = false;                // unchanged since `previous`: not read at all
  bool compare = false;                  // `previous` had wrong pages: LSNs are not believed
  bool by_log = false;                   // what the log does not name is as `previous` has it
  uint32_t database = 0;                 // with by_log; 0: shared

  // For the workers, under the mutex: opened at the first need.
  std::mutex mutex;
  std::unique_ptr<File> file;
  bool vanished = false;
};

// A piece of work: one region of a file.
struct CaptureTask {
  std::shared_ptr<CapturedFile> file;
  uint64_t offset = 0;
  uint64_t length = 0;
  bool last = false;           // of its file
  std::optional<Bytes> bytes;  // when they came over a connection
};

// A page problem as the snapshot records it.
struct FilePageProblem {
  std::string path;
  PageProblem page;
};

struct CaptureTotals {
  uint64_t files = 0;
  uint64_t source_bytes = 0, read_bytes = 0;
  uint64_t taken_over_files = 0, taken_over_regions = 0, stored_pages = 0;
  uint64_t regions_by_log = 0;  // of which no more was read than the log names
  std::vector<FilePageProblem> bad, torn;
};

// Runs tasks through parallel workers and puts the outcomes together again, in
// order, into entries. Memory is bounded: so many regions are under way, and
// outcomes that wait for a shared block are not let grow without limit.
class CapturePipeline {
 public:
  // `changes`: for files that go by the log; may be null when there are none.
  CapturePipeline(source::World& world, repo::WriteSession& session, const PageRules& rules, EntrySpool& entries,
                  const ChangedBlocks* changes = nullptr)
      : world_(world),
        session_(session),
        rules_(rules),
        changes_(changes),
        regions_(session, world.clock, rules),
        entries_(entries) {}

  // `next` is called from one thread at a time and ends with an empty optional.
  Result<void> run(const std::function<Result<std::optional<CaptureTask>>()>& next);
  const CaptureTotals& totals() const { return totals_; }
  CaptureTotals& totals() { return totals_; }

 private:
  struct Outcome {
    std::shared_ptr<CapturedFile> file;
    uint64_t planned_bytes = 0, read_bytes = 0;
    bool last = false;
    bool take_over = false;
    RegionOutcome region;
  };
  Result<Outcome> work(CaptureTask& task);
  Result<bool> take_over(const CapturedFile& file);
  Result<bool> open(CapturedFile& file);
  Result<RegionOutcome> capture_region(CaptureTask& task);
  Result<std::optional<RegionOutcome>> capture_by_log(const CaptureTask& task, const RegionCapture::Input& input,
                                                      MutableByteView buffer);
  Result<RegionOutcome> capture_whole(const CaptureTask& task);
  Result<void> drain(bool everything);
  Result<void> apply(Outcome& outcome);
  void record(const Outcome& outcome);

  source::World& world_;
  repo::WriteSession& session_;
  const PageRules rules_;
  const ChangedBlocks* const changes_;
  RegionCapture regions_;
  EntrySpool& entries_;
  CaptureTotals totals_;
  std::deque<Outcome> waiting_;                    // in order, for blocks to be stored
  std::unique_ptr<repo::ContentBuilder> builder_;  // of the file being put together
  uint64_t built_bytes_ = 0;
  bool cut_short_ = false;
};

}  // namespace holdfast::postgres
