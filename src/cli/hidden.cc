#include "cli/hidden.h"

#include <string_view>

#include "engine/sql_script.h"
#include "engine/supervisor.h"

namespace holdfast::cli {

std::optional<int> run_hidden(int argc, char** argv) {
  if (argc != 3) return std::nullopt;
  const std::string_view mode = argv[1];
  if (mode == "__supervise") return engine::supervise(argv[2]);
  if (mode == "__sql") return engine::run_sql_script(argv[2]);
  return std::nullopt;
}

}  // namespace holdfast::cli
