#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

struct WalSinkOptions {
  bool at_once = false;                                   // store whatever is here as soon as the store is free
  Duration flush_interval = Duration::milliseconds(500);  // else: nothing waits longer than this,
  uint64_t flush_bytes = 4u << 20;                        // and no more than this waits
  size_t storers = 2;                                     // threads that store
  Duration retry_limit = Duration::seconds(10);           // longest pause between tries when the store fails
};

// Takes a stream of WAL and brings it into an archive, on threads of its own:
// parts of a segment while it fills, one after another, and the whole segment once
// it is full, several at a time. What fails to be stored is tried again for as
// long as it takes, except where trying again is of no use (failure()). Holds
// at most a few segments: when full(), do not append.
// append(), tick(), flush() and begin() are for one thread; the rest for any.
class WalSink {
 public:
  // `on_stored` is called from the storing threads whenever stored() has grown or failure() came.
  WalSink(WalArchive& archive, Clock& clock, const WalSinkOptions& options, std::function<void()> on_stored);
  ~WalSink();  // ends the threads; what is not stored is lost

  // The stream goes on at `position` of `timeline`: the beginning of a segment, or
  // where the archive's parts of one end. Everything appended before must be stored.
  Result<void> begin(uint32_t timeline, Lsn position);
  // The next bytes, at position(). `server_end` is how far the server's log reaches.
  void append(ByteView data, Lsn server_end);
  Lsn position() const { return position_; }
  uint32_t timeline() const { return timeline_; }
  bool full() const;

  // Begins to store what is due. Returns how long until something else will be.
  Duration tick();
  // Begins to store everything, due or not, as soon as the store is free.
  void flush() { flush_all_ = true; }
  // Waits until everything appended is stored; false when `patience` passed, or after a failure.
  bool drain(Duration patience);

  Lsn stored() const;
  std::optional<Error> failure() const;  // storing more is of no use
  std::optional<Error> trouble() const;  // why something was not stored at the last try
  struct Counts {
    uint64_t parts = 0, segments = 0, retries = 0;
  };
  Counts counts() const;

 private:
  struct Segment {
    Lsn start;
    Bytes content;
  };
  struct Task {
    std::shared_ptr<Segment> segment;
    uint32_t timeline = 0;
    uint64_t from = 0, to = 0;  // offsets in the segment
    bool whole = false;
    bool more_waits = false;  // the server has another whole segment for us
    bool taken = false, done = false;
  };

  void begin_segment();
  void submit(uint64_t to);
  void store_loop(std::stop_token stop);
  Result<void> store(const Task& task);
  void store_until_done(Task& task, std::stop_token stop);
  void finish(Task& task);
  bool retryable(const Error& error) const;

  WalArchive& archive_;
  Clock& clock_;
  const WalSinkOptions options_;
  const std::function<void()> on_stored_;
  const uint64_t segment_bytes_;

  // Of the appending thread.
  uint32_t timeline_ = 0;
  Lsn position_;
  Lsn server_end_;
  std::shared_ptr<Segment> segment_;
  uint64_t submitted_ = 0;                 // offset in the segment up to which tasks exist
  std::optional<Duration> waiting_since_;  // when the first byte that is not submitted came
  bool flush_all_ = false;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<const Task*, Error> refused_;  // what could not be stored yet, and why
  std::deque<Task> tasks_;                // in order of position
  Lsn stored_;
  std::optional<Error> failure_;
  Counts counts_;
  std::vector<std::jthread> threads_;
};

}  // namespace holdfast::postgres
