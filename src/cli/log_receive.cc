#include "base/units.h"
#include "cli/commands.h"
#include "cli/log.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/receiver_words.h"
#include "cli/terminal.h"
#include "recovery/redis_component.h"

namespace holdfast::cli {

namespace {

constexpr Duration kReportInterval = Duration::seconds(60);

// Says what the receiver does when that changes, and how far it is now and then:
// its standard output is a service's log.
class Reporter {
 public:
  Reporter(Context& context, Clock& clock, std::string component, std::string repository)
      : context_(context), clock_(clock), component_(std::move(component)), repository_(std::move(repository)) {}

  void on_state(const redis::ReceiverState& state) {
    const Duration now = clock_.monotonic();
    if (state.links != last_.links)
      say("the server goes on as history {}: a failover, nothing is missing", state.replid.substr(0, 8));
    if (state.snapshots != last_.snapshots) say("the server sent all its data: committed as a recovery point");
    if (state.gaps != last_.gaps)
      say("there is a gap in front of it ('holdfast log' names it): what came between is lost to recovery");
    const bool is_refused = !state.not_stored.empty(), was_refused = !last_.not_stored.empty();
    if (was_refused && !is_refused) say("the repository takes commands again");
    const bool changed = state.connected != last_.connected || state.trouble != last_.trouble ||
                         is_refused != was_refused || state.store_is_full != last_.store_is_full;
    if (changed || now - said_at_ >= kReportInterval) say_how_far(state);
    last_ = state;
  }
  const redis::ReceiverState& last() const { return last_; }

 private:
  // With --json and --quiet the events of the log say it (redis.log.not_stored).
  void say_not_stored(const redis::ReceiverState& state) {
    const char* const kept =
        "the server keeps what comes in its backlog (repl-backlog-size), and what that loses is a gap";
    if (state.store_is_full)
      say("the disk of {} is full: nothing is stored beyond offset {}; {}. Make room on that disk, and it goes on by "
          "itself",
          printable(repository_), state.stored, kept);
    else
      say("nothing is stored beyond offset {}: {}; {}", state.stored, printable(one_line(state.not_stored)), kept);
  }
  void say_how_far(const redis::ReceiverState& state) {
    if (!state.not_stored.empty()) say_not_stored(state);
    if (!state.trouble.empty()) {
      tell_trouble(context_, format_local(clock_.now()), {component_, "redis", state.trouble});
    } else if (!state.connected) {
      say("not connected");
    } else {
      say("history {}: stored up to offset {}, {} behind", state.replid.substr(0, 8), state.stored,
          format_bytes(state.received - state.stored));
    }
    said_at_ = clock_.monotonic();
  }
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    context_.say("{}  {}", format_local(clock_.now()), fmt::format(format, std::forward<Args>(args)...));
    std::fflush(stdout);
  }

  Context& context_;
  Clock& clock_;
  const std::string component_, repository_;
  redis::ReceiverState last_;
  Duration said_at_{};
};

// The Redis component named, or the only one.
Result<const recovery::ComponentConfig*> redis_component(const recovery::StackConfig& stack, const std::string& name) {
  const recovery::ComponentConfig* found = nullptr;
  for (const recovery::ComponentConfig& component : stack.components) {
    if (component.kind != "redis" || (!name.empty() && component.name != name)) continue;
    if (found != nullptr)
      return make_error(ErrorCode::kUsage, "the stack has several Redis components")
          .with_hint("say which one with --component NAME");
    found = &component;
  }
  if (found != nullptr) return found;
  if (name.empty())
    return make_error(ErrorCode::kConfig, "the stack has no Redis component")
        .with_hint("the WAL of PostgreSQL is received by 'holdfast wal receive'");
  return make_error(ErrorCode::kNotFound, "the stack has no Redis component '{}'", name);
}

Result<void> run(Context& context, const std::string& name) {
  auto workspace = TRY(context.open());
  const auto* component = TRY(redis_component(workspace->stack(), name));
  context.say("receiving the commands of {} ({}) into {}", component->name, component->redis.connection,
              workspace->stack().repository);
  std::fflush(stdout);
  Reporter reporter(context, context.machine().clock, component->name, workspace->stack().repository);
  const auto received = recovery::receive_redis(*workspace, *component,
                                                [&](const redis::ReceiverState& state) { reporter.on_state(state); });
  const redis::ReceiverState& state = reporter.last();
  context.set_document("log-receive", {{"component", component->name},
                                       {"replid", state.replid},
                                       {"stored_up_to", state.stored},
                                       {"received_bytes", state.received_bytes},
                                       {"reconnects", state.reconnects},
                                       {"failovers", state.links},
                                       {"snapshots", state.snapshots},
                                       {"gaps", state.gaps}});
  if (!received.ok()) return received.error().clone().with_context(fmt::format("component {}", component->name));
  context.say("stopped: all that was received is stored, up to offset {}", state.stored);
  return {};
}

}  // namespace

void add_log_receive(Program& program, CLI::App* log) {
  auto component = std::make_shared<std::string>();
  CLI::App* command =
      program.command("receive", "Stream a Redis server's commands into the repository until stopped.", log);
  command->add_option("--component", *component, "whose commands (when the stack has several Redis components)")
      ->type_name("NAME");
  program.examples(command,
                   "holdfast log receive     # a service; SIGTERM stores what is in hand\n"
                   "holdfast log receive --component cache");
  program.on(command, [component](Context& context) { return run(context, *component); });
}

}  // namespace holdfast::cli
