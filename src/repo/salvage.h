#pragma once

#include <memory>

#include "repo/access.h"

namespace holdfast::repo {

// The blocks of a repository by way of a given index: one that was loaded although
// some of its objects are damaged, where the repository itself would refuse.
// Thread-safe.
class SalvageRepository : public Repository {
 public:
  SalvageRepository(RepositoryAccess& repository, std::shared_ptr<const Index> index)
      : repository_(repository), index_(std::move(index)) {}

  Result<std::shared_ptr<const Bytes>> read_block(const BlockId& id) override;
  Result<void> read_block_into(const BlockId& id, MutableByteView out) override;
  Result<uint32_t> block_size(const BlockId& id) override;
  void set_cache_bytes(size_t) override {}
  BlockId id_of(BlockKind kind, ByteView plain) const override { return repository_.id_of(kind, plain); }
  Result<std::vector<Point>> points(const OnDamaged& damaged = nullptr) override { return repository_.points(damaged); }
  Result<Point> find_point(std::string_view id) override { return repository_.find_point(id); }
  Result<void> remove_point(const PointId& id) override { return repository_.remove_point(id); }
  Result<void> refresh() override { return {}; }
  Environment& environment() override { return repository_.environment(); }
  const std::string& id() const override { return repository_.id(); }

  const Index& index() const { return *index_; }

 private:
  RepositoryAccess& repository_;
  const std::shared_ptr<const Index> index_;
};

}  // namespace holdfast::repo
