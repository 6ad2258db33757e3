#include "source/postgres/wal_sink.h"

#include <algorithm>
#include <chrono>

#include "base/log.h"

namespace holdfast::postgres {

namespace {
// What may be in memory: segments that are being stored, beside the one that fills.
constexpr uint64_t kMaxBytesInFlight = 64u << 20;
constexpr Duration kFirstPause = Duration::milliseconds(100);
constexpr Duration kLong = Duration::seconds(3600);
}  // namespace

WalSink::WalSink(WalArchive& archive, Clock& clock, const WalSinkOptions& options, std::function<void()> on_stored)
    : archive_(archive),
      clock_(clock),
      options_(options),
      on_stored_(std::move(on_stored)),
      segment_bytes_(archive.identity().segment_bytes) {
  for (size_t i = 0; i < std::max<size_t>(options.storers, 1); i++)
    threads_.emplace_back([this](std::stop_token stop) { store_loop(stop); });
}

WalSink::~WalSink() {
  for (auto& thread : threads_) thread.request_stop();
  changed_.notify_all();
}

Result<void> WalSink::begin(uint32_t timeline, Lsn position) {
  CHECK_MSG(drain(Duration{}) || failure(), "begin() before all is stored");
  timeline_ = timeline;
  position_ = position;
  server_end_ = position;
  waiting_since_.reset();
  flush_all_ = false;
  segment_ = std::make_shared<Segment>();
  segment_->start = segment_start(position, segment_bytes_);
  segment_->content = Bytes(segment_bytes_);
  submitted_ = position.value - segment_->start.value;
  if (submitted_ > 0) {
    // The whole segment will be stored once it is full, so its beginning is needed.
    const Bytes stored = TRY(archive_.stored_before(timeline, position));
    std::copy(stored.begin(), stored.end(), segment_->content.begin());
  }
  std::lock_guard lock(mutex_);
  stored_ = position;
  return {};
}

void WalSink::begin_segment() {
  segment_ = std::make_shared<Segment>();
  segment_->start = position_;
  segment_->content = Bytes(segment_bytes_);
  submitted_ = 0;
}

void WalSink::append(ByteView data, Lsn server_end) {
  CHECK(segment_ != nullptr);
  server_end_ = std::max(server_end_, server_end);
  while (!data.empty()) {
    const uint64_t offset = position_.value - segment_->start.value;
    const size_t count = std::min<uint64_t>(data.size(), segment_bytes_ - offset);
    std::copy_n(data.data(), count, segment_->content.data() + offset);
    position_.value += count;
    data = data.subspan(count);
    if (!waiting_since_) waiting_since_ = clock_.monotonic();
    if (offset + count == segment_bytes_) {
      submit(segment_bytes_);
      begin_segment();
    }
  }
}

// Storers read what lies before `to` while the appending thread writes behind it.
void WalSink::submit(uint64_t to) {
  {
    std::lock_guard lock(mutex_);
    const bool more_waits = server_end_.value >= segment_->start.value + 2 * segment_bytes_;
    tasks_.push_back({segment_, timeline_, submitted_, to, to == segment_bytes_, more_waits});
  }
  submitted_ = to;
  waiting_since_.reset();
  changed_.notify_all();
}

bool WalSink::full() const {
  std::lock_guard lock(mutex_);
  return tasks_.size() * segment_bytes_ >= std::max(kMaxBytesInFlight, 2 * segment_bytes_);
}

Duration WalSink::tick() {
  if (!segment_) return kLong;
  const uint64_t filled = position_.value - segment_->start.value;
  if (filled == submitted_) return kLong;
  {
    // Parts of a segment are stored one after another; storing wakes us when done.
    std::lock_guard lock(mutex_);
    if (!tasks_.empty()) return kLong;
  }
  const Duration waited = clock_.monotonic() - waiting_since_.value_or(clock_.monotonic());
  // While the server has the rest of the segment ready for us, it will be stored whole in a moment.
  const bool whole_soon = server_end_.value >= segment_->start.value + segment_bytes_;
  const bool due = flush_all_ || options_.at_once || waited >= options_.flush_interval ||
                   (filled - submitted_ >= options_.flush_bytes && !whole_soon);
  if (!due) return options_.flush_interval - waited;
  submit(filled);
  flush_all_ = false;
  return kLong;
}

bool WalSink::drain(Duration patience) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(patience.ns);
  while (true) {
    flush_all_ = true;
    tick();
    std::unique_lock lock(mutex_);
    if (failure_) return false;
    const bool all = !segment_ || submitted_ == position_.value - segment_->start.value;
    if (tasks_.empty() && all) break;
    if (tasks_.empty()) continue;
    if (changed_.wait_until(lock, until) == std::cv_status::timeout) return false;
  }
  flush_all_ = false;
  return true;
}

