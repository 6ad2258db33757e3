#include "source/redis/stored_file.h"

#include <algorithm>

#include "source/redis/command_log.h"

namespace holdfast::redis {
namespace {

// Blocks that wait decoded: what the reader may be behind.
constexpr size_t kPiecesAhead = 4;

}  // namespace

Result<repo::Entry> find_rdb(repo::Repository& repository, const repo::Snapshot& snapshot) {
  auto tree = TRY(repo::TreeReader::open(repository, snapshot.root));
  while (auto entry = TRY(tree->next())) {
    if (entry->path == kRdbName && entry->kind == repo::EntryKind::kFile) return std::move(*entry);
  }
  return make_error(ErrorCode::kInvalidData, "the snapshot of '{}' has no {}", snapshot.component, kRdbName);
}

StoredFile::StoredFile(source::World& world, repo::Repository& repository, repo::Entry entry)
    : world_(world), repository_(repository), entry_(std::move(entry)), queue_(kPiecesAhead) {
  if (entry_.content.regions.empty()) extents_ = entry_.content.extents;
  fetcher_ = std::jthread([this] { fetch(); });
}

StoredFile::~StoredFile() { queue_.close(); }

// What ends the file early is the last item.
void StoredFile::fetch() {
  auto fetched = fetch_all();
  if (!fetched.ok()) queue_.push(std::make_shared<Item>(std::move(fetched).error()));
  queue_.close();
}

Result<void> StoredFile::fetch_all() {
  return ordered_pipeline<Piece, Piece>(
      world_.threads, kPiecesAhead, [this] { return next_piece(); }, [this](Piece& piece) { return load(piece); },
      [this](Piece piece) -> Result<void> {
        if (!queue_.push(std::make_shared<Item>(std::move(piece))))
          return make_error(ErrorCode::kInterrupted, "nobody reads on");
        return {};
      });
}

Result<std::optional<StoredFile::Piece>> StoredFile::next_piece() {
  if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "reading {} was stopped", entry_.path);
  while (extent_ == extents_.size()) {
    if (region_ == entry_.content.regions.size()) return std::optional<Piece>();
    extents_ = TRY_CONTEXT(repo::read_region(repository_, entry_.content.regions[region_++]), "{}, from byte {}",
                           entry_.path, offset_);
    extent_ = 0;
  }
  Piece piece;
  piece.offset = offset_;
  piece.extent = extents_[extent_++];
  piece.length = piece.extent.length_bytes;
  offset_ += piece.length;
  return std::optional<Piece>(std::move(piece));
}

Result<StoredFile::Piece> StoredFile::load(Piece& piece) {
  if (piece.extent.block) {
    piece.block = TRY_CONTEXT(repository_.read_block(*piece.extent.block), "{}, bytes {} to {}", entry_.path,
                              piece.offset, piece.offset + piece.length);
    if (piece.extent.block_offset + piece.length > piece.block->size()) {
      return make_error(ErrorCode::kInvalidData, "{}: an extent reaches past the end of block {}", entry_.path,
                        piece.extent.block->hex());
    }
  }
  return std::move(piece);
}

Result<bool> StoredFile::advance() {
  if (ended_) return false;
  auto item = queue_.pop();
  if (!item) {
    ended_ = true;
    if (done_ == entry_.size_bytes) return false;
    return make_error(ErrorCode::kInvalidData, "{}: its content is {} bytes long, not {}", entry_.path, done_,
                      entry_.size_bytes);
  }
  piece_ = TRY(std::move(**item));
  at_ = 0;
  return true;
}

Result<size_t> StoredFile::read(MutableByteView out) {
  while (at_ == piece_.length) {
    if (!TRY(advance())) return size_t{0};
  }
  const size_t length = std::min<uint64_t>(out.size(), piece_.length - at_);
  if (piece_.block) {
    std::memcpy(out.data(), piece_.block->data() + piece_.extent.block_offset + at_, length);
  } else {
    std::memset(out.data(), 0, length);
  }
  at_ += length;
  done_ += length;
  world_.progress.bytes_done += length;
  return length;
}

}  // namespace holdfast::redis
