#include "engine/journal.h"

#include <sqlite3.h>

#include <cerrno>
#include <functional>

#include "base/filesystem.h"

namespace holdfast::engine {
namespace {

constexpr int kApplicationId = 0x686f6c64;  // "hold"
constexpr int kVersion = 1;
constexpr int kBusyTimeout_ms = 10'000;

constexpr const char* kSchema = R"sql(
PRAGMA application_id = 1752132708;
PRAGMA user_version = 1;
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  time_us INTEGER NOT NULL,
  run TEXT NOT NULL,
  step TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  kind TEXT NOT NULL,
  payload TEXT NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE TRIGGER event_is_never_changed BEFORE UPDATE ON event
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER event_is_never_removed BEFORE DELETE ON event
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
)sql";

ErrorCode code_of(int status) {
  switch (status & 0xff) {
    case SQLITE_FULL: return ErrorCode::kNoSpace;
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return ErrorCode::kLocked;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH: return ErrorCode::kPermission;
    case SQLITE_CANTOPEN: return ErrorCode::kNotFound;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return ErrorCode::kInvalidData;
    default: return ErrorCode::kIo;
  }
}

Error failure(sqlite3* database, const std::string& path) {
  const int system = sqlite3_system_errno(database);
  // A quota or a size limit of the process comes as an I/O error with its errno.
  const bool full = system == ENOSPC || system == EDQUOT || system == EFBIG;
  const ErrorCode code = full ? ErrorCode::kNoSpace : code_of(sqlite3_extended_errcode(database));
  return make_error(code, "the journal {}: {}", path, sqlite3_errmsg(database));
}

class Statement {
 public:
  Statement(sqlite3* database, const char* sql) { sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr); }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;
  sqlite3_stmt* get() { return statement_; }
  bool ok() const { return statement_ != nullptr; }

 private:
  sqlite3_stmt* statement_ = nullptr;
};

std::string text_at(sqlite3_stmt* statement, int column) {
  const auto* text = sqlite3_column_text(statement, column);
  return text == nullptr ? ""
                         : std::string(reinterpret_cast<const char*>(text),
                                       static_cast<size_t>(sqlite3_column_bytes(statement, column)));
}

// One row, held against the chain.
Result<Event> event_of(sqlite3_stmt* row, const crypto::Sha256Digest& previous, uint64_t expected_seq,
                       const std::string& path) {
  Event event;
  event.seq = static_cast<uint64_t>(sqlite3_column_int64(row, 0));
  event.time = Time::from_unix_microseconds(sqlite3_column_int64(row, 1));
  event.run = text_at(row, 2);
  event.step = text_at(row, 3);
  event.attempt = sqlite3_column_int(row, 4);
  event.kind = text_at(row, 5);
  const std::string payload = text_at(row, 6);
  if (event.seq != expected_seq) {
    return make_error(ErrorCode::kInvalidData, "the journal {}: event {} is missing", path, expected_seq);
  }
  event.digest = chained_digest(previous, event, payload);
  const auto* stored = static_cast<const uint8_t*>(sqlite3_column_blob(row, 7));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(row, 7));
  if (stored == nullptr || !equal(event.digest, ByteView(stored, size))) {
    return make_error(ErrorCode::kInvalidData, "the journal {}: event {} is not as it was written", path, event.seq);
  }
  event.payload = Json::parse(payload, nullptr, false);
  if (!event.payload.is_object()) {
    return make_error(ErrorCode::kInvalidData, "the journal {}: event {} has no JSON payload", path, event.seq);
  }
  return event;
}

}  // namespace

void Journal::Closer::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<Journal::Database> Journal::open_database(const std::string& path, int flags) {
  sqlite3* raw = nullptr;
  const int status = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Database database(raw);
  if (status != SQLITE_OK) return failure(raw, path);
  sqlite3_extended_result_codes(raw, 1);
  sqlite3_busy_timeout(raw, kBusyTimeout_ms);
  return database;
}

Result<void> Journal::execute(sqlite3* database, const std::string& path, const char* sql) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK) return failure(database, path);
  return {};
}

Result<void> Journal::check_version(sqlite3* database, const std::string& path) {
  const auto number = [&](const char* sql) -> Result<int> {
    Statement statement(database, sql);
    if (!statement.ok() || sqlite3_step(statement.get()) != SQLITE_ROW) return failure(database, path);
    return sqlite3_column_int(statement.get(), 0);
  };
  if (TRY(number("PRAGMA application_id")) != kApplicationId) {
    return make_error(ErrorCode::kInvalidData, "{} is not a journal of holdfast", path);
  }
  const int version = TRY(number("PRAGMA user_version"));
  if (version > kVersion) {
    return make_error(ErrorCode::kNewerFormat, "the journal {} has version {}; this holdfast knows {}", path, version,
                      kVersion);
  }
  return {};
}

