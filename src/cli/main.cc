#include "cli/main.h"

#ifdef HOLDFAST_ENGINE
#include "cli/hidden.h"
#endif
#include "cli/program.h"

namespace holdfast::cli {

int main(int argc, char** argv) {
#ifdef HOLDFAST_ENGINE
  if (const auto status = run_hidden(argc, argv)) return *status;
#endif
  Program program;
  add_commands(program);
  return program.run(argc, argv);
}

}  // namespace holdfast::cli
