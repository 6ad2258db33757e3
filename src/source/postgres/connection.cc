#include "source/postgres/connection.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <map>

#include "base/places.h"
#include "source/postgres/aside.h"
#include "source/postgres/sqlstate.h"

namespace holdfast::postgres {

namespace {

// How often a wait looks at the stop flag.
constexpr Duration kStopInterval = Duration::milliseconds(100);
constexpr Duration kCancelPatience = Duration::seconds(5);

// As one line. A line of libpq's that begins with a tab may go on with the sentence before it.
std::string trimmed(const char* message) {
  std::string_view rest = message ? message : "";
  std::string text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) continue;
    const bool goes_on = line[0] == '\t' && std::islower(static_cast<unsigned char>(line[first])) != 0;
    line = line.substr(first, line.find_last_not_of(" \t\r") + 1 - first);
    if (!text.empty()) text += goes_on ? " " : "; ";
    text += line;
  }
  return text;
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// libpq gives no SQLSTATE for a refused connection, so the words have to do.
ErrorCode connect_error_code(const std::string& message) {
  if (contains(message, "FATAL:  database \"") && contains(message, "\" does not exist")) return ErrorCode::kNotFound;
  for (std::string_view words :
       {"authentication failed", "pg_hba.conf", "no password supplied", "permission denied",
        "must be superuser or replication role", "does not exist", "not permitted to log in", "password"})
    if (contains(message, words) && !contains(message, "No such file")) return ErrorCode::kPermission;
  return ErrorCode::kUnavailable;
}

// What to do about a connection that somebody has set up; "" where the message says all there is.
const char* connect_hint(ErrorCode code, const std::string& message) {
  if (code == ErrorCode::kNotFound) return "name a database of that server: psql --list shows them";
  if (code == ErrorCode::kPermission) {
    const bool lacks_right = contains(message, "permission denied") || contains(message, "must be superuser");
    return lacks_right ? "docs/postgres.md says which rights the role needs"
                       : "pg_hba.conf and pg_ident.conf of the server decide who may log in: docs/postgres.md";
  }
  // A server that says why it does not serve is running, and is the right one.
  if (contains(message, "FATAL:")) return "";
  return "is the server running, and is the connection string right ('connection' of the component)?";
}

Error connect_error(const std::string& message, bool ours) {
  const ErrorCode code = connect_error_code(message);
  return make_error(code, "can't connect to the PostgreSQL server: {}", message)
      .with_retryable(code == ErrorCode::kUnavailable)
      .with_hint(ours ? "" : connect_hint(code, message));
}

struct ConninfoDeleter {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

using Conninfo = std::unique_ptr<PQconninfoOption, ConninfoDeleter>;

// libpq repeats parts of a string that it does not understand: not where one may be a password.
Result<Conninfo> parse_conninfo(const std::string& conninfo) {
  char* problem = nullptr;
  Conninfo parsed(PQconninfoParse(conninfo.c_str(), &problem));
  if (parsed) return parsed;
  const std::string text = contains(conninfo, "pass") || contains(conninfo, "@") ? "it is malformed" : trimmed(problem);
  PQfreemem(problem);
  return make_error(ErrorCode::kConfig, "the connection string can't be understood: {}", text)
      .with_hint("write it like host=/run/postgresql port=5432 user=postgres dbname=postgres");
}

// The keywords of the connection string, with ours added where the string says nothing.
Result<std::map<std::string, std::string>> connect_keywords(const Connection& connection,
                                                            const SessionOptions& options) {
  const Conninfo parsed = TRY(parse_conninfo(connection.conninfo));
  std::map<std::string, std::string> keywords = {{"tcp_user_timeout", "15000"},
                                                 {"keepalives_idle", "30"},
                                                 {"keepalives_interval", "10"},
                                                 {"keepalives_count", "3"}};
  for (const PQconninfoOption* option = parsed.get(); option->keyword; option++)
    if (option->val) keywords[option->keyword] = option->val;
  keywords["application_name"] = options.application_name;
  if (!options.database.empty()) keywords["dbname"] = options.database;
  if (options.kind == SessionKind::kReplication) {
    keywords["replication"] = "true";
    keywords["dbname"] = "replication";  // what ~/.pgpass is searched for
  } else {
    keywords["client_encoding"] = "UTF8";
  }
  return keywords;
}

Duration now() { return system_clock().monotonic(); }

// Of a server of ours: what libpq is not to ask the environment for. Only a string can give
// an empty value, which as a keyword counts as none given.
constexpr const char* kNothingElsewhere =
    "hostaddr='' options='{}' requirepeer='' target_session_attrs=any channel_binding=disable gssencmode=disable";

// Keywords that libpq of one version knows are errors to that of another.
bool knows_keyword(std::string_view keyword) {
  const Conninfo known(PQconndefaults());
  for (const PQconninfoOption* option = known.get(); option != nullptr && option->keyword; option++)
    if (option->keyword == keyword) return true;
  return false;
}

// The last guard: whoever would write to the server that answers must know that it is theirs.
Result<void> prove_directory(ServerSession& session, const std::string& directory) {
  const std::string found = TRY_CONTEXT(session.value("show data_directory"), "asking a server for its directory");
  if (resolved_path(found) == resolved_path(directory)) return {};
  return make_error(ErrorCode::kMismatch, "the server that answered works on {}, not on {}", found, directory)
      .with_hint("look at the environment: PGSERVICE and others of libpq's variables lead to another server");
}

}  // namespace

std::vector<std::string> client_variables() {
  return {"PGHOST",
          "PGHOSTADDR",
          "PGPORT",
          "PGDATABASE",
          "PGUSER",
          "PGPASSWORD",
          "PGPASSFILE",
          "PGSERVICE",
          "PGSERVICEFILE",
          "PGSYSCONFDIR",
          "PGOPTIONS",
          "PGAPPNAME",
          "PGSSLMODE",
          "PGREQUIRESSL",
          "PGSSLNEGOTIATION",
          "PGREQUIREAUTH",
          "PGREQUIREPEER",
          "PGCHANNELBINDING",
          "PGGSSENCMODE",
          "PGCONNECT_TIMEOUT",
          "PGTARGETSESSIONATTRS",
          "PGLOADBALANCEHOSTS",
          "PGCLIENTENCODING",
          "PGDATESTYLE",
          "PGTZ",
          "PGDATA"};
}

Result<void> check_connection(const std::string& conninfo) {
  const Conninfo parsed = TRY(parse_conninfo(conninfo));
  for (const PQconninfoOption* option = parsed.get(); option->keyword; option++) {
    const std::string_view keyword = option->keyword;
    if (!option->val || (keyword != "password" && keyword != "sslpassword")) continue;
    return make_error(ErrorCode::kConfig, "the connection string holds a password")
        .with_hint("put it beside, as 'password: file:PATH' or 'password: env:NAME', or into ~/.pgpass");
  }
  return {};
}

// ---- Rows

Rows& Rows::operator=(Rows&& other) noexcept {
  std::swap(result_, other.result_);
  return *this;
}
Rows::~Rows() { PQclear(result_); }
size_t Rows::size() const { return static_cast<size_t>(PQntuples(result_)); }
size_t Rows::columns() const { return static_cast<size_t>(PQnfields(result_)); }
bool Rows::is_null(size_t row, size_t column) const {
  return PQgetisnull(result_, static_cast<int>(row), static_cast<int>(column)) != 0;
}
std::string_view Rows::at(size_t row, size_t column) const {
  CHECK(row < size() && column < columns());
  return {PQgetvalue(result_, static_cast<int>(row), static_cast<int>(column)),
          static_cast<size_t>(PQgetlength(result_, static_cast<int>(row), static_cast<int>(column)))};
}
int Rows::column(const std::string& name) const { return PQfnumber(result_, name.c_str()); }
std::string_view Rows::tag() const { return PQcmdStatus(result_); }

// ---- ServerSession

ServerSession::ServerSession(pg_conn* connection, const SessionOptions& options)
    : connection_(connection), options_(options) {}

ServerSession::~ServerSession() {
  if (copy_buffer_) PQfreemem(copy_buffer_);
  PQfinish(connection_);
}

Error ServerSession::failure(std::string_view what) const {
  return make_error(ErrorCode::kUnavailable, "{}: {}", what, trimmed(PQerrorMessage(connection_))).with_retryable();
}

// Waits until the socket is ready for one of `events`; `ready` stays false when
// `until` passed. Only waiting is stopped: what is here already can still be taken.
Result<void> ServerSession::wait(short events, Duration until, bool* ready) {
  *ready = false;
  while (true) {
    const Duration left = until - now();
    if (left > Duration{} && options_.stop && options_.stop->load(std::memory_order_relaxed))
      return make_error(ErrorCode::kInterrupted, "stopped while waiting for the PostgreSQL server");
    const Duration slice = std::clamp(left, Duration{}, kStopInterval);
    pollfd entry{PQsocket(connection_), events, 0};
    if (entry.fd < 0) return failure("the connection to the PostgreSQL server is closed");
    const int count = poll(&entry, 1, static_cast<int>((slice.ns + 999'999) / 1'000'000));
    if (count < 0 && errno != EINTR) return Error::from_errno(errno, "waiting for the PostgreSQL server");
    if (count > 0) {
      *ready = true;
      return {};
    }
    if (left <= Duration{}) return {};
  }
}

Result<std::unique_ptr<ServerSession>> ServerSession::connect(const Connection& connection,
                                                              const SessionOptions& options) {
  const auto keywords = TRY(connect_keywords(connection, options));
  std::vector<const char*> names, values;
  const bool ours = !connection.data_directory.empty();
  const std::string nothing_else =
      fmt::format(kNothingElsewhere, kNoLibraries) + (knows_keyword("require_auth") ? " require_auth=''" : "");
  if (ours) {
    names.push_back("dbname");  // libpq reads the first one as a string
    values.push_back(nothing_else.c_str());
  }
  for (const auto& [name, value] : keywords) {
    names.push_back(name.c_str());
    values.push_back(value.c_str());
  }
  // The copy lives only while libpq reads it, in memory that is wiped afterwards.
  Bytes password(connection.password.size() + 1);
  if (!connection.password.empty()) {
    std::copy(connection.password.reveal().begin(), connection.password.reveal().end(), password.begin());
    password[connection.password.size()] = 0;
    names.push_back("password");
    values.push_back(reinterpret_cast<const char*>(password.data()));
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  pg_conn* raw = PQconnectStartParams(names.data(), values.data(), ours ? 1 : 0);
  const Secret wiped(std::move(password));
  if (!raw) return make_error(ErrorCode::kNoSpace, "no memory for a connection to the PostgreSQL server");
  std::unique_ptr<ServerSession> session(new ServerSession(raw, options));
  const auto refused = [&](const std::string& message) { return connect_error(message, ours); };
  if (PQstatus(raw) == CONNECTION_BAD) return refused(trimmed(PQerrorMessage(raw)));
  const Duration until = now() + options.connect_deadline;
  PostgresPollingStatusType state = PGRES_POLLING_WRITING;
  while (state != PGRES_POLLING_OK) {
    bool ready = false;
    TRY(session->wait(state == PGRES_POLLING_READING ? POLLIN : POLLOUT, until, &ready));
    if (!ready) return refused(fmt::format("no answer within {}", format_duration(options.connect_deadline)));
    state = PQconnectPoll(raw);
    if (state == PGRES_POLLING_FAILED) return refused(trimmed(PQerrorMessage(raw)));
  }
  if (PQsetnonblocking(raw, 1) != 0) return session->failure("can't make the connection non-blocking");
  PQsetNoticeProcessor(raw, [](void*, const char*) {}, nullptr);
  if (options.kind == SessionKind::kSql) {
    TRY(session->exec(
        "SELECT pg_catalog.set_config('DateStyle', 'ISO, YMD', false), pg_catalog.set_config('TimeZone', 'UTC', "
        "false), "
        "pg_catalog.set_config('search_path', '', false);"
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN "
        "('statement_timeout', "
        "'lock_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout')"));
    if (ours) TRY(prove_directory(*session, connection.data_directory));
  }
  return session;
}

Result<void> ServerSession::flush(Duration until) {
  while (true) {
    const int state = PQflush(connection_);
    if (state == 0) return {};
    if (state < 0) return failure("sending to the PostgreSQL server");
    bool ready = false;
    TRY(wait(POLLIN | POLLOUT, until, &ready));
    if (!ready) return make_error(ErrorCode::kTimeout, "the PostgreSQL server takes no data").with_retryable();
    // A server that blocks on sending to us would never read: keep taking what comes.
    if (PQconsumeInput(connection_) == 0) return failure("reading from the PostgreSQL server");
  }
}

void ServerSession::cancel() {
  char text[256];
  PGcancel* request = PQgetCancel(connection_);
  if (!request) return;
  const bool sent = PQcancel(request, text, sizeof text) != 0;
  PQfreeCancel(request);
  if (!sent) return;
  const Duration until = now() + kCancelPatience;
  while (now() < until) {
    while (PQisBusy(connection_)) {
      pollfd entry{PQsocket(connection_), POLLIN, 0};
      if (entry.fd < 0 || poll(&entry, 1, 100) < 0) return;
      if (PQconsumeInput(connection_) == 0 || now() >= until) return;
    }
    PGresult* rest = PQgetResult(connection_);
    if (!rest) return;
    PQclear(rest);
  }
}

// The next result of the running command, or null at its end.
Result<pg_result*> ServerSession::next_result(Duration until) {
  while (PQisBusy(connection_)) {
    bool ready = false;
    auto waited = wait(POLLIN, until, &ready);
    if (!waited.ok()) {
      cancel();
      return std::move(waited).error();
    }
    if (!ready) {
      cancel();
      return make_error(ErrorCode::kTimeout,
                        "the PostgreSQL server did not answer in time; the statement was cancelled")
          .with_retryable();
    }
    if (PQconsumeInput(connection_) == 0) return failure("reading from the PostgreSQL server");
  }
  return PQgetResult(connection_);
}

namespace {

// What ends the message of a refusal, around the five characters of its SQLSTATE.
constexpr std::string_view kStateBegins = " (SQLSTATE ", kStateEnds = ")";
constexpr size_t kStateBytes = 5;

Error server_error(const PGresult* result) {
  const char* state_text = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string state = state_text ? state_text : "";
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  std::string message = primary ? trimmed(primary) : trimmed(PQresultErrorMessage(result));
  if (const char* detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL)) message += "; " + trimmed(detail);
  ErrorCode code = ErrorCode::kServer;
  if (state == "42501" || state.starts_with("28")) code = ErrorCode::kPermission;
  if (state.empty() || state.starts_with("08") || state.starts_with("57P") || state == "53300")
    code = ErrorCode::kUnavailable;
  auto error = make_error(code, "the PostgreSQL server says: {}{}", message,
                          state.empty() ? "" : fmt::format("{}{}{}", kStateBegins, state, kStateEnds))
                   .with_retryable(code == ErrorCode::kUnavailable);
  if (const char* hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT))
    return std::move(error).with_hint(trimmed(hint));
  return error;
}

bool is_failure(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  return status == PGRES_BAD_RESPONSE || status == PGRES_FATAL_ERROR || status == PGRES_NONFATAL_ERROR;
}

}  // namespace

std::string_view sqlstate_of(const Error& error) {
  const std::string_view message = error.message();
  constexpr size_t kBytes = kStateBegins.size() + kStateBytes + kStateEnds.size();
  if (message.size() < kBytes || !message.ends_with(kStateEnds)) return "";
  const std::string_view end = message.substr(message.size() - kBytes);
  return end.starts_with(kStateBegins) ? end.substr(kStateBegins.size(), kStateBytes) : "";
}

Result<Rows> ServerSession::exec(const std::string& sql, const std::vector<std::string>& parameters,
                                 std::optional<Duration> deadline) {
  const Duration until = now() + deadline.value_or(options_.deadline);
  std::vector<const char*> values;
  for (const std::string& parameter : parameters) values.push_back(parameter.c_str());
  const int sent = parameters.empty() ? PQsendQuery(connection_, sql.c_str())
                                      : PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()),
                                                          nullptr, values.data(), nullptr, nullptr, 0);
  if (sent == 0) return failure("sending a statement to the PostgreSQL server");
  TRY(flush(until));
  std::optional<Rows> last;
  std::optional<Error> error;
  while (pg_result* result = TRY(next_result(until))) {
    Rows rows(result);
    if (is_failure(result) && !error) error = server_error(result);
    const ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
      cancel();
      return make_error(ErrorCode::kInternal, "a copy was begun by exec()");
    }
    last = std::move(rows);
  }
  if (error) return std::move(*error);
  if (!last) return failure("the PostgreSQL server sent no result");
  return std::move(*last);
}