Result<std::vector<Event>> Journal::load(sqlite3* database, const std::string& path) {
  TRY(check_version(database, path));
  Statement rows(database, "SELECT seq, time_us, run, step, attempt, kind, payload, digest FROM event ORDER BY seq");
  if (!rows.ok()) return failure(database, path);
  std::vector<Event> events;
  crypto::Sha256Digest previous{};
  int status = SQLITE_OK;
  while ((status = sqlite3_step(rows.get())) == SQLITE_ROW) {
    events.push_back(TRY(event_of(rows.get(), previous, events.size() + 1, path)));
    previous = events.back().digest;
  }
  if (status != SQLITE_DONE) return failure(database, path);
  return events;
}

Result<std::unique_ptr<Journal>> Journal::create(const std::string& path, const std::string& run) {
  // Made by us, since SQLite would let others read; its other files have the mode of this one.
  auto file = TRY(real_file_system().open(path, {.write = true, .create = true, .exclusive = true, .mode = 0600}));
  TRY(file->close());
  Database database = TRY(open_database(path, SQLITE_OPEN_READWRITE));
  TRY(execute(database.get(), path, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"));
  TRY(execute(database.get(), path, (std::string("BEGIN IMMEDIATE;") + kSchema + "COMMIT;").c_str()));
  TRY(real_file_system().sync_directory(parent_path(path)));
  auto journal = std::unique_ptr<Journal>(new Journal(std::move(database), path));
  journal->run_ = run;
  return journal;
}

Result<std::unique_ptr<Journal>> Journal::open(const std::string& path) {
  Database database = TRY(open_database(path, SQLITE_OPEN_READWRITE));
  TRY(execute(database.get(), path, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"));
  auto journal = std::unique_ptr<Journal>(new Journal(std::move(database), path));
  journal->events_ = TRY(load(journal->database_.get(), path));
  if (journal->events_.empty()) return make_error(ErrorCode::kInvalidData, "the journal {} holds no event", path);
  journal->run_ = journal->events_.front().run;
  return journal;
}

Result<std::vector<Event>> Journal::read(const std::string& path) {
  // Read-write, since SQLite may have to replay what a killed writer left; nothing is appended.
  auto database = open_database(path, SQLITE_OPEN_READWRITE);
  if (!database.ok()) database = open_database(path, SQLITE_OPEN_READONLY);
  if (!database.ok()) return std::move(database).error();
  return load(database->get(), path);
}

Journal::~Journal() = default;

void Journal::append(Event event) {
  event.run = run_;
  event.seq = events_.size() + 1;
  event.time.ns -= event.time.ns % 1000;
  pending_.push_back(event.payload.dump(-1, ' ', false, Json::error_handler_t::replace));
  event.digest =
      chained_digest(events_.empty() ? crypto::Sha256Digest{} : events_.back().digest, event, pending_.back());
  events_.push_back(std::move(event));
}

Result<void> Journal::insert(const Event& event) {
  Statement statement(database_.get(), "INSERT INTO event VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
  if (!statement.ok()) return failure(database_.get(), path_);
  const size_t index = pending_.size() - (events_.size() - event.seq) - 1;
  const auto text = [&](int position, const std::string& value) {
    sqlite3_bind_text(statement.get(), position, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  };
  sqlite3_bind_int64(statement.get(), 1, static_cast<sqlite3_int64>(event.seq));
  sqlite3_bind_int64(statement.get(), 2, event.time.ns / 1000);
  text(3, event.run);
  text(4, event.step);
  sqlite3_bind_int(statement.get(), 5, event.attempt);
  text(6, event.kind);
  text(7, pending_[index]);
  sqlite3_bind_blob(statement.get(), 8, event.digest.data(), static_cast<int>(event.digest.size()), SQLITE_STATIC);
  if (sqlite3_step(statement.get()) != SQLITE_DONE) return failure(database_.get(), path_);
  return {};
}

Result<void> Journal::commit() {
  if (broken_) return make_error(ErrorCode::kIo, "the journal {} takes no more events after an error", path_);
  if (pending_.empty()) return {};
  broken_ = true;
  TRY(execute(database_.get(), path_, "BEGIN IMMEDIATE"));
  for (size_t i = events_.size() - pending_.size(); i < events_.size(); i++) {
    if (auto inserted = insert(events_[i]); !inserted.ok()) {
      ignore(execute(database_.get(), path_, "ROLLBACK"), "the first error is the one that tells");
      return inserted;
    }
  }
  if (auto committed = execute(database_.get(), path_, "COMMIT"); !committed.ok()) {
    ignore(execute(database_.get(), path_, "ROLLBACK"), "the first error is the one that tells");
    return committed;
  }
  pending_.clear();
  broken_ = false;
  return {};
}

}  // namespace holdfast::engine
