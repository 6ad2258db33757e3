#include "source/postgres/page_packer.h"

namespace holdfast::postgres {

std::shared_ptr<PagePacker::Block> PagePacker::take() {
  std::lock_guard lock(mutex_);
  if (idle_.empty()) return std::make_shared<Block>();
  auto block = std::move(idle_.back());
  idle_.pop_back();
  return block;
}

void PagePacker::give_back(std::shared_ptr<Block> block) {
  if (block->pages.empty()) return;
  std::lock_guard lock(mutex_);
  idle_.push_back(std::move(block));
}

Result<void> PagePacker::store(Block& block) {
  const repo::BlockId id = TRY(session_.put(repo::BlockKind::kData, block.pages));
  std::lock_guard lock(mutex_);
  block.id = id;
  block.stored = true;
  block.pages = Bytes();
  return {};
}

Result<void> PagePacker::Lane::add(ByteView bytes, std::vector<Extent>& extents) {
  if (block_->pages.size() + bytes.size() > kBlockBytes) {
    TRY(packer_.store(*block_));
    block_ = std::make_shared<Block>();
  }
  if (block_->pages.empty()) block_->pages.reserve(kBlockBytes);
  const auto offset = static_cast<uint32_t>(block_->pages.size());
  block_->pages.append(bytes);
  if (!extents.empty()) {
    Extent& last = extents.back();
    if (last.block == block_ && last.extent.block_offset + last.extent.length_bytes == offset) {
      last.extent.length_bytes += bytes.size();
      return {};
    }
  }
  extents.push_back({{bytes.size(), std::nullopt, offset}, block_});
  return {};
}

bool PagePacker::resolve(std::vector<Extent>& extents) {
  std::lock_guard lock(mutex_);
  for (Extent& item : extents) {
    if (!item.block) continue;
    if (!item.block->stored) return false;
    item.extent.block = item.block->id;
    item.block.reset();
  }
  return true;
}

Result<void> PagePacker::store_idle() {
  std::vector<std::shared_ptr<Block>> open;
  {
    std::lock_guard lock(mutex_);
    open.swap(idle_);
  }
  for (auto& block : open) TRY(store(*block));
  return {};
}

}  // namespace holdfast::postgres
