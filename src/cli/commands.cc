#include "cli/commands.h"

#include "cli/drill.h"
#include "cli/program.h"

namespace holdfast::cli {

void add_commands(Program& program) {
  add_init(program);
  add_backup(program);
  add_points(program);
  add_latest(program);
  add_stats(program);
  add_restore(program);
  add_verify(program);
  add_drill(program);
  add_check(program);
  add_explain(program);
  add_prune(program);
  add_key(program);
  add_mount(program);
  add_wal(program);
  add_log(program);
  add_runbook(program);
  add_completion(program);
  add_man(program);
  add_version(program);
}

}  // namespace holdfast::cli
