#include "cli/main.h"

#include "cli/hidden.h"
#include "cli/program.h"

namespace holdfast::cli {

int main(int argc, char** argv) {
  if (const auto status = run_hidden(argc, argv)) return *status;
  Program program;
  add_commands(program);
  return program.run(argc, argv);
}

}  // namespace holdfast::cli
