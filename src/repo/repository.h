#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/time.h"
#include "repo/ids.h"
#include "repo/point.h"
#include "store/object_store.h"

namespace holdfast::repo {

// What a block holds. The kind is part of its id and of its AEAD data, so that
// one kind can't be passed off as another.
enum class BlockKind : uint8_t { kData = 1, kRegion = 2, kTreeChunk = 3, kTreeRoot = 4 };

// Everything that the repository needs of the world. References outlive it.
struct Environment {
  store::ObjectStore& store;
  Clock& clock;
  Random& random;
};

struct InitOptions {
  // Argon2id cost of the first passphrase.
  uint64_t kdf_memory_bytes = 64ull << 20;
  uint32_t kdf_passes = 2;
};

class Repository;

// The keys of a repository are in repo/keyring.h, collection in
// repo/collect.h, check and explain in repo/check.h, the logs in repo/log_store.h.

// Creates a repository; kAlreadyExists (and nothing changed) when the location
// holds one, kTargetNotEmpty when it holds anything else.
Result<std::unique_ptr<Repository>> init_repository(Environment environment, const Secret& passphrase,
                                                    const InitOptions& options = {});

// Opens one: kNoRepository, kWrongPassphrase, kNewerFormat, kDamaged.
Result<std::unique_ptr<Repository>> open_repository(Environment environment, const Secret& passphrase);

// An open repository: reads blocks, lists points. Thread-safe. The index (28
// bytes per block) is loaded at the first need and refreshed by refresh().
class Repository {
 public:
  virtual ~Repository() = default;

  // The plaintext of a block, verified against its AEAD tag and its id before
  // it is returned. kDamaged names the pack and the block; kNotFound: no index
  // knows it. Decoded blocks are cached (bounded, see set_cache_bytes).
  virtual Result<std::shared_ptr<const Bytes>> read_block(const BlockId& id) = 0;
  // The same, decoded into `out` without touching the cache when it is not there
  // already; out.size() must be the block's raw size (block_size()).
  virtual Result<void> read_block_into(const BlockId& id, MutableByteView out) = 0;
  virtual Result<uint32_t> block_size(const BlockId& id) = 0;
  // Packs are read where these blocks lie together; a hint, may do nothing.
  virtual void set_cache_bytes(size_t bytes) = 0;

  // Id of these bytes, whether stored or not.
  virtual BlockId id_of(BlockKind kind, ByteView plain) const = 0;

  // All points, oldest first. Damaged point objects are reported through
  // `damaged` (object name, error) when given, and fail the call otherwise.
  using OnDamaged = std::function<void(const std::string& object, const Error& error)>;
  virtual Result<std::vector<Point>> points(const OnDamaged& damaged = nullptr) = 0;
  // A point by an unambiguous prefix of its id (at least 4 digits) or "latest".
  virtual Result<Point> find_point(std::string_view id_or_latest) = 0;
  // Removes the point object. Its blocks stay until collection.
  virtual Result<void> remove_point(const PointId& id) = 0;

  // Forgets the loaded index, so that it is read anew at the next need.
  virtual Result<void> refresh() = 0;

  virtual Environment& environment() = 0;
  virtual const std::string& id() const = 0;  // of the repository: 32 hex digits, random
};

struct WriteOptions {
  std::string purpose = "backup";       // in the lease, for people
  int compression_level = 3;            // zstd
  Duration lease = Duration::hours(1);  // renewed while the session lives
  size_t pack_bytes = 32u << 20;
};

struct WriteStats {
  uint64_t blocks_new = 0, blocks_reused = 0;
  uint64_t raw_bytes_new = 0;
  uint64_t stored_bytes = 0;  // packs + index + point
};

// Adds blocks to the repository and commits a point. Holds a lease from begin()
// to commit() or destruction. Thread-safe, except commit(), which comes once and
// after every put() returned. Blocks that were put but never committed are
// garbage that collection removes.
class WriteSession {
 public:
  static Result<std::unique_ptr<WriteSession>> begin(Repository& repository, const WriteOptions& options);
  virtual ~WriteSession() = default;

  // Stores a block of at most kMaxBlockBytes unless it is there already.
  static constexpr size_t kMaxBlockBytes = 8u << 20;
  virtual Result<BlockId> put(BlockKind kind, ByteView plain) = 0;
  // As put(), when the id is known to the caller already (id == id_of(kind, plain)).
  virtual Result<void> put_known(const BlockId& id, BlockKind kind, ByteView plain) = 0;
  // Whether a block may be referred to without putting it; remembers that it was,
  // so that commit() can prove its pack is still there. Use this for every block
  // or region taken over from an earlier snapshot.
  virtual Result<bool> reuse(const BlockId& id) = 0;

  // Flushes packs and index, proves that everything reused is still there and
  // that the lease still holds (kLeaseLost otherwise), then creates the point.
  virtual Result<PointId> commit(Point& point) = 0;
  // Flushes packs and index without a point (repack, tests).
  virtual Result<void> flush() = 0;
  // Begins to store the data that was put so far, for a caller that has something else to
  // do before it puts more. What fails is told by what comes next. Nothing, for a part, and
  // where it would make a small pack.
  virtual void store_ahead() = 0;

  virtual Repository& repository() = 0;
  virtual WriteStats stats() const = 0;
};

}  // namespace holdfast::repo