Result<std::string> ServerSession::value(const std::string& sql, const std::vector<std::string>& parameters) {
  const Rows rows = TRY(exec(sql, parameters));
  if (rows.size() != 1 || rows.columns() != 1)
    return make_error(ErrorCode::kServer, "expected one value but the PostgreSQL server sent {} rows", rows.size());
  return std::string(rows.at(0, 0));
}

Result<void> ServerSession::send(const std::string& sql) {
  if (PQsendQuery(connection_, sql.c_str()) == 0) return failure("sending a command to the PostgreSQL server");
  return flush(now() + options_.deadline);
}

Result<std::optional<ServerSession::Taken>> ServerSession::take(std::optional<Duration> deadline) {
  const Duration until = now() + deadline.value_or(options_.deadline);
  pg_result* result = TRY(next_result(until));
  if (!result) return std::optional<Taken>();
  Taken taken{Rows(result)};
  if (is_failure(result)) {
    Error refusal = server_error(result);
    // It ends the command, and a result that is not taken would stand in the way of the next.
    const auto rest = next_result(until);
    if (rest.ok() && rest.value()) PQclear(rest.value());
    return refusal;
  }
  taken.copy_both = PQresultStatus(result) == PGRES_COPY_BOTH;
  taken.copy_out = taken.copy_both || PQresultStatus(result) == PGRES_COPY_OUT;
  return std::optional<Taken>(std::move(taken));
}

