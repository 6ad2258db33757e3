#include "source/postgres/wal_get.h"
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
};

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

// kNotFound from here means one thing alone: the file is proven absent. The
// repository is opened only when the segment was not read ahead by an earlier call.
Result<void> run(Context& context, const GetOptions& options, bool& absent) {
  const recovery::StackConfig stack = TRY(context.stack());
  postgres::WalGetOptions get;
  get.name = options.name;
  get.destination = options.path;
  get.look_ahead = options.look_ahead;
  get.identity = TRY(identify(options, stack));
  std::unique_ptr<recovery::Workspace> workspace;
  std::unique_ptr<postgres::WalArchive> archive;
  auto report = postgres::wal_get(real_file_system(), get, [&]() -> Result<postgres::WalArchive*> {
    workspace = TRY(context.open_for_server());
    archive = TRY(
        recovery::open_archive(*workspace, get.identity.component, get.identity.system_id, get.identity.segment_bytes));
    return archive.get();
  });
  if (report.error) return std::move(*report.error);
  absent = report.outcome == postgres::WalGetOutcome::kAbsent;
  if (absent) return make_error(ErrorCode::kNotFound, "{} is not in the repository", options.name);
  CHECK(report.outcome == postgres::WalGetOutcome::kFound);
  const auto placed = TRY(real_file_system().stat(options.path));
  context.set_document("wal-get",
                       {{"component", get.identity.component}, {"name", options.name}, {"bytes", placed.st_size}});
  return {};
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
  program.examples(command,
                   "restore_command = 'holdfast --config /etc/hf.yaml wal get \"%f\" \"%p\"'\n"
                   "# exit status 0: here it is; 1: it is proven absent; 126: other trouble,\n"
                   "# so that PostgreSQL stops instead of ending recovery early");
  program.on(command, [&program, options](Context& context) {
    auto absent = std::make_shared<bool>(false);
    program.set_exit_status([absent](const Error&) { return *absent ? kProvenAbsent : kRestoreCommandTrouble; });
    return run(context, *options, *absent);
  });
}

}  // namespace holdfast::cli
