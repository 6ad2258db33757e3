#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "repo/log_store.h"

namespace holdfast::wal_test {

// A store that is slow without failing (WAL is stored only once the test lets a put through, what is
// asked is answered only once the test lets reads go on), or that refuses one segment while it takes
// the others, or gives up on what it was asked.
class TroubledLogStore : public repo::LogStore {
 public:
  explicit TroubledLogStore(repo::LogStore& under) : under_(under) {}

  void hold_puts() {
    std::lock_guard lock(mutex_);
    held_ = true;
  }
  void hold_marks() {
    std::lock_guard lock(mutex_);
    marks_held_ = true;
  }
  size_t marks_waiting() {
    std::lock_guard lock(mutex_);
    return marks_waiting_;
  }
  // Whatever is asked of it from now on waits; some may have been answered before.
  void hold_reads_after(size_t answered) {
    std::lock_guard lock(mutex_);
    reads_held_ = true;
    reads_allowed_ = answered;
  }
  size_t reads_waiting() {
    std::lock_guard lock(mutex_);
    return reads_waiting_;
  }
  // Those that wait come to nothing, and so does what comes after them.
  void fail_reads() {
    std::lock_guard lock(mutex_);
    reads_fail_ = true;
    changed_.notify_all();
  }
  // Lets one put through that waits, or the next that comes.
  void let_one_through() {
    std::lock_guard lock(mutex_);
    allowed_++;
    changed_.notify_all();
  }
  size_t passed() {
    std::lock_guard lock(mutex_);
    return passed_;
  }
  void refuse(const std::string& segment) {
    std::lock_guard lock(mutex_);
    refused_ = segment;
  }
  void mend() {
    std::lock_guard lock(mutex_);
    held_ = marks_held_ = reads_held_ = reads_fail_ = false;
    refused_.clear();
    changed_.notify_all();
  }

  Result<Outcome> put(const std::string& stream, const repo::LogRecordView& record) override {
    if (record.name.starts_with("mark."))
      wait_with_marks();
    else
      TRY(wait_for_turn(record.name));
    return under_.put(stream, record);
  }
  Result<repo::LogRecord> get(const std::string& stream, const std::string& name) override {
    TRY(wait_to_read());
    return under_.get(stream, name);
  }
  Result<Bytes> get_header(const std::string& stream, const std::string& name) override {
    TRY(wait_to_read());
    return under_.get_header(stream, name);
  }
  Result<std::vector<Info>> list(const std::string& stream, const std::string& from) override {
    TRY(wait_to_read());
    return under_.list(stream, from);
  }
  Result<std::vector<std::string>> streams() override { return under_.streams(); }
  Result<void> remove(const std::string& stream, const std::string& name) override {
    return under_.remove(stream, name);
  }

 private:
  Result<void> wait_to_read() {
    std::unique_lock lock(mutex_);
    if (reads_held_ && reads_allowed_ > 0) {
      reads_allowed_--;
      return {};
    }
    reads_waiting_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !reads_held_ || reads_fail_; });
    reads_waiting_--;
    if (!reads_fail_) return {};
    return make_error(ErrorCode::kTimeout, "the store has not answered").with_retryable();
  }
  void wait_with_marks() {
    std::unique_lock lock(mutex_);
    marks_waiting_++;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !marks_held_; });
    marks_waiting_--;
  }
  Result<void> wait_for_turn(const std::string& name) {
    std::unique_lock lock(mutex_);
    if (!refused_.empty() && name.starts_with(refused_))
      return make_error(ErrorCode::kUnavailable, "{} can't be stored now", name).with_retryable();
    changed_.wait(lock, [&] { return !held_ || allowed_ > 0; });
    if (held_) allowed_--;
    passed_++;
    return {};
  }

  repo::LogStore& under_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false, marks_held_ = false, reads_held_ = false, reads_fail_ = false;
  size_t marks_waiting_ = 0, reads_waiting_ = 0, reads_allowed_ = 0;
  size_t allowed_ = 0, passed_ = 0;
  std::string refused_;
};

}  // namespace holdfast::wal_test
