#pragma once

#include <string>

#include "base/result.h"
#include "recovery/stack.h"

namespace CLI {
class App;
}

namespace holdfast::cli {

class Program;

// What the `wal` commands share.
void add_wal_push(Program& program, CLI::App* wal);
void add_wal_get(Program& program, CLI::App* wal);
void add_wal_receive(Program& program, CLI::App* wal);

// The PostgreSQL component named, or the only one.
Result<const recovery::ComponentConfig*> wal_component(const recovery::StackConfig& stack, const std::string& name);

}  // namespace holdfast::cli