Lsn WalSink::stored() const {
  std::lock_guard lock(mutex_);
  return stored_;
}

std::optional<Error> WalSink::failure() const {
  std::lock_guard lock(mutex_);
  if (!failure_) return std::nullopt;
  return failure_->clone();
}

std::optional<Error> WalSink::trouble() const {
  std::lock_guard lock(mutex_);
  if (refused_.empty()) return std::nullopt;
  return refused_.begin()->second.clone();
}

WalSink::Counts WalSink::counts() const {
  std::lock_guard lock(mutex_);
  return counts_;
}

// ---- the storing threads

void WalSink::store_loop(std::stop_token stop) {
  while (true) {
    Task* task = nullptr;
    {
      std::unique_lock lock(mutex_);
      const auto waiting = [&] {
        return std::find_if(tasks_.begin(), tasks_.end(), [](const Task& each) { return !each.taken; });
      };
      changed_.wait(lock, stop, [&] { return waiting() != tasks_.end(); });
      if (stop.stop_requested()) return;
      task = &*waiting();  // a deque keeps its elements in place while its ends change
      task->taken = true;
    }
    store_until_done(*task, stop);
    if (stop.stop_requested()) return;
  }
}

Result<void> WalSink::store(const Task& task) {
  const Lsn at{task.segment->start.value + task.from};
  if (task.whole)
    return archive_.push(segment_name(task.timeline, task.segment->start, segment_bytes_), task.segment->content,
                         {.in_haste = task.more_waits, .refuse_faults = true});
  return archive_.push_part(task.timeline, at, task.segment->content.view(task.from, task.to - task.from));
}

bool WalSink::retryable(const Error& error) const {
  return error.code() != ErrorCode::kMismatch && error.code() != ErrorCode::kInvalidData &&
         error.code() != ErrorCode::kNewerFormat;
}

void WalSink::store_until_done(Task& task, std::stop_token stop) {
  Duration pause = kFirstPause;
  while (true) {
    auto stored = store(task);
    if (stored.ok()) return finish(task);
    log_warn("postgres.wal.not_stored", {{"segment", segment_name(task.timeline, task.segment->start, segment_bytes_)},
                                         {"problem", stored.error().text()}});
    std::unique_lock lock(mutex_);
    counts_.retries++;
    if (!retryable(stored.error())) {
      failure_ = std::move(stored).error();
      changed_.notify_all();
      lock.unlock();
      on_stored_();
      return;
    }
    refused_.insert_or_assign(&task, std::move(stored).error());
    changed_.wait_for(lock, stop, std::chrono::nanoseconds(pause.ns), [] { return false; });
    if (stop.stop_requested()) return;
    pause = std::min(Duration{pause.ns * 2}, options_.retry_limit);
  }
}

// Segments may be finished out of order; what is stored ends at the first that is not.
void WalSink::finish(Task& task) {
  {
    std::lock_guard lock(mutex_);
    refused_.erase(&task);
    task.done = true;
    (task.whole ? counts_.segments : counts_.parts)++;
    while (!tasks_.empty() && tasks_.front().done) {
      stored_ = Lsn{tasks_.front().segment->start.value + tasks_.front().to};
      tasks_.pop_front();
    }
  }
  changed_.notify_all();
  on_stored_();
}

}  // namespace holdfast::postgres
