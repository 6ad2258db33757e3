#include "cli/main.h"

int main(int argc, char** argv) { return holdfast::cli::main(argc, argv); }
