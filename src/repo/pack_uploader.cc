#include "repo/pack_uploader.h"

#include "base/log.h"
#include "repo/access.h"

namespace holdfast::repo {

namespace {
constexpr size_t kSpareBuffers = 2;
}  // namespace

PackUploader::PackUploader(store::ObjectStore& store, OnStored on_stored)
    : store_(store), on_stored_(std::move(on_stored)) {
  for (size_t i = 0; i < kThreads; i++) threads_.emplace_back([this] { run(); });
}

PackUploader::~PackUploader() {
  {
    const std::lock_guard lock(mutex_);
    if (!failure_) failure_ = make_error(ErrorCode::kInterrupted, "the writer ended");
  }
  queue_.close();
  threads_.clear();  // joins, before what they use goes
}

void PackUploader::push(std::unique_ptr<PackBuilder> pack) {
  {
    const std::lock_guard lock(mutex_);
    if (failure_) return;
    unfinished_++;
  }
  CHECK_MSG(queue_.push(std::move(pack)), "a pack was pushed to an uploader that ended");
}

Result<void> PackUploader::drain() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [&] { return unfinished_ == 0; });
  if (failure_) return failure_->clone();
  return {};
}

Result<void> PackUploader::status() {
  const std::lock_guard lock(mutex_);
  if (failure_) return failure_->clone();
  return {};
}

Bytes PackUploader::take_buffer() {
  const std::lock_guard lock(mutex_);
  if (spare_buffers_.empty()) return {};
  Bytes buffer = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffer;
}

void PackUploader::run() {
  while (auto pack = queue_.pop()) {
    auto outcome = status();
    if (outcome.ok()) outcome = upload(**pack);
    const std::lock_guard lock(mutex_);
    if (!outcome.ok() && !failure_) failure_ = std::move(outcome).error();
    if (--unfinished_ == 0) idle_.notify_all();
  }
}

Result<void> PackUploader::upload(PackBuilder& pack) {
  Bytes bytes = pack.finish();
  const ObjectDigest digest = TRY_CONTEXT(create_digested(store_, kPacksPrefix, bytes.view()), "can't store a pack");
  log_debug("repo.pack.stored",
            {{"pack", digest.hex()}, {"bytes", uint64_t{bytes.size()}}, {"blocks", uint64_t{pack.records().size()}}});
  Index::Part part;
  part.pack = {digest, bytes.size(), pack.type(), pack.epoch(), 0};
  part.records.assign(pack.records().begin(), pack.records().end());
  {
    const std::lock_guard lock(mutex_);
    if (spare_buffers_.size() < kSpareBuffers) spare_buffers_.push_back(std::move(bytes));
  }
  return on_stored_(std::move(part));
}

}  // namespace holdfast::repo
