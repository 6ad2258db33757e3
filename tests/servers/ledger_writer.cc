// Loads a server with transactions and keeps its own durable ledger of those that
// were acknowledged, so that a recovery can be held against it.
//
//   ledger_writer CONNINFO LEDGER
//
// Makes the table public.ledger (mode, seq, made) where it lacks. Two clients write
// one row per transaction: "sync" with synchronous_commit=on, acknowledged when every
// synchronous standby has it, and "async" with synchronous_commit=local. Lines of the
// ledger, each durable before the next transaction of its client:
//
//   commit MODE SEQ BEGUN ACKNOWLEDGED    times in microseconds since 1970
//   instant TIME SYNC ASYNC               no transaction was in flight: the last SEQ of each
//
// Ends at SIGTERM with status 0, and with 1 when the server is gone.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>

#include "base/time.h"
#include "source/postgres/connection.h"

namespace holdfast {
namespace {

std::atomic<bool> stop{false};
std::atomic<bool> failed{false};

int64_t now_us() { return system_clock().now().ns / 1000; }

// Appends lines; each is on the disk when append() returns.
class LedgerFile {
 public:
  explicit LedgerFile(const char* path) : descriptor_(::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {}
  ~LedgerFile() { ::close(descriptor_); }
  bool ok() const { return descriptor_ >= 0; }
  bool append(const std::string& line) {
    const std::lock_guard lock(mutex_);
    return ::write(descriptor_, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
           ::fdatasync(descriptor_) == 0;
  }

 private:
  std::mutex mutex_;
  int descriptor_;
};

struct Client {
  const char* mode;
  const char* synchronous_commit;
  std::atomic<int64_t> last_seq{0};
};

// Held shared while a transaction is in flight, alone for a quiet instant; who wants
// one holds the turnstile, so that it comes.
std::shared_mutex in_flight;
std::mutex turnstile;

Result<void> write_one(postgres::ServerSession& session, Client& client, LedgerFile& ledger) {
  {
    const std::lock_guard pass(turnstile);
  }
  const std::shared_lock lock(in_flight);
  const int64_t seq = client.last_seq + 1;
  const int64_t begun = now_us();
  TRY(session.exec("insert into public.ledger (mode, seq) values ($1, $2)", {client.mode, std::to_string(seq)}));
  if (!ledger.append(fmt::format("commit {} {} {} {}\n", client.mode, seq, begun, now_us()))) {
    return make_error(ErrorCode::kIo, "the ledger can't be written");
  }
  client.last_seq = seq;
  return {};
}

Result<void> run_client(const postgres::Connection& connection, Client& client, LedgerFile& ledger) {
  auto session = TRY(postgres::ServerSession::connect(connection));
  TRY(session->exec(fmt::format("set synchronous_commit = {}", client.synchronous_commit)));
  client.last_seq =
      std::stoll(TRY(session->value("select coalesce(max(seq), 0) from public.ledger where mode = $1", {client.mode})));
  while (!stop && !failed) {
    TRY(write_one(*session, client, ledger));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return {};
}

void report(const char* who, const Result<void>& result) {
  if (result.ok()) return;
  if (!stop) failed = true;
  fmt::print(stderr, "{}: {}\n", who, result.error().text());
}

void note_instants(Client& sync, Client& async, LedgerFile& ledger) {
  while (!stop && !failed) {
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    const std::lock_guard hold(turnstile);
    const std::unique_lock lock(in_flight);
    ledger.append(fmt::format("instant {} {} {}\n", now_us(), sync.last_seq.load(), async.last_seq.load()));
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

Result<void> prepare(const postgres::Connection& connection) {
  auto session = TRY(postgres::ServerSession::connect(connection));
  TRY(
      session->exec("create table if not exists public.ledger (mode text, seq bigint, "
                    "made timestamptz default clock_timestamp(), primary key (mode, seq))"));
  return {};
}

int run(const char* conninfo, const char* path) {
  const postgres::Connection connection{conninfo, Secret(), {}};
  LedgerFile ledger(path);
  if (!ledger.ok()) {
    fmt::print(stderr, "{}: the ledger can't be opened\n", path);
    return 2;
  }
  report("prepare", prepare(connection));
  Client sync{"sync", "on"};
  Client async{"async", "local"};
  {
    std::jthread first([&] { report("sync", run_client(connection, sync, ledger)); });
    std::jthread second([&] { report("async", run_client(connection, async, ledger)); });
    std::jthread third([&] { note_instants(sync, async, ledger); });
  }
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: ledger_writer CONNINFO LEDGER\n");
    return 2;
  }
  signal(SIGTERM, [](int) { holdfast::stop = true; });
  return holdfast::run(argv[1], argv[2]);
}
