// A drill that kills itself with the signal that nothing can catch, or stops for a while: when a
// phase begins, or at the N-th change that it makes to the file system in that phase. Of no
// phase ("none") it says, for each, how many changes it made.
//
//   drill_driver CONFIG SCRATCH REGISTRY PHASE [stop | N]
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "recovery/drill.h"
#include "recovery/settings.h"
#include "source/postgres/test_meddling.h"

namespace {

using namespace holdfast;

// Changes come from several threads.
class Interrupter {
 public:
  Interrupter(std::string phase, std::string when) : phase_(std::move(phase)), when_(std::move(when)) {
    if (!when_.empty() && when_ != "stop") at_change_ = std::strtoull(when_.c_str(), nullptr, 10);
  }

  void begin(recovery::DrillPhase begun) {
    report();
    name_ = recovery::phase_name(begun);
    changes_ = 0;
    is_here_ = name_ == phase_;
    if (is_here_ && at_change_ == 0) std::raise(when_ == "stop" ? SIGSTOP : SIGKILL);
  }
  void change() {
    if (++changes_ == at_change_ && is_here_) std::raise(SIGKILL);
  }
  void report() const {
    if (phase_ == "none" && !name_.empty())
      std::printf("%s %llu\n", name_.c_str(), static_cast<unsigned long long>(changes_.load()));
  }

 private:
  const std::string phase_, when_;
  uint64_t at_change_ = 0;
  std::string name_;
  std::atomic<bool> is_here_{false};
  std::atomic<uint64_t> changes_{0};
};

Result<void> drill(const std::string& config, recovery::DrillRequest request, Interrupter& interrupter) {
  postgres::MeddlingFileSystem fs;
  fs.before_change = [&](const std::string&) -> Result<void> {
    interrupter.change();
    return {};
  };
  request.on_phase = [&](recovery::DrillPhase begun) { interrupter.begin(begun); };
  Progress progress;
  const recovery::StackConfig stack = TRY(recovery::load_stack(config));
  auto workspace = TRY(recovery::Workspace::open(stack, {fs, system_clock(), system_random(), progress}));
  auto outcome = TRY(recovery::run_drill(*workspace, request));
  if (outcome.not_stored) return std::move(*outcome.not_stored);
  interrupter.report();
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 6) return 2;
  recovery::DrillRequest request;
  request.scratch_directory = argv[2];
  request.registry = argv[3];
  request.who = "drill_driver";
  Interrupter interrupter(argv[4], argc == 6 ? argv[5] : "");
  const auto done = drill(argv[1], request, interrupter);
  if (!done.ok()) std::fprintf(stderr, "drill_driver: %s\n", done.error().text().c_str());
  return done.ok() ? 0 : 1;
}