Result<ServerSession::CopyMessage> ServerSession::read_copy() {
  auto message = TRY(read_copy_within(options_.deadline));
  if (message.state == CopyState::kNothingYet)
    return make_error(ErrorCode::kTimeout, "the PostgreSQL server sent nothing for {}",
                      format_duration(options_.deadline))
        .with_retryable();
  return message;
}

Result<ServerSession::CopyMessage> ServerSession::read_copy_within(Duration wait_for) {
  if (copy_buffer_) PQfreemem(copy_buffer_);
  copy_buffer_ = nullptr;
  const Duration until = now() + wait_for;
  for (bool first = true;; first = false) {
    const int size = PQgetCopyData(connection_, &copy_buffer_, 1);
    if (size > 0)
      return CopyMessage{CopyState::kData,
                         ByteView(reinterpret_cast<uint8_t*>(copy_buffer_), static_cast<size_t>(size))};
    if (size == -1) return CopyMessage{CopyState::kEnd, {}};
    if (size < -1) return failure("reading from the PostgreSQL server");
    if (!first) {
      bool ready = false;
      TRY(wait(POLLIN, until, &ready));
      if (!ready) return CopyMessage{};
    }
    if (PQconsumeInput(connection_) == 0) return failure("reading from the PostgreSQL server");
  }
}

