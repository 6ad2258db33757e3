#include "source/redis/log_sink.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace holdfast::redis {

namespace {

constexpr size_t kMaxTasks = 4;
constexpr Duration kFirstPause = Duration::milliseconds(250);
constexpr Duration kLong = Duration::seconds(1);

bool is_of_use_again(const Error& error) {
  return error.code() != ErrorCode::kMismatch && error.code() != ErrorCode::kInvalidData &&
         error.code() != ErrorCode::kNewerFormat;
}

}  // namespace

LogSink::LogSink(CommandLog& log, Clock& clock, const LogSinkOptions& options)
    : log_(log), clock_(clock), options_(options), thread_([this](std::stop_token stop) { store_loop(stop); }) {}

LogSink::~LogSink() {
  thread_.request_stop();
  thread_.join();
}

void LogSink::begin(const Position& position, Time not_before) {
  std::lock_guard lock(mutex_);
  CHECK(tasks_.empty() && writer_.empty());
  replid_ = position.replid;
  writer_.begin(position.offset);
  last_ = std::max(last_, cut_to_microseconds(not_before));
  stored_ = position.offset;
  done_before_ = 0;
}

void LogSink::count_as(uint64_t offset, Time time) {
  done_before_ = offset;
  done_at_ = time;
}

void LogSink::append(ByteView bytes) {
  if (!waiting_since_) waiting_since_ = clock_.monotonic();
  const uint64_t at = writer_.to();
  const size_t done = at < done_before_ ? std::min<uint64_t>(bytes.size(), done_before_ - at) : 0;
  add(done_at_, bytes.first(done));
  add(clock_.now(), bytes.subspan(done));
}

void LogSink::add(Time came, ByteView bytes) {
  if (bytes.empty()) return;
  last_ = std::max(last_, cut_to_microseconds(came));  // never before what is stored already
  writer_.add(last_, bytes);
}

bool LogSink::full() const {
  std::lock_guard lock(mutex_);
  return tasks_.size() >= kMaxTasks;
}

Duration LogSink::tick() {
  if (writer_.empty()) return kLong;
  const Duration waited = clock_.monotonic() - waiting_since_.value_or(clock_.monotonic());
  const bool due = flush_all_ || waited >= options_.flush_interval || writer_.size() >= options_.flush_bytes;
  if (!due) return options_.flush_interval - waited;
  if (full()) return kLong;
  submit();
  return kLong;
}

void LogSink::submit() {
  std::lock_guard lock(mutex_);
  tasks_.push_back(writer_.take(replid_));
  waiting_since_.reset();
  flush_all_ = false;
  changed_.notify_all();
}

bool LogSink::drain(Duration patience) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(patience.ns);
  while (true) {
    flush_all_ = true;
    tick();
    std::unique_lock lock(mutex_);
    if (failure_) return false;
    if (tasks_.empty() && writer_.empty()) break;
    if (tasks_.empty()) continue;  // there is room again: nobody else would say so
    if (changed_.wait_until(lock, until) == std::cv_status::timeout) return false;
  }
  flush_all_ = false;
  return true;
}

uint64_t LogSink::stored() const {
  std::lock_guard lock(mutex_);
  return stored_;
}

std::optional<Error> LogSink::failure() const {
  std::lock_guard lock(mutex_);
  if (!failure_) return std::nullopt;
  return failure_->clone();
}

std::optional<Error> LogSink::trouble() const {
  std::lock_guard lock(mutex_);
  if (!trouble_) return std::nullopt;
  return trouble_->clone();
}

LogSink::Counts LogSink::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

// ---- the storing thread

void LogSink::store_loop(std::stop_token stop) {
  while (true) {
    const CommandLog::Record* record = nullptr;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [&] { return !tasks_.empty(); })) return;
      record = &tasks_.front();  // a deque keeps its elements in place while its ends change
    }
    if (!store_until_done(*record, stop)) return;
    {
      std::lock_guard lock(mutex_);
      stored_ = record->to;
      trouble_.reset();
      counts_.covered_until = record->last;
      counts_.records++;
    }
    changed_.notify_all();
    join(*record);
    std::lock_guard lock(mutex_);
    tasks_.pop_front();
    changed_.notify_all();
  }
}

// False: storing has ended, by a failure or by being stopped.
bool LogSink::store_until_done(const CommandLog::Record& record, std::stop_token stop) {
  Duration pause = kFirstPause;
  while (!stop.stop_requested()) {
    auto stored = log_.put_record(record);
    if (stored.ok()) return true;
    log_warn("redis.log.not_stored", {{"offset", record.from}, {"problem", stored.error().text()}});
    std::unique_lock lock(mutex_);
    if (!is_of_use_again(stored.error())) {
      failure_ = std::move(stored).error();
      changed_.notify_all();
      return false;
    }
    trouble_ = std::move(stored).error();
    changed_.wait_for(lock, stop, std::chrono::nanoseconds(pause.ns), [] { return false; });
    pause = std::min(Duration{pause.ns * 2}, options_.retry_limit);
  }
  return false;
}

// A record each half second would be 170,000 objects a day: small ones become one.
void LogSink::join(const CommandLog::Record& record) {
  const bool is_small = record.body.size() < options_.flush_bytes;
  const bool follows = joined_ && joined_->replid == record.replid && joined_->to == record.from;
  if (joined_ && (!is_small || !follows)) put_joined();
  if (!is_small) return;
  if (!joined_) {
    joined_ = CommandLog::Record{record.replid, record.from, record.from, record.first, record.last, Bytes()};
    joined_count_ = 0;
  }
  joined_->to = record.to;
  joined_->last = record.last;
  joined_->body.append(record.body.view());
  joined_count_++;
  if (joined_count_ >= options_.join_records || joined_->body.size() >= options_.flush_bytes) put_joined();
}

void LogSink::put_joined() {
  auto stored = joined_count_ < 2 ? Result<void>() : log_.put_merged(*joined_);
  if (!stored.ok()) log_warn("redis.log.not_joined", {{"offset", joined_->from}, {"problem", stored.error().text()}});
  joined_.reset();
}

}  // namespace holdfast::redis
