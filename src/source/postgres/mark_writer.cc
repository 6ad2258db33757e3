#include "source/postgres/mark_writer.h"

#include <chrono>

#include "base/log.h"

namespace holdfast::postgres {

MarkWriter::MarkWriter(WalArchive& archive, std::function<void()> changed)
    : archive_(archive),
      changed_(std::move(changed)),
      thread_([this](std::stop_token stop) { run(std::move(stop)); }) {}

void MarkWriter::offer(const WalMark& mark) {
  const std::lock_guard lock(mutex_);
  waiting_ = mark;
  turned_.notify_all();
}

std::optional<WalMark> MarkWriter::written() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

bool MarkWriter::wait_until_idle(Duration patience) {
  std::unique_lock lock(mutex_);
  return turned_.wait_for(lock, std::chrono::nanoseconds(patience.ns), [&] { return !waiting_ && !writing_; });
}

void MarkWriter::run(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  while (turned_.wait(lock, stop, [&] { return waiting_.has_value(); })) {
    const WalMark mark = *std::exchange(waiting_, std::nullopt);
    writing_ = true;
    lock.unlock();
    const auto stored = archive_.mark(mark.timeline, mark.lsn, mark.time);
    if (!stored.ok()) log_warn("postgres.receive.mark", {{"problem", stored.error().text()}});
    lock.lock();
    writing_ = false;
    if (stored.ok()) written_ = mark;
    turned_.notify_all();
    lock.unlock();
    changed_();
    lock.lock();
  }
}

}  // namespace holdfast::postgres
