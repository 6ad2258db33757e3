#include "cli/hidden.h"

#include <string_view>

#include "engine/fork_server.h"
#include "engine/sql_script.h"

namespace holdfast::cli {

std::optional<int> run_hidden(int argc, char** argv) {
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "__supervisors" && argc == 2) return engine::serve_forks(argv[0]);
  if (mode == "__sql" && argc == 3) return engine::run_sql_script(argv[2]);
  return std::nullopt;
}

}  // namespace holdfast::cli
