#pragma once

namespace CLI {
class App;
}

namespace holdfast::cli {

class Program;

// Below `log`.
void add_log_receive(Program& program, CLI::App* log);

}  // namespace holdfast::cli
