#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "repo/repository.h"
#include "repo/tree.h"
#include "source/postgres/changed_blocks.h"
#include "source/postgres/file_list.h"
#include "source/postgres/lsn.h"
#include "source/postgres/page.h"
#include "source/postgres/page_packer.h"

namespace holdfast::postgres {

// Files are captured in regions of this size: the unit of parallel work, of
// re-use as a whole, and of repacking.
constexpr uint64_t kRegionBytes = 4u << 20;

// What holds for a whole capture.
struct PageRules {
  bool checksums = false;
  uint32_t segment_pages = 131072;  // pages of one relation segment (1 GiB)
  Lsn start;                        // of this capture: recovery of the copy begins here
  // Pages below this LSN are as the previous snapshot has them; empty: none is.
  std::optional<Lsn> unchanged_below;
  // An LSN is not believed: the bytes themselves are compared. Without checksums a page can
  // change and keep its LSN (a bit that says that all rows are visible, which must agree with
  // the visibility map). And where it is not proven that the server's log goes on from the
  // previous snapshot's, the server may have been set back, and its pages, whatever their
  // LSNs, may be those of another history.
  bool compare = true;
  bool prove = false;  // read also what the log says is as before, and fail if it is not
};

// A page that was not right.
struct PageProblem {
  uint32_t block = 0;  // in the relation, counted over its segments
  std::string problem;
  Lsn lsn{};  // that the page has; not kept in the snapshot
  bool operator==(const PageProblem&) const = default;
};

// What became of one region of one file.
struct RegionOutcome {
  uint64_t bytes = 0;  // less than asked for: the file ends here
  uint64_t read_bytes = 0;
  bool by_log = false;                        // no more was read than the log names
  uint64_t stored_pages = 0;                  // of relations: not taken over from before
  std::optional<repo::RegionRef> taken_over;  // all as before; otherwise:
  std::vector<PagePacker::Extent> extents;
  std::vector<PageProblem> bad;  // stayed bad however often it was read
  // Caught in the middle of being written: WAL replay from the start of the
  // capture writes them whole, which is why the copy is right nonetheless.
  std::vector<PageProblem> torn;
};

// Whether an error says that what the repository holds is damaged or gone. What
// can't be read of a previous snapshot is stored anew instead of failing a capture.
bool is_damage(const Error& error);

// Turns the bytes of regions into extents: verifies pages, takes over those that
// the previous snapshot has, stores the others. Thread-safe.
class RegionCapture {
 public:
  RegionCapture(repo::WriteSession& session, Clock& clock, const PageRules& rules)
      : session_(session), clock_(clock), rules_(rules), packer_(session) {}

  struct Input {
    const RelationFile* relation = nullptr;   // null: a file without pages
    uint64_t offset = 0;                      // in the file; a multiple of kRegionBytes
    const repo::Content* previous = nullptr;  // the file's content before, if it is the same file
    uint64_t previous_bytes = 0;              // its size
    bool compare = false;                     // it had wrong pages then: its LSNs are not believed
    // Reads again, to tell a page that is being written from a bad one; null when
    // the bytes came over a connection.
    std::function<Result<size_t>(uint64_t offset, MutableByteView out)> read_again;
  };
  // `bytes`: what was read, at most kRegionBytes. Reading again changes them.
  Result<RegionOutcome> capture(const Input& input, MutableByteView bytes);

  using Read = std::function<Result<size_t>(uint64_t offset, MutableByteView out)>;
  // The same for a region of `length` bytes that has nothing before it: read by `read` and
  // stored block by block, so that a block is still in the processor's cache when it is
  // examined, named and compressed. `buffer` has room for a region.
  Result<RegionOutcome> capture_new(const Input& input, const Read& read, uint64_t length, MutableByteView buffer);

  // The same for a region of which `changed` and what lies behind the old end are to be
  // read, by `read`, and the rest is as before. `buffer` has the region's size. Empty: it
  // can't be done so, or not worth it; the region is to be read whole.
  Result<std::optional<RegionOutcome>> capture_changed(const Input& input, const ChangedBlocks::Pages& changed,
                                                       const Read& read, MutableByteView buffer);

  PagePacker& packer() { return packer_; }

 private:
  struct Page;
  struct Before;
  Result<PageState> examine(const Input& input, MutableByteView page, uint64_t offset, RegionOutcome& outcome);
  Result<Before> look_before(const Input& input);
  Result<void> read_before(const Input& input, Before& before);
  static size_t count_blocks(const std::vector<Page>& pages);
  static bool is_mostly_new(const std::vector<Page>& pages, size_t first);
  Result<bool> plan_changed(const Input& input, const Before& before, ChangedBlocks::Pages& wanted,
                            std::vector<Page>& pages);
  Result<void> prove_unread(const Input& input, const ChangedBlocks::Pages& wanted, const Read& read, size_t bytes);
  Result<bool> read_changed(const Input& input, const ChangedBlocks::Pages& wanted, const Read& read,
                            MutableByteView buffer, RegionOutcome& outcome);
  Result<std::vector<repo::Extent>> extents_before(const Input& input, const repo::RegionRef*& region);
  Result<bool> is_unchanged(const Before& before, size_t index, ByteView page);
  Result<void> store_whole(ByteView bytes, std::vector<PagePacker::Extent>& extents);
  Result<void> capture_pages(const Input& input, MutableByteView bytes, RegionOutcome& outcome);
  Result<void> assemble(ByteView bytes, const std::vector<Page>& pages, RegionOutcome& outcome);

  repo::WriteSession& session_;
  Clock& clock_;
  const PageRules rules_;
  PagePacker packer_;
  std::atomic<size_t> damaged_{0};  // pages that stayed as they were, and wrong, however often they were read
};

}  // namespace holdfast::postgres
