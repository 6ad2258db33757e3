#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/parallel.h"
#include "repo/repository.h"
#include "repo/tree.h"
#include "source/redis/byte_source.h"
#include "source/source.h"

namespace holdfast::redis {

// The entry of a snapshot's RDB file. kInvalidData when the tree has none.
Result<repo::Entry> find_rdb(repo::Repository& repository, const repo::Snapshot& snapshot);

// A file of a snapshot, read from its beginning to its end. Blocks are fetched and
// decoded ahead by World::threads threads, a bounded number at a time, while the
// reader works. One thread reads; repository and world outlive it. kDamaged and the
// like name the file and its bytes; kInterrupted when World::progress asks to stop.
class StoredFile : public ByteSource {
 public:
  StoredFile(source::World& world, repo::Repository& repository, repo::Entry entry);
  ~StoredFile() override;
  Result<size_t> read(MutableByteView out) override;

 private:
  // A piece of the file: part of a block, or zeros.
  struct Piece {
    uint64_t offset = 0, length = 0;
    repo::Extent extent;
    std::shared_ptr<const Bytes> block;
  };
  using Item = Result<Piece>;
  void fetch();
  Result<void> fetch_all();
  Result<std::optional<Piece>> next_piece();
  Result<Piece> load(Piece& piece);
  Result<bool> advance();  // to the next piece; false at the end

  source::World& world_;
  repo::Repository& repository_;
  const repo::Entry entry_;
  // Where the fetcher is in the file.
  size_t region_ = 0, extent_ = 0;
  std::vector<repo::Extent> extents_;
  uint64_t offset_ = 0;
  // Where the reader is.
  Piece piece_;
  uint64_t at_ = 0, done_ = 0;
  bool ended_ = false;
  BoundedQueue<std::shared_ptr<Item>> queue_;
  std::jthread fetcher_;
};

}  // namespace holdfast::redis
