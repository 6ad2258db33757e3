#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/parallel.h"
#include "repo/index.h"
#include "repo/pack_builder.h"
#include "store/object_store.h"

namespace holdfast::repo {

// Stores finished packs in the background, so that sealing, hashing and the wait
// for the disk overlap. Memory is bounded by the queue. Thread-safe.
class PackUploader {
 public:
  // Called from an upload thread when a pack is durable.
  using OnStored = std::function<Result<void>(Index::Part part)>;
  PackUploader(store::ObjectStore& store, OnStored on_stored);
  ~PackUploader();  // drops what waits, lets the running uploads end, joins

  // Blocks while the queue is full. Once one upload failed, packs are dropped.
  void push(std::unique_ptr<PackBuilder> pack);
  // Waits until all that was pushed is stored; the first failure.
  Result<void> drain();
  // The first failure so far, if any.
  Result<void> status();
  // A buffer of an earlier pack to fill again; may be empty.
  Bytes take_buffer();

 private:
  static constexpr size_t kThreads = 2;
  static constexpr size_t kQueueLimit = 1;

  void run();
  Result<void> upload(PackBuilder& pack);

  store::ObjectStore& store_;
  const OnStored on_stored_;
  BoundedQueue<std::unique_ptr<PackBuilder>> queue_{kQueueLimit};
  std::mutex mutex_;
  std::condition_variable idle_;
  size_t unfinished_ = 0;  // guarded by mutex_, as are the following
  std::optional<Error> failure_;
  std::vector<Bytes> spare_buffers_;
  std::vector<std::jthread> threads_;
};

}  // namespace holdfast::repo
