#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "repo/log_store.h"

namespace holdfast::postgres {

// Log records in a map, for tests. Thread-safe. It can be broken on demand.
class TestLogStore : public repo::LogStore {
 public:
  Result<Outcome> put(const std::string& stream, const repo::LogRecordView& record) override {
    std::lock_guard lock(mutex_);
    if (broken_) return broken_->clone();
    auto& records = streams_[stream];
    const auto found = records.find(record.name);
    if (found != records.end()) {
      if (damaged_.contains(record.name)) return make_error(ErrorCode::kDamaged, "record {} is damaged", record.name);
      if (equal(found->second.body, record.body)) return Outcome::kAlreadyThere;
      return make_error(ErrorCode::kMismatch, "{} exists with other content", record.name);
    }
    records[record.name] = {record.name, Bytes::copy_of(record.header), Bytes::copy_of(record.body)};
    return Outcome::kStored;
  }
  Result<repo::LogRecord> get(const std::string& stream, const std::string& name) override {
    std::lock_guard lock(mutex_);
    if (broken_) return broken_->clone();
    const auto found = streams_[stream].find(name);
    if (found == streams_[stream].end()) return make_error(ErrorCode::kNotFound, "there is no record {}", name);
    if (damaged_.contains(name)) return make_error(ErrorCode::kDamaged, "record {} is damaged", name);
    gets_++;
    return repo::LogRecord{name, Bytes::copy_of(found->second.header), Bytes::copy_of(found->second.body)};
  }
  Result<Bytes> get_header(const std::string& stream, const std::string& name) override {
    std::lock_guard lock(mutex_);
    if (broken_) return broken_->clone();
    const auto found = streams_[stream].find(name);
    if (found == streams_[stream].end()) return make_error(ErrorCode::kNotFound, "there is no record {}", name);
    if (lost_.contains(name)) return make_error(ErrorCode::kDamaged, "record {} is damaged", name);
    return Bytes::copy_of(found->second.header);
  }
  Result<std::vector<Info>> list(const std::string& stream, const std::string& from) override {
    std::lock_guard lock(mutex_);
    if (broken_) return broken_->clone();
    lists_++;
    std::vector<Info> infos;
    auto& records = streams_[stream];
    for (auto it = records.lower_bound(from); it != records.end(); ++it) {
      if (!stored_after_listing_.contains(it->first)) infos.push_back({it->first, it->second.body.size(), Time{}});
    }
    stored_after_listing_.clear();
    return infos;
  }
  Result<std::vector<std::string>> streams() override {
    std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const auto& [name, records] : streams_) names.push_back(name);
    return names;
  }
  void wipe() {
    std::lock_guard lock(mutex_);
    streams_.clear();
    damaged_.clear();
  }
  Result<void> remove(const std::string& stream, const std::string& name) override {
    std::lock_guard lock(mutex_);
    if (broken_) return broken_->clone();
    if (streams_[stream].erase(name) == 0) return make_error(ErrorCode::kNotFound, "there is no record {}", name);
    damaged_.erase(name);
    return {};
  }

  // ---- For tests.
  // Every call fails with this error, until mend().
  void break_down(Error error) {
    std::lock_guard lock(mutex_);
    broken_ = std::move(error);
  }
  void mend() {
    std::lock_guard lock(mutex_);
    broken_.reset();
  }
  // Its bytes can't be had any more.
  void damage(const std::string& name) {
    std::lock_guard lock(mutex_);
    damaged_.insert(name);
  }
  // Nor its header.
  void lose(const std::string& name) {
    damage(name);
    std::lock_guard lock(mutex_);
    lost_.insert(name);
  }
  std::vector<std::string> record_names(const std::string& stream) {
    std::lock_guard lock(mutex_);
    std::vector<std::string> all;
    for (const auto& [name, record] : streams_[stream]) all.push_back(name);
    return all;
  }
  // The next listing leaves it out, as if it were stored right after that.
  void stored_after_listing(const std::string& name) {
    std::lock_guard lock(mutex_);
    stored_after_listing_.insert(name);
  }
  uint64_t gets() {
    std::lock_guard lock(mutex_);
    return gets_;
  }
  uint64_t lists() {
    std::lock_guard lock(mutex_);
    return lists_;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::map<std::string, repo::LogRecord>> streams_;
  std::optional<Error> broken_;
  std::set<std::string> damaged_, lost_, stored_after_listing_;
  uint64_t gets_ = 0, lists_ = 0;
};

}  // namespace holdfast::postgres
