#include "cli/wal.h"

#include "cli/commands.h"
#include "cli/program.h"

namespace holdfast::cli {

void add_wal(Program& program) {
  CLI::App* wal = program.command("wal", "PostgreSQL's side: take WAL in, give it back.");
  wal->require_subcommand(1);
  program.examples(wal,
                   "archive_command = 'holdfast --config /etc/hf.yaml wal push \"%p\"'\n"
                   "restore_command = 'holdfast --config /etc/hf.yaml wal get \"%f\" \"%p\"'\n"
                   "holdfast wal receive");
  add_wal_push(program, wal);
  add_wal_get(program, wal);
  add_wal_receive(program, wal);
}

Result<const recovery::ComponentConfig*> wal_component(const recovery::StackConfig& stack, const std::string& name) {
  const recovery::ComponentConfig* found = nullptr;
  for (const recovery::ComponentConfig& component : stack.components) {
    if (component.kind != "postgres" || (!name.empty() && component.name != name)) continue;
    if (found != nullptr) {
      return make_error(ErrorCode::kUsage, "the stack has several PostgreSQL components")
          .with_hint("say which one with --component NAME");
    }
    found = &component;
  }
  if (found == nullptr) {
    return name.empty() ? make_error(ErrorCode::kConfig, "the stack has no PostgreSQL component")
                        : make_error(ErrorCode::kNotFound, "the stack has no PostgreSQL component '{}'", name);
  }
  return found;
}

}  // namespace holdfast::cli
