#include "source/postgres/server_watch.h"

#include <charconv>
#include <chrono>

#include "base/log.h"
#include "source/postgres/beside.h"

namespace holdfast::postgres {

namespace {

template <typename T>
std::optional<T> number(std::string_view text, int base = 10) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Result<ServerState> ask_server_state(ServerSession& session, const std::string& slot) {
  const std::string clock = TRY(session.value("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"));
  const Rows rows = TRY(session.exec(
      "SELECT e.lsn, substr(pg_walfile_name(e.lsn), 1, 8), s.restart_lsn, "
      "pg_wal_lsn_diff(coalesce(e.lsn, pg_last_wal_receive_lsn()), s.restart_lsn)::bigint, "
      "s.wal_status, current_setting('max_slot_wal_keep_size'), s.slot_type = 'logical', s.active, "
      "(SELECT system_identifier FROM pg_control_system()), "
      "(SELECT setting FROM pg_settings WHERE name = 'data_directory' AND inet_server_addr() IS NULL), " +
          std::string(kIsBesideSql) +
          " "
          "FROM (SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END AS lsn) AS e "
          "LEFT JOIN pg_replication_slots AS s ON s.slot_name = $1",
      {slot}));
  ServerState state;
  if (rows.size() != 1) return make_error(ErrorCode::kServer, "the server's state has {} rows", rows.size());
  const auto microseconds = number<int64_t>(clock);
  const auto timeline = number<uint32_t>(rows.at(0, 1), 16);
  if (!rows.is_null(0, 0) && microseconds && timeline)
    state.end = {*timeline, TRY(parse_lsn(rows.at(0, 0))), Time::from_unix_microseconds(*microseconds)};
  if (!rows.is_null(0, 2)) state.slot_restart = TRY(parse_lsn(rows.at(0, 2)));
  if (const auto kept = number<int64_t>(rows.at(0, 3)); kept && *kept > 0)
    state.slot_kept_bytes = static_cast<uint64_t>(*kept);
  state.slot_status = rows.at(0, 4);
  state.slot_limit = rows.at(0, 5);
  state.slot_exists = !rows.is_null(0, 6);
  state.slot_is_logical = rows.at(0, 6) == "t";
  state.slot_is_active = rows.at(0, 7) == "t";
  state.system_id = number<uint64_t>(rows.at(0, 8)).value_or(0);
  state.data_directory = rows.at(0, 9);
  state.is_beside = rows.at(0, 10) == "t";
  return state;
}

ServerWatch::ServerWatch(const Connection& connection, std::string slot, Duration interval,
                         std::function<void(const ServerState&)> on_state)
    : connection_(connection),
      slot_(std::move(slot)),
      interval_(interval),
      on_state_(std::move(on_state)),
      thread_([this](std::stop_token stop) { loop(stop); }) {}

ServerWatch::~ServerWatch() {
  stopping_ = true;
  thread_.request_stop();
}

void ServerWatch::wake() {
  {
    std::lock_guard lock(mutex_);
    woken_ = true;
  }
  changed_.notify_all();
}

void ServerWatch::loop(std::stop_token stop) {
  std::unique_ptr<ServerSession> session;
  bool said = false;
  while (!stop.stop_requested()) {
    SessionOptions options;
    options.application_name = "holdfast watch";
    options.deadline = Duration::seconds(10);
    options.stop = &stopping_;
    if (!session) {
      auto connected = ServerSession::connect(connection_, options);
      if (connected.ok()) {
        session = std::move(connected).value();
      } else if (!stopping_) {
        // Without it there are no marks: worth a word, once, since the stream tells of a server that is away.
        log_event(said ? LogLevel::kDebug : LogLevel::kWarn, "postgres.watch.unavailable",
                  {{"problem", connected.error().text()}});
        said = true;
      }
    }
    if (session) {
      auto state = ask_server_state(*session, slot_);
      if (state.ok()) {
        on_state_(state.value());
      } else {
        log_debug("postgres.watch.failed", {{"problem", state.error().text()}});
        session.reset();
      }
    }
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, std::chrono::nanoseconds(interval_.ns), [&] { return woken_; });
    woken_ = false;
  }
}

}  // namespace holdfast::postgres
