#include "repo/salvage.h"

#include <algorithm>

namespace holdfast::repo {

Result<std::shared_ptr<const Bytes>> SalvageRepository::read_block(const BlockId& id) {
  Error error = make_error(ErrorCode::kNotFound, "block {}: no index knows it", id.hex());
  for (const IndexEntry& entry : index_->find(id)) {
    auto block = repository_.read_block_at(index_->packs()[entry.pack], entry);
    if (block.ok()) return std::shared_ptr<const Bytes>(std::make_shared<Bytes>(std::move(block).value()));
    error = std::move(block).error();
    if (error.code() == ErrorCode::kNotFound) error = std::move(error).with_code(ErrorCode::kDamaged);
  }
  return error;
}

Result<void> SalvageRepository::read_block_into(const BlockId& id, MutableByteView out) {
  const auto block = TRY(read_block(id));
  if (block->size() != out.size())
    return make_error(ErrorCode::kDamaged, "block {} has {} bytes", id.hex(), block->size());
  std::copy(block->begin(), block->end(), out.begin());
  return {};
}

Result<uint32_t> SalvageRepository::block_size(const BlockId& id) {
  return static_cast<uint32_t>(TRY(read_block(id))->size());
}

}  // namespace holdfast::repo
