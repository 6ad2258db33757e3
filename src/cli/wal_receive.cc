#include "base/units.h"
#include "cli/commands.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/receiver_words.h"
#include "cli/terminal.h"
#include "cli/wal.h"
#include "recovery/cluster.h"
#include "recovery/missing_wal.h"
#include "source/postgres/receiver.h"

namespace holdfast::cli {

namespace {

struct ReceiveCommand {
  std::string component;
  bool synchronous = false;
};

constexpr Duration kReportInterval = Duration::seconds(60);

// Says what the receiver does when that changes, and how far it is now and then:
// its standard output is a service's log.
class Reporter {
 public:
  Reporter(Context& context, Clock& clock, std::string component, std::string slot, std::string repository)
      : context_(context),
        clock_(clock),
        component_(std::move(component)),
        slot_(std::move(slot)),
        repository_(std::move(repository)) {}

  void on_state(const postgres::ReceiverState& state) {
    const Duration now = clock_.monotonic();
    const bool is_refused = !state.not_stored.empty(), was_refused = !last_.not_stored.empty();
    const bool changed = state.connected != last_.connected || state.trouble != last_.trouble ||
                         state.timeline != last_.timeline || is_refused != was_refused ||
                         state.store_is_full != last_.store_is_full;
    if (was_refused && !is_refused) context_.say("{}  the repository takes WAL again", format_local(clock_.now()));
    if (changed || now - said_at_ >= kReportInterval) {
      say(state);
      said_at_ = now;
    }
    last_ = state;
  }
  const postgres::ReceiverState& last() const { return last_; }

 private:
  void say(const postgres::ReceiverState& state) {
    const std::string time = format_local(clock_.now());
    if (!state.not_stored.empty()) say_not_stored(time, state);
    if (!state.trouble.empty()) {
      tell_trouble(context_, time, {component_, "postgres", state.trouble});
    } else if (!state.connected) {
      context_.say("{}  not connected", time);
    } else {
      context_.say("{}  timeline {}: stored up to {}, {} behind; the server keeps {} for the slot", time,
                   state.timeline, state.stored.text(), format_bytes(state.lag_bytes()),
                   format_bytes(state.slot_kept_bytes));
    }
    std::fflush(stdout);
  }

  // With --json and --quiet the events of the log say it (postgres.wal.not_stored).
  void say_not_stored(const std::string& time, const postgres::ReceiverState& state) {
    const std::string kept = fmt::format(
        "the slot {} makes the server keep what comes (pg_wal grows: {} now), and loses it beyond "
        "max_slot_wal_keep_size",
        slot_, format_bytes(state.slot_kept_bytes));
    if (state.store_is_full)
      context_.say(
          "{}  the disk of {} is full: no WAL is stored beyond {}; {}. Make room on that disk, and it goes on by "
          "itself",
          time, printable(repository_), state.stored.text(), kept);
    else
      context_.say("{}  no WAL is stored beyond {}: {}; {}", time, state.stored.text(),
                   printable(one_line(state.not_stored)), kept);
  }

  Context& context_;
  Clock& clock_;
  const std::string component_, slot_, repository_;
  postgres::ReceiverState last_;
  Duration said_at_{};
};

// The server is asked who it is before the archive is opened: WAL of another
// cluster must not get into its stream. A server that is away is waited for.
Result<postgres::ClusterIdentity> wait_for_server(Context& context, const postgres::Connection& connection) {
  Clock& clock = context.machine().clock;
  bool said = false;
  while (true) {
    auto identity = postgres::identify_server(connection);
    if (identity.ok() || !identity.error().retryable()) return identity;
    if (!said) context.say("waiting for the server: {}", identity.error().message());
    said = true;
    std::fflush(stdout);
    for (int i = 0; i < 20 && !context.progress().stop; i++) clock.sleep(Duration::milliseconds(100));
    if (context.progress().stop) return make_error(ErrorCode::kInterrupted, "stopped while waiting for the server");
  }
}

Result<void> run(Context& context, const ReceiveCommand& command) {
  auto workspace = TRY(context.open());
  const auto* component = TRY(wal_component(workspace->stack(), command.component));
  const postgres::Connection connection = TRY(recovery::connection_of(*component));
  const auto identity = TRY_CONTEXT(wait_for_server(context, connection), "component {}", component->name);
  auto archive = TRY(recovery::open_archive(*workspace, component->name, identity.system_id, identity.segment_bytes));

  postgres::ReceiverOptions options;
  options.slot = component->postgres.slot;
  options.application_name = component->postgres.slot;
  options.expired_until = [&] { return recovery::wal_expired_until(*workspace, *archive); };
  options.synchronous = command.synchronous || component->postgres.synchronous;
  context.say("receiving the WAL of {} (PostgreSQL {}) into {} through slot {}{}", component->name, identity.major,
              workspace->stack().repository, options.slot,
              options.synchronous ? fmt::format(", as synchronous standby '{}'", options.application_name) : "");
  std::fflush(stdout);
  Clock& clock = context.machine().clock;
  Reporter reporter(context, clock, component->name, options.slot, workspace->stack().repository);
  const auto received = postgres::receive_wal(connection, *archive, clock, options, context.progress().stop,
                                              [&](const postgres::ReceiverState& state) { reporter.on_state(state); });
  const postgres::ReceiverState& state = reporter.last();
  context.set_document("wal-receive", {{"component", component->name},
                                       {"slot", options.slot},
                                       {"timeline", state.timeline},
                                       {"stored_up_to", state.stored.text()},
                                       {"received_bytes", state.received_bytes},
                                       {"reconnects", state.reconnects},
                                       {"gaps", state.gaps}});
  if (!received.ok()) return received.error().clone();
  context.say("stopped: all that was received is stored, up to {}", state.stored.text());
  return {};
}

}  // namespace

void add_wal_receive(Program& program, CLI::App* wal) {
  auto options = std::make_shared<ReceiveCommand>();
  CLI::App* command = program.command("receive", "Stream a server's WAL into the repository until stopped.", wal);
  command->add_option("--component", options->component, "whose WAL (when the stack has several PostgreSQL components)")
      ->type_name("NAME");
  command->add_flag("--synchronous", options->synchronous,
                    "acknowledge at once, as a synchronous standby (also: synchronous: true)");
  program.examples(command,
                   "holdfast wal receive     # a service; SIGTERM stores what is in hand\n"
                   "# no acknowledged commit is lost when the server waits for it:\n"
                   "#   synchronous: true                           in holdfast.yaml\n"
                   "#   synchronous_standby_names = 'holdfast_db'   in postgresql.conf");
  program.on(command, [options](Context& context) { return run(context, *options); });
}

}  // namespace holdfast::cli
