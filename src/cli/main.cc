#include "cli/main.h"

#include "cli/program.h"

namespace holdfast::cli {

int main(int argc, char** argv) {
  Program program;
  add_commands(program);
  return program.run(argc, argv);
}

}  // namespace holdfast::cli
