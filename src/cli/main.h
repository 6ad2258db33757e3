#pragma once

namespace holdfast::cli {

// The whole program: parses the command line, runs one command, returns its exit
// status (docs/exit-codes.md).
int main(int argc, char** argv);

}  // namespace holdfast::cli
