#pragma once

namespace holdfast::cli {

class Program;

void add_init(Program& program);
void add_backup(Program& program);
void add_points(Program& program);
void add_latest(Program& program);
void add_stats(Program& program);
void add_restore(Program& program);
void add_verify(Program& program);
void add_check(Program& program);
void add_explain(Program& program);
void add_prune(Program& program);
void add_key(Program& program);
void add_mount(Program& program);
void add_wal(Program& program);
void add_log(Program& program);
void add_runbook(Program& program);
void add_completion(Program& program);
void add_man(Program& program);
void add_version(Program& program);

}  // namespace holdfast::cli
