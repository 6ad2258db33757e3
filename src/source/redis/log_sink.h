#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "base/result.h"
#include "base/time.h"
#include "source/redis/command_log.h"
#include "source/redis/frame_codec.h"

namespace holdfast::redis {

struct LogSinkOptions {
  Duration flush_interval = Duration::milliseconds(500);  // nothing waits longer than this,
  size_t flush_bytes = 4u << 20;                          // and no more than this waits
  Duration retry_limit = Duration::seconds(10);           // longest pause between tries when the store fails
  size_t join_records = 240;                              // so many small records become one
};

// Takes the command stream and brings it into a log, on a thread of its own, in order.
// What fails to be stored is tried again for as long as it takes, except where trying
// again is of no use (failure()). Holds at most a few records: when full(), do not append.
// The log is the thread's between begin() and the next drain() that succeeds.
// All but stored(), failure(), trouble() and counts() is for one thread.
class LogSink {
 public:
  LogSink(CommandLog& log, Clock& clock, const LogSinkOptions& options);
  ~LogSink();  // ends the thread; what is not stored is lost

  // The stream goes on here. Everything appended before must be stored. Instants from here
  // on are not before `not_before`.
  void begin(const Position& position, Time not_before);
  // Bytes before `offset` that are still to come count as having come at `time`: the server
  // had done them by then. Until the next begin().
  void count_as(uint64_t offset, Time time);
  // The next bytes, at position(), which have come now.
  void append(ByteView bytes);
  Position position() const { return {replid_, writer_.to()}; }
  // When the last byte came, or counts as come: nobody knows what the server did since.
  Time last_instant() const { return last_; }
  bool full() const;

  // Begins to store what is due. Returns how long until something else will be.
  Duration tick();
  // Begins to store everything at the next tick().
  void flush() { flush_all_ = true; }
  // Waits until everything appended is stored; false when `patience` passed, or after a failure.
  bool drain(Duration patience);

  uint64_t stored() const;  // offset
  std::optional<Error> failure() const;
  std::optional<Error> trouble() const;  // why what is due was not stored at the last try
  struct Counts {
    uint64_t records = 0;
    std::optional<Time> covered_until;
  };
  Counts counts() const;

 private:
  void add(Time came, ByteView bytes);
  void submit();
  void store_loop(std::stop_token stop);
  bool store_until_done(const CommandLog::Record& record, std::stop_token stop);
  void join(const CommandLog::Record& record);
  void put_joined();

  CommandLog& log_;
  Clock& clock_;
  const LogSinkOptions options_;

  // Of the appending thread.
  std::string replid_;
  FrameWriter writer_;
  Time last_;
  uint64_t done_before_ = 0;               // bytes before it were done
  Time done_at_;                           // by then
  std::optional<Duration> waiting_since_;  // when the first byte that is not submitted came
  bool flush_all_ = false;

  // Of the storing thread: the small records in front of the next, as one.
  std::optional<CommandLog::Record> joined_;
  size_t joined_count_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<CommandLog::Record> tasks_;  // the first is being stored
  uint64_t stored_ = 0;
  Counts counts_;
  std::optional<Error> trouble_;
  std::optional<Error> failure_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace holdfast::redis
