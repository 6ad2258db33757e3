#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/event.h"

struct sqlite3;

namespace holdfast::engine {

// Where events go. The engine knows no more of a journal than this.
class EventLog {
 public:
  virtual ~EventLog() = default;
  // Takes an event into the open transaction: seen at once, durable after commit().
  // `time`, `step`, `attempt`, `kind` and `payload` are the caller's.
  virtual void append(Event event) = 0;
  // All that was appended, durably, or nothing of it. After an error the log takes
  // no more: what the engine believes and what is written have parted.
  virtual Result<void> commit() = 0;
  // Everything so far, the uncommitted too.
  virtual const std::vector<Event>& events() const = 0;
};

// The journal of one run: a SQLite file of digest-chained events, only ever
// appended to (docs/engine.md, "The journal"). One writer at a time is the
// business of RunLock; readers may come at any moment. Not thread-safe.
class Journal : public EventLog {
 public:
  static Result<std::unique_ptr<Journal>> create(const std::string& path, const std::string& run);
  // Reads all events and checks the chain: kInvalidData names the first event that is
  // not right, kNewerFormat a journal of a newer holdfast.
  static Result<std::unique_ptr<Journal>> open(const std::string& path);
  // The same for reading alone, also while another process appends.
  static Result<std::vector<Event>> read(const std::string& path);
  ~Journal() override;

  void append(Event event) override;
  Result<void> commit() override;
  const std::vector<Event>& events() const override { return events_; }
  const std::string& run() const { return run_; }

 private:
  struct Closer {
    void operator()(sqlite3* database) const;
  };
  using Database = std::unique_ptr<sqlite3, Closer>;
  Journal(Database database, std::string path) : database_(std::move(database)), path_(std::move(path)) {}
  static Result<Database> open_database(const std::string& path, int flags);
  static Result<void> execute(sqlite3* database, const std::string& path, const char* sql);
  static Result<void> check_version(sqlite3* database, const std::string& path);
  static Result<std::vector<Event>> load(sqlite3* database, const std::string& path);
  Result<void> insert(const Event& event);

  Database database_;
  std::string path_;
  std::string run_;
  std::vector<Event> events_;
  std::vector<std::string> pending_;  // payload texts of the last events_
  bool broken_ = false;
};

}  // namespace holdfast::engine