Result<void> ServerSession::write_copy(ByteView message) {
  const Duration until = now() + options_.deadline;
  while (true) {
    const int state =
        PQputCopyData(connection_, reinterpret_cast<const char*>(message.data()), static_cast<int>(message.size()));
    if (state > 0) return flush(until);
    if (state < 0) return failure("sending to the PostgreSQL server");
    TRY(flush(until));
  }
}

Result<void> ServerSession::end_copy() {
  const Duration until = now() + options_.deadline;
  while (true) {
    const int state = PQputCopyEnd(connection_, nullptr);
    if (state > 0) return flush(until);
    if (state < 0) return failure("ending the copy from the PostgreSQL server");
    TRY(flush(until));
  }
}

int ServerSession::server_version() const { return PQserverVersion(connection_); }
int ServerSession::major() const { return server_version() / 10000; }

std::string ServerSession::parameter(const std::string& name) const {
  const char* value = PQparameterStatus(connection_, name.c_str());
  return value ? value : "";
}

namespace {
Result<std::string> taken_text(char* text, const char* what) {
  if (!text) return make_error(ErrorCode::kUsage, "{} can't be quoted for SQL: it is not valid text", what);
  std::string copy = text;
  PQfreemem(text);
  return copy;
}
}  // namespace

Result<std::string> ServerSession::quote_literal(std::string_view text) {
  return taken_text(PQescapeLiteral(connection_, text.data(), text.size()), "a value");
}
Result<std::string> ServerSession::quote_identifier(std::string_view text) {
  return taken_text(PQescapeIdentifier(connection_, text.data(), text.size()), "a name");
}
int ServerSession::descriptor() const { return PQsocket(connection_); }

}  // namespace holdfast::postgres
