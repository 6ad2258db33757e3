#pragma once

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "base/time.h"
#include "repo/repository.h"

namespace holdfast::repo {

// A repository for tests that keeps blocks and points in maps: no store, no keys,
// no compression. Fast, and it can lose or damage a block on demand. Thread-safe.
class TestRepository : public Repository {
 public:
  explicit TestRepository(Clock& clock = system_clock(), Random& random = system_random())
      : environment_{no_store_, clock, random} {}

  Result<std::shared_ptr<const Bytes>> read_block(const BlockId& block) override {
    std::lock_guard lock(mutex_);
    reads_++;
    const auto found = blocks_.find(block);
    if (found == blocks_.end()) return make_error(ErrorCode::kNotFound, "block {}: no index knows it", block.hex());
    if (damaged_.count(block)) return make_error(ErrorCode::kDamaged, "block {}: damaged", block.hex());
    return found->second;
  }
  Result<void> read_block_into(const BlockId& block, MutableByteView out) override {
    const auto bytes = TRY(read_block(block));
    CHECK(bytes->size() == out.size());
    std::copy(bytes->begin(), bytes->end(), out.begin());
    return {};
  }
  Result<uint32_t> block_size(const BlockId& block) override {
    return static_cast<uint32_t>(TRY(read_block(block))->size());
  }
  void set_cache_bytes(size_t) override {}

  // Two rounds of FNV-1a: good enough to tell the blocks of a test apart.
  BlockId id_of(BlockKind kind, ByteView plain) const override {
    BlockId result;
    for (uint64_t round = 0; round < 2; round++) {
      uint64_t value = 0xcbf29ce484222325u + round * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(kind);
      for (const uint8_t byte : plain) value = (value ^ byte) * 0x100000001b3u;
      value ^= value >> 31;
      std::memcpy(result.bytes.data() + 8 * round, &value, sizeof value);
    }
    return result;
  }

  Result<std::vector<Point>> points(const OnDamaged& = nullptr) override {
    std::lock_guard lock(mutex_);
    return points_;
  }
  Result<Point> find_point(std::string_view id_or_latest) override {
    std::lock_guard lock(mutex_);
    if (id_or_latest == "latest" && !points_.empty()) return points_.back();
    for (const Point& point : points_) {
      if (point.id.hex().starts_with(id_or_latest)) return point;
    }
    return make_error(ErrorCode::kNotFound, "no point {}", id_or_latest);
  }
  Result<void> remove_point(const PointId& point) override {
    std::lock_guard lock(mutex_);
    std::erase_if(points_, [&](const Point& each) { return each.id == point; });
    return {};
  }
  Result<void> refresh() override { return {}; }
  Environment& environment() override { return environment_; }
  const std::string& id() const override { return id_; }

  // ---- For tests.
  bool put(const BlockId& block, ByteView plain) {
    std::lock_guard lock(mutex_);
    return blocks_.try_emplace(block, std::make_shared<Bytes>(Bytes::copy_of(plain))).second;
  }
  void add_point(const Point& point) {
    std::lock_guard lock(mutex_);
    points_.push_back(point);
  }
  bool has(const BlockId& block) {
    std::lock_guard lock(mutex_);
    return blocks_.count(block) > 0;
  }
  void lose(const BlockId& block) {
    std::lock_guard lock(mutex_);
    blocks_.erase(block);
  }
  void damage(const BlockId& block) {
    std::lock_guard lock(mutex_);
    damaged_.insert(block);
  }
  size_t block_count() {
    std::lock_guard lock(mutex_);
    return blocks_.size();
  }
  uint64_t reads() const { return reads_; }

 private:
  // There are no objects in such a repository.
  class NoStore : public store::ObjectStore {
   public:
    Result<void> create(std::string_view, ByteView) override { return none(); }
    Result<Bytes> read(std::string_view, uint64_t, size_t) override { return none(); }
    Result<Bytes> read_all(std::string_view) override { return none(); }
    Result<store::ObjectInfo> stat(std::string_view) override { return none(); }
    Result<void> list(std::string_view, const std::function<Result<void>(const store::ObjectInfo&)>&) override {
      return none();
    }
    Result<void> remove(std::string_view) override { return none(); }
    Result<Time> server_time() override { return none(); }
    std::string location() const override { return "nowhere"; }

   private:
    static Error none() { return make_error(ErrorCode::kUnsupported, "this repository has no store"); }
  };

  NoStore no_store_;
  Environment environment_;
  const std::string id_ = std::string(32, '0');
  std::mutex mutex_;
  std::unordered_map<BlockId, std::shared_ptr<const Bytes>> blocks_;
  std::set<BlockId> damaged_;
  std::vector<Point> points_;
  std::atomic<uint64_t> reads_{0};
};

// A write session on a TestRepository.
class TestSession : public WriteSession {
 public:
  explicit TestSession(TestRepository& repository) : repository_(repository) {}

  Result<BlockId> put(BlockKind kind, ByteView plain) override {
    const BlockId id = repository_.id_of(kind, plain);
    TRY(put_known(id, kind, plain));
    return id;
  }
  Result<void> put_known(const BlockId& id, BlockKind, ByteView plain) override {
    if (plain.size() > kMaxBlockBytes)
      return make_error(ErrorCode::kInternal, "a block of {} bytes is too large", plain.size());
    std::lock_guard lock(mutex_);
    if (repository_.put(id, plain)) {
      stats_.blocks_new++;
      stats_.raw_bytes_new += plain.size();
      stats_.stored_bytes += plain.size();
    } else {
      stats_.blocks_reused++;
    }
    return {};
  }
  Result<bool> reuse(const BlockId& id) override {
    std::lock_guard lock(mutex_);
    if (!repository_.has(id)) return false;
    stats_.blocks_reused++;
    return true;
  }
  Result<PointId> commit(Point& point) override {
    for (uint8_t& byte : point.id.bytes) byte = static_cast<uint8_t>(system_random().u64());
    repository_.add_point(point);
    return point.id;
  }
  Result<void> flush() override { return {}; }
  void store_ahead() override {}
  Repository& repository() override { return repository_; }
  WriteStats stats() const override {
    std::lock_guard lock(mutex_);
    return stats_;
  }

 private:
  TestRepository& repository_;
  mutable std::mutex mutex_;
  WriteStats stats_;
};

}  // namespace holdfast::repo
