#include "source/postgres/region_capture.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "source/postgres/page.h"
#include "source/postgres/region_reader.h"

namespace holdfast::postgres {
namespace {

// Blocks of whole stretches of files: docs/decisions/021-postgres-capture-and-restore.md.
constexpr size_t kBlockBytes = 512 << 10;
constexpr size_t kPagesOfBlock = kBlockBytes / kPageBytes;
// A stretch of this size in which this share of the pages is new is stored whole:
// a few more bytes now for far fewer pieces when it is read back.
constexpr size_t kWholeShareNumerator = 3, kWholeShareDenominator = 4;
// A region whose pages lie in more blocks than its bound is stored anew, whole: a restore reads
// at most about three times its bytes. The bounds differ, from kLeastBound to kMostBound, as regions
// that change alike would all reach one in the same incremental. docs/decisions/021.
constexpr size_t kLeastBound = 30, kMostBound = 46;
// LSNs that no record has: pages written past the WAL carry them (index builds).
constexpr uint64_t kSmallestRealLsn = 1 << 20;
// The writing of a page takes microseconds, but whoever writes may be held up in the
// middle of it: this waits for about a second.
constexpr size_t kReadAgainTimes = 200;
constexpr Duration kReadAgainPause = Duration::milliseconds(5);
constexpr size_t kReadAgainFirst = 3;  // without a pause
// Once so many pages have stayed as they were for all that time, what is found is damage, and
// further pages are not waited for: thousands of them would hold the backup up for hours.
constexpr size_t kMostWaitedFor = 20;
constexpr size_t kReadAgainOfMany = 4;

size_t most_blocks(const RelationFile& relation, uint64_t offset) {
  return kLeastBound + (offset / kRegionBytes + relation.relation) % (kMostBound - kLeastBound + 1);
}

bool trusts_lsn(const RelationFile* relation) {
  // Maps of free space and visibility change without their LSN, an init fork is tiny.
  return relation && relation->fork == Fork::kMain;
}

std::vector<repo::Extent> slice(const std::vector<repo::Extent>& extents, uint64_t offset, uint64_t length) {
  std::vector<repo::Extent> result;
  uint64_t at = 0;
  for (const repo::Extent& extent : extents) {
    const uint64_t from = std::max(at, offset), to = std::min(at + extent.length_bytes, offset + length);
    if (from < to) {
      repo::Extent part{to - from, extent.block, extent.block_offset};
      if (part.block) part.block_offset += static_cast<uint32_t>(from - at);
      result.push_back(part);
    }
    at += extent.length_bytes;
  }
  return result;
}

}  // namespace

// What is known of each page of a region: where the previous snapshot has it, or
// that it has to be stored, or that it is zeros.
struct RegionCapture::Page {
  enum class Fate : uint8_t { kStore, kZero, kBefore } fate = Fate::kStore;
  repo::Extent before;  // with kBefore
};

// The previous snapshot's pages of a region: one extent of a page each (a hole, where
// they are zeros), or none where it has part of a page only.
struct RegionCapture::Before {
  std::vector<std::optional<repo::Extent>> pages;
  const repo::RegionRef* region = nullptr;  // when it is one stored region
  ByteView bytes;                           // of the pages, when they are to be compared
};

bool is_damage(const Error& error) {
  return error.code() == ErrorCode::kDamaged || error.code() == ErrorCode::kInvalidData ||
         error.code() == ErrorCode::kNotFound;
}

Result<std::vector<repo::Extent>> RegionCapture::extents_before(const Input& input, const repo::RegionRef*& region) {
  const repo::Content& content = *input.previous;
  const size_t index = input.offset / kRegionBytes;
  if (content.regions.empty()) return slice(content.extents, input.offset, kRegionBytes);
  const bool is_aligned = index < content.regions.size() &&
                          (index + 1 == content.regions.size() || content.regions[index].length_bytes == kRegionBytes);
  if (!is_aligned) return std::vector<repo::Extent>();
  region = &content.regions[index];
  return repo::read_region(session_.repository(), *region);
}

Result<RegionCapture::Before> RegionCapture::look_before(const Input& input) {
  Before before;
  if (!input.previous || input.previous_bytes <= input.offset) return before;
  auto found = extents_before(input, before.region);
  if (!found.ok() && is_damage(found.error())) return Before();
  const std::vector<repo::Extent> extents = TRY(std::move(found));
  uint64_t at = 0;  // of the extent, in the region
  for (const repo::Extent& extent : extents) {
    const uint64_t first = (at + kPageBytes - 1) / kPageBytes, last = (at + extent.length_bytes) / kPageBytes;
    if (first < last) before.pages.resize(last);
    for (uint64_t page = first; page < last; page++) {
      const uint64_t offset = extent.block ? extent.block_offset + (page * kPageBytes - at) : 0;
      before.pages[page] = repo::Extent{kPageBytes, extent.block, static_cast<uint32_t>(offset)};
    }
    at += extent.length_bytes;
  }
  return before;
}

// Reads the pages themselves, where they are to be compared.
Result<void> RegionCapture::read_before(const Input& input, Before& before) {
  if (!(rules_.compare || input.compare) || before.pages.empty()) return {};
  const repo::RegionRef* region = nullptr;
  const std::vector<repo::Extent> extents = TRY(extents_before(input, region));
  uint64_t bytes = 0;
  for (const repo::Extent& extent : extents) bytes += extent.length_bytes;
  thread_local Bytes buffer;
  if (buffer.size() < bytes) buffer.resize(bytes);
  auto read = RegionReader(session_.repository()).read(extents, buffer.mutable_view().first(bytes));
  if (read.ok()) {
    before.bytes = buffer.view(0, bytes);
  } else if (is_damage(read.error())) {
    before = Before();
  } else {
    return read;
  }
  return {};
}

// Whether the previous snapshot has the page as it is.
Result<bool> RegionCapture::is_unchanged(const Before& before, size_t index, ByteView page) {
  if (index >= before.pages.size() || !before.pages[index] || !before.pages[index]->block) return false;
  if (!before.bytes.empty()) return equal(page, before.bytes.subspan(index * kPageBytes, kPageBytes));
  const Lsn lsn = page_lsn(page.data());
  return lsn < *rules_.unchanged_below && lsn.value >= kSmallestRealLsn;
}

// Checks one page; reads it again as long as it looks wrong and may only be in
// the middle of being written.
Result<PageState> RegionCapture::examine(const Input& input, MutableByteView page, uint64_t offset,
                                         RegionOutcome& outcome) {
  const auto block =
      static_cast<uint32_t>(input.relation->segment * uint64_t{rules_.segment_pages} + offset / kPageBytes);
  PageState state = check_page(page.data(), block, rules_.checksums);
  if (state == PageState::kGood || state == PageState::kZero) return state;
  bool moved = !input.read_again;
  if (input.read_again) {
    const Bytes first = Bytes::copy_of(page);
    const size_t times = damaged_ < kMostWaitedFor ? kReadAgainTimes : kReadAgainOfMany;
    for (size_t i = 0; i < times; i++) {
      if (i >= kReadAgainFirst) clock_.sleep(kReadAgainPause);
      const size_t got = TRY(input.read_again(offset, page));
      if (got < page.size()) return PageState::kZero;  // cut off meanwhile; replay cuts it off too
      state = check_page(page.data(), block, rules_.checksums);
      if (state == PageState::kGood || state == PageState::kZero) return state;
      moved = moved || !equal(first, page);
    }
    if (!moved) damaged_++;
  }
  // What is written while the capture runs is in the WAL as a whole page.
  const Lsn lsn = page_lsn(page.data());
  const bool written_now = moved && lsn >= rules_.start;
  (written_now ? outcome.torn : outcome.bad).push_back({block, std::string(problem_of(state)), lsn});
  return state;
}

Result<void> RegionCapture::store_whole(ByteView bytes, std::vector<PagePacker::Extent>& extents) {
  for (size_t at = 0; at < bytes.size(); at += kBlockBytes) {
    const ByteView block = bytes.subspan(at, std::min(kBlockBytes, bytes.size() - at));
    std::optional<repo::BlockId> id;
    if (!all_zero(block)) id = TRY(session_.put(repo::BlockKind::kData, block));
    extents.push_back({{block.size(), id, 0}, nullptr});
  }
  return {};
}

// How many blocks of earlier snapshots the pages would be read from.
size_t RegionCapture::count_blocks(const std::vector<Page>& pages) {
  std::unordered_set<repo::BlockId> blocks;
  const repo::BlockId* last = nullptr;
  for (const Page& page : pages) {
    if (page.fate != Page::Fate::kBefore || !page.before.block) continue;
    if (last && *last == *page.before.block) continue;
    last = &*page.before.block;
    blocks.insert(*last);
  }
  return blocks.size();
}

// Whether so much of a block's worth of pages is new that all of it is stored.
bool RegionCapture::is_mostly_new(const std::vector<Page>& pages, size_t first) {
  const size_t count = std::min(kPagesOfBlock, pages.size() - first);
  const auto begin = pages.begin() + static_cast<ptrdiff_t>(first);
  const auto fresh = static_cast<size_t>(std::count_if(
      begin, begin + static_cast<ptrdiff_t>(count), [](const Page& page) { return page.fate == Page::Fate::kStore; }));
  return fresh * kWholeShareDenominator >= count * kWholeShareNumerator;
}

Result<void> RegionCapture::assemble(ByteView bytes, const std::vector<Page>& pages, RegionOutcome& outcome) {
  PagePacker::Lane lane(packer_);
  for (size_t first = 0; first < pages.size(); first += kPagesOfBlock) {
    const size_t count = std::min(kPagesOfBlock, pages.size() - first);
    if (is_mostly_new(pages, first)) {
      TRY(store_whole(bytes.subspan(first * kPageBytes, count * kPageBytes), outcome.extents));
      outcome.stored_pages += count;
      continue;
    }
    for (size_t i = first; i < first + count; i++) {
      switch (pages[i].fate) {
        case Page::Fate::kStore:
          outcome.stored_pages++;
          TRY(lane.add(bytes.subspan(i * kPageBytes, kPageBytes), outcome.extents));
          break;
        case Page::Fate::kZero: outcome.extents.push_back({{kPageBytes, std::nullopt, 0}, nullptr}); break;
        case Page::Fate::kBefore: outcome.extents.push_back({pages[i].before, nullptr}); break;
      }
    }
  }
  const ByteView tail = bytes.subspan(pages.size() * kPageBytes);  // of a page: the file grows at this moment
  if (!tail.empty()) TRY(lane.add(tail, outcome.extents));
  return {};
}

Result<void> RegionCapture::capture_pages(const Input& input, MutableByteView bytes, RegionOutcome& outcome) {
  const bool incremental = rules_.unchanged_below && trusts_lsn(input.relation);
  Before before = incremental ? TRY(look_before(input)) : Before();
  TRY(read_before(input, before));
  std::vector<Page> pages(bytes.size() / kPageBytes);
  std::unordered_map<repo::BlockId, bool> reusable;
  bool all_before = before.region && before.region->length_bytes == bytes.size() && bytes.size() % kPageBytes == 0;
  for (size_t i = 0; i < pages.size(); i++) {
    const MutableByteView page = bytes.subspan(i * kPageBytes, kPageBytes);
    const PageState state = TRY(examine(input, page, input.offset + i * kPageBytes, outcome));
    if (state == PageState::kZero) {
      pages[i].fate = Page::Fate::kZero;
    } else if (state == PageState::kGood && TRY(is_unchanged(before, i, page))) {
      const repo::BlockId& block = *before.pages[i]->block;
      auto known = reusable.find(block);
      if (known == reusable.end()) known = reusable.emplace(block, TRY(session_.reuse(block))).first;
      if (known->second) pages[i] = {Page::Fate::kBefore, *before.pages[i]};
    }
    all_before = all_before && pages[i].fate == Page::Fate::kBefore;
  }
  if (all_before && TRY(session_.reuse(before.region->id))) {
    outcome.taken_over = *before.region;
    return {};
  }
  if (before.pages.empty() || count_blocks(pages) > most_blocks(*input.relation, input.offset)) {
    outcome.stored_pages = pages.size();
    return store_whole(bytes, outcome.extents);
  }
  return assemble(bytes, pages, outcome);
}

// ---- what the log says has changed

// What becomes of each page; adds to those that are wanted. A page that was zeros may
// be one whose first content was logged before that snapshot and written after it had
// passed: index builds write past the buffers. False: read the region whole.
Result<bool> RegionCapture::plan_changed(const Input& input, const Before& before, ChangedBlocks::Pages& wanted,
                                         std::vector<Page>& pages) {
  std::unordered_map<repo::BlockId, bool> reusable;
  for (size_t i = 0; i < pages.size(); i++) {
    if (i >= before.pages.size() || !before.pages[i] || !before.pages[i]->block) wanted.set(i);
    if (wanted[i]) continue;
    const repo::Extent& extent = *before.pages[i];
    pages[i] = {Page::Fate::kBefore, extent};
    auto known = reusable.find(*extent.block);
    if (known == reusable.end()) known = reusable.emplace(*extent.block, TRY(session_.reuse(*extent.block))).first;
    if (!known->second) return false;  // about to be collected
  }
  if (count_blocks(pages) > most_blocks(*input.relation, input.offset)) return false;
  for (size_t first = 0; first < pages.size(); first += kPagesOfBlock) {
    if (!is_mostly_new(pages, first)) continue;
    for (size_t i = first; i < std::min(first + kPagesOfBlock, pages.size()); i++) {
      wanted.set(i);
      pages[i] = {};
    }
  }
  return wanted.count() * 2 <= pages.size();
}

// Reads the wanted pages to their places in the region. False: the file has become
// shorter.
Result<bool> RegionCapture::read_changed(const Input& input, const ChangedBlocks::Pages& wanted, const Read& read,
                                         MutableByteView buffer, RegionOutcome& outcome) {
  const size_t count = buffer.size() / kPageBytes;
  for (size_t first = 0; first < count;) {
    if (!wanted[first]) {
      first++;
      continue;
    }
    size_t end = first + 1;
    while (end < count && wanted[end]) end++;
    const MutableByteView run = buffer.subspan(first * kPageBytes, (end - first) * kPageBytes);
    if (TRY(read(input.offset + first * kPageBytes, run)) < run.size()) return false;
    outcome.read_bytes += run.size();
    first = end;
  }
  return true;
}

// Pages that were not read must be as before, but for what has changed since the
// capture began, and for hints: all that is logged changes a page's LSN.
Result<void> RegionCapture::prove_unread(const Input& input, const ChangedBlocks::Pages& wanted, const Read& read,
                                         size_t bytes) {
  Bytes now(bytes);
  now.resize(TRY(read(input.offset, now.mutable_view())));
  const repo::RegionRef* region = nullptr;
  const std::vector<repo::Extent> extents = TRY(extents_before(input, region));
  uint64_t old_bytes = 0;
  for (const repo::Extent& extent : extents) old_bytes += extent.length_bytes;
  Bytes before(old_bytes);
  TRY(RegionReader(session_.repository()).read(extents, before.mutable_view()));
  for (size_t i = 0; (i + 1) * kPageBytes <= std::min(now.size(), before.size()); i++) {
    const ByteView page = now.view(i * kPageBytes, kPageBytes), old = before.view(i * kPageBytes, kPageBytes);
    if (wanted[i] || equal(page, old)) continue;
    const Lsn lsn = page_lsn(page.data());
    const bool both_empty = lsn.value < kSmallestRealLsn && page_lsn(old.data()).value < kSmallestRealLsn;
    if (lsn >= rules_.start || lsn == page_lsn(old.data()) || both_empty) continue;
    const uint64_t block = input.relation->segment * uint64_t{rules_.segment_pages} + input.offset / kPageBytes + i;
    return make_error(ErrorCode::kVerifyFailed,
                      "block {} of {}/{} is not as the previous snapshot has it, though the log does not name it",
                      block, input.relation->directory, input.relation->relation)
        .with_hint("something has changed the file behind the server's back: take a full point, and find out what");
  }
  return {};
}

Result<std::optional<RegionOutcome>> RegionCapture::capture_changed(const Input& input,
                                                                    const ChangedBlocks::Pages& changed,
                                                                    const Read& read, MutableByteView buffer) {
  static_assert(ChangedBlocks::kRegionPages * kPageBytes == kRegionBytes);
  const std::optional<RegionOutcome> read_it_whole;
  if (buffer.size() % kPageBytes != 0) return read_it_whole;  // it grows at this moment
  std::vector<Page> pages(buffer.size() / kPageBytes);
  RegionOutcome outcome;
  outcome.bytes = buffer.size();
  ChangedBlocks::Pages wanted;
  const uint64_t old_pages = (std::max(input.previous_bytes, input.offset) - input.offset) / kPageBytes;
  for (size_t i = 0; i < pages.size(); i++) wanted[i] = changed[i] || i >= old_pages;
  if (wanted.count() * 2 > pages.size()) return read_it_whole;
  const Before before = TRY(look_before(input));
  if (before.pages.empty() || !TRY(plan_changed(input, before, wanted, pages))) return read_it_whole;
  if (rules_.prove) TRY(prove_unread(input, wanted, read, buffer.size()));
  const bool all_before = wanted.none() && before.region && before.region->length_bytes == buffer.size();
  if (all_before && TRY(session_.reuse(before.region->id))) {
    outcome.taken_over = *before.region;
    return std::optional<RegionOutcome>(std::move(outcome));
  }
  if (!TRY(read_changed(input, wanted, read, buffer, outcome))) return read_it_whole;
  for (size_t i = 0; i < pages.size(); i++) {
    if (!wanted[i]) continue;
    const MutableByteView page = buffer.subspan(i * kPageBytes, kPageBytes);
    if (TRY(examine(input, page, input.offset + i * kPageBytes, outcome)) == PageState::kZero)
      pages[i].fate = Page::Fate::kZero;
  }
  TRY(assemble(buffer, pages, outcome));
  return std::optional<RegionOutcome>(std::move(outcome));
}

Result<RegionOutcome> RegionCapture::capture_new(const Input& input, const Read& read, uint64_t length,
                                                 MutableByteView buffer) {
  RegionOutcome outcome;
  while (outcome.bytes < length) {
    const uint64_t offset = input.offset + outcome.bytes;
    const MutableByteView block = buffer.first(std::min<uint64_t>(kBlockBytes, length - outcome.bytes));
    const MutableByteView bytes = block.first(TRY(read(offset, block)));
    const size_t pages = input.relation ? bytes.size() / kPageBytes : 0;
    for (size_t i = 0; i < pages; i++)
      TRY(examine(input, bytes.subspan(i * kPageBytes, kPageBytes), offset + i * kPageBytes, outcome));
    TRY(store_whole(bytes, outcome.extents));
    outcome.stored_pages += pages;
    outcome.bytes += bytes.size();
    if (bytes.size() < block.size()) break;
  }
  outcome.read_bytes = outcome.bytes;
  return outcome;
}

Result<RegionOutcome> RegionCapture::capture(const Input& input, MutableByteView bytes) {
  RegionOutcome outcome;
  outcome.bytes = outcome.read_bytes = bytes.size();
  if (input.relation) {
    TRY(capture_pages(input, bytes, outcome));
  } else {
    TRY(store_whole(bytes, outcome.extents));
  }
  return outcome;
}

}  // namespace holdfast::postgres
