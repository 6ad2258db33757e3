#include <optional>

#include "base/time.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/program.h"
#include "cli/wal.h"
#include "recovery/cluster.h"

namespace holdfast::cli {

namespace {

// PostgreSQL archives one segment at a time and waits for as long as that takes: a store that hangs
// must come to be a failure, after which it tries again.
constexpr Duration kUsualLimit = Duration::seconds(600);

struct PushOptions {
  std::string component, path;
  std::optional<std::string> limit;
};

// archive_command runs in the data directory, and %p is relative to it: the path
// tells whose WAL it is. Elsewhere two folders up from the file is tried.
Result<postgres::ClusterIdentity> identify(FileSystem& fs, const std::string& path) {
  auto here = postgres::identify_directory(fs, ".");
  if (here.ok() || here.error().code() != ErrorCode::kNotFound) return here;
  const std::string wal_directory = parent_path(absolute_path(path));
  const std::string data_directory = base_name(wal_directory) == "archive_status"
                                         ? parent_path(parent_path(wal_directory))
                                         : parent_path(wal_directory);
  auto beside = postgres::identify_directory(fs, data_directory);
  if (beside.ok() || beside.error().code() != ErrorCode::kNotFound) return beside;
  return make_error(ErrorCode::kNotFound,
                    "can't tell which cluster {} belongs to: neither the working directory nor {} is a data directory",
                    path, data_directory)
      .with_hint("archive_command runs in the data directory: there 'wal push %p' is enough");
}

// The document of what was stored. It is told where no deadline runs, which reads it, too.
Result<Json> store(Context& context, const PushOptions& options) {
  FileSystem& fs = real_file_system();
  const std::string name = base_name(options.path);
  const Bytes content = TRY(read_file(fs, options.path, 2 * kGiB));
  const postgres::ClusterIdentity cluster = TRY(identify(fs, options.path));
  auto workspace = TRY(context.open_for_server());
  const auto* component = TRY(wal_component(workspace->stack(), options.component));
  auto archive = TRY(recovery::open_archive(*workspace, component->name, cluster.system_id, cluster.segment_bytes));
  TRY(archive->push(name, content.view()));
  return Json{{"component", component->name}, {"name", name}, {"bytes", content.size()}};
}

Result<void> run(Program& program, Context& context, const PushOptions& options) {
  Duration limit = kUsualLimit;
  if (options.limit) limit = TRY_CONTEXT(parse_duration(*options.limit), "--timeout");
  const std::string name = base_name(options.path);
  Json stored;
  TRY(program.within(limit, "storing " + name, [&]() -> Result<void> {
    stored = TRY(store(context, options));
    return {};
  }));
  context.set_document("wal-push", std::move(stored));
  context.say("stored {}", name);
  return {};
}

}  // namespace

void add_wal_push(Program& program, CLI::App* wal) {
  auto options = std::make_shared<PushOptions>();
  CLI::App* command = program.command("push", "Store a WAL segment or history file: for archive_command.", wal);
  command->add_option("path", options->path, "the file, as %p gives it")->type_name("PATH")->required();
  command
      ->add_option("--component", options->component,
                   "whose WAL it is (when the stack has several PostgreSQL components)")
      ->type_name("NAME");
  command
      ->add_option("--timeout", options->limit,
                   "end as failed after this long, so that PostgreSQL tries again (default: 10m)")
      ->type_name("DURATION");
  program.examples(command,
                   "archive_command = 'holdfast --config /etc/hf.yaml wal push \"%p\"'\n"
                   "# the same bytes again are accepted, other bytes are refused (25)");
  program.on(command, [&program, options](Context& context) { return run(program, context, *options); });
}

}  // namespace holdfast::cli
