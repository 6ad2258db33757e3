#include "cli/signals.h"

#include <unistd.h>
#include <csignal>

namespace holdfast::cli {

namespace {

extern "C" void on_stop_signal(int signal_number) {
  Progress& progress = process_progress();
  if (progress.stop.exchange(true)) {
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    return;
  }
  if (isatty(STDERR_FILENO)) {
    constexpr char kWords[] = "\nholdfast: stopping (once more to end at once)\n";
    if (write(STDERR_FILENO, kWords, sizeof kWords - 1) < 0) return;
  }
}

}  // namespace

Progress& process_progress() {
  static Progress progress;
  return progress;
}

void stop_on_signals() {
  process_progress();  // made before a handler can need it
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace holdfast::cli
