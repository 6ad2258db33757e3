#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "repo/repository.h"
#include "repo/tree.h"

namespace holdfast::postgres {

// Gathers pages that changed here and there into shared blocks, so that an
// incremental stores about the changed pages and no more, and so that pages that
// lie near each other in a file lie in one block: a restore reads it once.
//
// Each worker takes an open block of its own, fills it, and gives it back; a full
// one is stored. Thread-safe.
class PagePacker {
 public:
  static constexpr size_t kBlockBytes = 256 << 10;

  // A block being filled. Its id is known when it is stored.
  struct Block {
    Bytes pages;
    repo::BlockId id;
    bool stored = false;
  };
  // An extent of a file that may lie in a block that is not stored yet.
  struct Extent {
    repo::Extent extent;
    std::shared_ptr<Block> block;  // null: `extent` is final
  };

  explicit PagePacker(repo::WriteSession& session) : session_(session) {}

  // The open block of one worker, for as long as it packs one region.
  class Lane {
   public:
    explicit Lane(PagePacker& packer) : packer_(packer), block_(packer.take()) {}
    ~Lane() { packer_.give_back(std::move(block_)); }
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;
    // Appends bytes of a file; adds the extent that refers to them.
    Result<void> add(ByteView bytes, std::vector<Extent>& extents);

   private:
    PagePacker& packer_;
    std::shared_ptr<Block> block_;
  };

  // Whether the extents' ids are known; then they are filled in.
  bool resolve(std::vector<Extent>& extents);
  // Stores the open blocks that no worker holds.
  Result<void> store_idle();

 private:
  std::shared_ptr<Block> take();
  void give_back(std::shared_ptr<Block> block);
  Result<void> store(Block& block);

  repo::WriteSession& session_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Block>> idle_;
};

}  // namespace holdfast::postgres
