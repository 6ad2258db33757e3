#include <array>
#include <bit>

#include "repo/repository.h"
#include "repo/tree.h"
#include "repo/tree_codec.h"

// Where chunks end. An entry ends a chunk when the digest of its path says so, with
// a chance that makes chunks about kTargetBytes long. A chunk that has become long
// all the same (entries of large files take kilobytes) ends at the next path whose
// digest is a multiple of eight, and at kMaxBytes whatever comes. So an insertion
// changes the chunk that it falls in, and the ends after it fall where they fell.

namespace holdfast::repo {
namespace {

constexpr size_t kTargetBytes = 64u << 10;
constexpr size_t kMaxBytes = 1u << 20;
constexpr size_t kMaxChunkPaths = 8u << 20;  // bytes of paths, expanded
constexpr size_t kMaxEntryBytes = 6u << 20;  // leaves room below the largest block
constexpr size_t kUsualEntryBytes = 48;      // beside the path
constexpr size_t kPageRefs = 1024;           // in a page, at most
constexpr size_t kPageBytes = 1u << 20;

// FNV-1a with a finish that mixes the high bits down. It only has to be the same
// everywhere and for ever: it is part of the format.
uint64_t path_digest(std::string_view path) {
  uint64_t value = 0xcbf29ce484222325u;
  for (const char c : path) value = (value ^ static_cast<uint8_t>(c)) * 0x100000001b3u;
  value ^= value >> 32;
  value *= 0x9e3779b97f4a7c15u;
  return value ^ (value >> 29);
}

bool ends_chunk(const ChunkEncoder& chunk, std::string_view path) {
  const uint64_t digest = path_digest(path);
  if (digest % kTargetBytes < kUsualEntryBytes + std::min<size_t>(path.size(), 256)) return true;
  if (chunk.size_bytes() >= kMaxBytes || chunk.path_bytes() >= kMaxChunkPaths) return true;
  if (chunk.entries() >= kMaxChunkEntries || chunk.regions() >= kMaxChunkRegions / 2) return true;
  return chunk.size_bytes() >= kTargetBytes && digest % 8 == 0;
}

// Likewise for pages: one reference in 256 ends its page, by its block's id.
bool ends_page(const TreePage& page, size_t page_bytes) {
  return page.refs.back().id.bytes[0] == 0 || page.refs.size() >= kPageRefs || page_bytes >= kPageBytes;
}

}  // namespace

struct TreeWriter::State {
  explicit State(WriteSession& write_session) : session(write_session) {}

  Result<void> store_chunk() {
    TreeRef ref;
    ref.entries = chunk.entries();
    ref.file_bytes = chunk.file_bytes();
    ref.first_path = chunk.first_path();
    ref.id = TRY(session.put(BlockKind::kTreeChunk, chunk.take()));
    return add_ref(0, std::move(ref));
  }

  Result<void> add_ref(size_t level, TreeRef ref) {
    CHECK(level <= kMaxTreeLevel);
    page_bytes[level] += sizeof ref.id + 12 + ref.first_path.size();
    pages[level].refs.push_back(std::move(ref));
    // The topmost level is never cut: the root must be one page. 1024^7 chunks don't come.
    if (level < kMaxTreeLevel && ends_page(pages[level], page_bytes[level])) TRY(store_page(level));
    return {};
  }

  Result<BlockId> put_page(size_t level) {
    pages[level].level = static_cast<uint8_t>(level);
    return session.put(BlockKind::kTreeRoot, encode_page(pages[level]));
  }

  Result<void> store_page(size_t level) {
    TreeRef ref;
    ref.id = TRY(put_page(level));
    for (const TreeRef& below : pages[level].refs) {
      ref.entries += below.entries;
      ref.file_bytes += below.file_bytes;
    }
    ref.first_path = pages[level].refs.front().first_path;
    pages[level].refs.clear();
    page_bytes[level] = 0;
    return add_ref(level + 1, std::move(ref));
  }

  bool empty_above(size_t level) const {
    for (size_t above = level + 1; above <= kMaxTreeLevel; above++) {
      if (!pages[above].refs.empty()) return false;
    }
    return true;
  }

  WriteSession& session;
  ChunkEncoder chunk;
  std::string last_path;
  bool any = false;
  std::array<TreePage, kMaxTreeLevel + 1> pages;
  std::array<size_t, kMaxTreeLevel + 1> page_bytes{};
};

TreeWriter::TreeWriter(WriteSession& session) : state_(std::make_unique<State>(session)) {}
TreeWriter::~TreeWriter() = default;

Result<void> TreeWriter::add(const Entry& entry) {
  State& state = *state_;
  if (state.any && compare_paths(state.last_path, entry.path) >= 0) {
    return make_error(ErrorCode::kInvalidData, "tree entry '{}' comes after '{}', which sorts behind it", entry.path,
                      state.last_path);
  }
  const size_t before = state.chunk.size_bytes();
  TRY(state.chunk.add(entry));
  if (state.chunk.size_bytes() - before > kMaxEntryBytes) {
    return make_error(ErrorCode::kUnsupported, "tree entry '{}' takes {} bytes, more than {}", entry.path,
                      state.chunk.size_bytes() - before, kMaxEntryBytes)
        .with_hint("store so large a file in larger regions");
  }
  state.any = true;
  state.last_path = entry.path;
  if (ends_chunk(state.chunk, entry.path)) TRY(state.store_chunk());
  return {};
}

Result<BlockId> TreeWriter::finish() {
  State& state = *state_;
  if (state.chunk.entries() > 0) TRY(state.store_chunk());
  // Pages that are not full yet go to the level above until one page is all that is left.
  for (size_t level = 0;; level++) {
    if (state.empty_above(level)) {
      // A lone reference to a page would be a root that says nothing: the page itself is the root.
      if (level > 0 && state.pages[level].refs.size() == 1) return state.pages[level].refs.front().id;
      return state.put_page(level);
    }
    if (!state.pages[level].refs.empty()) TRY(state.store_page(level));
  }
}

std::strong_ordering compare_paths(std::string_view a, std::string_view b) {
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; i++) {
    if (a[i] == b[i]) continue;
    // No path holds a NUL, so '/' can take its place in the order.
    const uint8_t left = a[i] == '/' ? 0 : static_cast<uint8_t>(a[i]);
    const uint8_t right = b[i] == '/' ? 0 : static_cast<uint8_t>(b[i]);
    return left <=> right;
  }
  return a.size() <=> b.size();
}

}  // namespace holdfast::repo
