#include "source/postgres/wal_get.h"

#include <atomic>
#include <optional>

#include "base/time.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/program.h"
#include "cli/wal.h"
#include "recovery/cluster.h"

namespace holdfast::cli {

namespace {

constexpr int kProvenAbsent = 1;

struct GetOptions {
  std::string component, name, path;
  uint64_t system_id = 0, segment_bytes = 0;
  size_t look_ahead = postgres::WalGetOptions().look_ahead;
  std::optional<std::string> limit;
};

enum class Known { kNothing, kAbsent, kDelivered };
using Reached = std::atomic<Known>;  // the deadline passes in another thread

int exit_status(Known known, const Error& error) {
  if (known == Known::kAbsent) return kProvenAbsent;
  // Reading ahead has taken too long.
  if (known == Known::kDelivered && error.code() == ErrorCode::kTimeout) return 0;
  return kRestoreCommandTrouble;
}

// Which cluster's WAL: as the command line says, else that of the data directory
// that restore_command runs in.
Result<postgres::WalArchive::Identity> identify(const GetOptions& options, const recovery::StackConfig& stack) {
  postgres::WalArchive::Identity identity;
  // What is restored may be of a component that the stack no longer has.
  const bool told = !options.component.empty() && options.system_id != 0;
  identity.component = told ? options.component : TRY(wal_component(stack, options.component))->name;
  identity.system_id = options.system_id;
  if (options.segment_bytes != 0) identity.segment_bytes = options.segment_bytes;
  if (options.system_id == 0) {
    const auto cluster = TRY_CONTEXT(postgres::identify_directory(real_file_system(), "."), "the working directory");
    identity.system_id = cluster.system_id;
    identity.segment_bytes = cluster.segment_bytes;
  }
  return identity;
}

// Opened only when the segment was not read ahead by an earlier call.
struct OpenedArchive {
  std::unique_ptr<recovery::Workspace> workspace;
  std::unique_ptr<postgres::WalArchive> archive;
};

Result<void> fetch(Context& context, const postgres::WalGetOptions& get, OpenedArchive& opened, Reached& reached) {
  auto report = postgres::wal_get(real_file_system(), get, [&]() -> Result<postgres::WalArchive*> {
    opened.workspace = TRY(context.open_for_server());
    opened.archive = TRY(recovery::open_archive(*opened.workspace, get.identity.component, get.identity.system_id,
                                                get.identity.segment_bytes));
    return opened.archive.get();
  });
  if (report.error) return std::move(*report.error);
  if (report.outcome == postgres::WalGetOutcome::kAbsent) {
    reached = Known::kAbsent;
    return make_error(ErrorCode::kNotFound, "{} is not in the repository", get.name);
  }
  CHECK(report.outcome == postgres::WalGetOutcome::kFound);
  return {};
}

Result<void> prepare(Context& context, const GetOptions& options, postgres::WalGetOptions& get) {
  const recovery::StackConfig stack = TRY(context.stack());
  get.name = options.name;
  get.destination = options.path;
  get.look_ahead = options.look_ahead;
  get.identity = TRY(identify(options, stack));
  return {};
}

Result<void> within(Program& program, std::optional<Duration> limit, const std::string& what,
                    const std::function<Result<void>()>& work) {
  return limit ? program.within(*limit, what, work) : work();
}

// No deadline runs here: what it reads is what this writes.
Result<void> tell(Context& context, const postgres::WalGetOptions& get, Reached& reached) {
  const auto placed = TRY(real_file_system().stat(get.destination));
  context.set_document("wal-get",
                       {{"component", get.identity.component}, {"name", get.name}, {"bytes", placed.st_size}});
  reached = Known::kDelivered;
  return {};
}

Result<void> run(Program& program, Context& context, const GetOptions& options, Reached& reached) {
  std::optional<Duration> limit;
  if (options.limit) limit = TRY_CONTEXT(parse_duration(*options.limit), "--timeout");
  const Duration began = system_clock().monotonic();
  postgres::WalGetOptions get;
  OpenedArchive opened;
  TRY(within(program, limit, "fetching " + options.name, [&]() -> Result<void> {
    TRY(prepare(context, options, get));
    return fetch(context, get, opened, reached);
  }));
  TRY(tell(context, get, reached));
  if (!opened.archive) return {};
  if (limit) limit = *limit - (system_clock().monotonic() - began);
  if (limit && *limit <= Duration{}) return {};
  return within(program, limit, "reading ahead of " + options.name, [&]() -> Result<void> {
    postgres::wal_look_ahead(real_file_system(), get, *opened.archive);
    return {};
  });
}

}  // namespace

void add_wal_get(Program& program, CLI::App* wal) {
  auto options = std::make_shared<GetOptions>();
  CLI::App* command = program.command("get", "Give a WAL segment or history file back: for restore_command.", wal);
  command->add_option("name", options->name, "its name, as %f gives it")->type_name("NAME")->required();
  command->add_option("path", options->path, "where to put it, as %p gives it")->type_name("PATH")->required();
  command
      ->add_option("--component", options->component,
                   "whose WAL it is (when the stack has several PostgreSQL components)")
      ->type_name("NAME");
  command->add_option("--system-id", options->system_id, "of which cluster (default: that of the working directory)")
      ->type_name("ID");
  command->add_option("--segment-size", options->segment_bytes, "its segment size in bytes")->type_name("BYTES");
  command
      ->add_option("--look-ahead", options->look_ahead, "how many segments beyond it are fetched at once (default: 8)")
      ->type_name("N");
  command
      ->add_option("--timeout", options->limit,
                   "end as failed after this long, so that PostgreSQL stops (default: wait for the store)")
      ->type_name("DURATION");
  program.examples(command,
                   "restore_command = 'holdfast --config /etc/hf.yaml wal get \"%f\" \"%p\"'\n"
                   "# exit status 0: here it is; 1: it is proven absent; 126: other trouble,\n"
                   "# so that PostgreSQL stops instead of ending recovery early");
  program.on(command, [&program, options](Context& context) {
    auto reached = std::make_shared<Reached>(Known::kNothing);
    program.set_exit_status([reached](const Error& error) { return exit_status(*reached, error); });
    return run(program, context, *options, *reached);
  });
}

}  // namespace holdfast::cli
