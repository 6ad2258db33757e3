// A drill that kills itself when a phase begins, with the signal that nothing can catch.
//
//   drill_driver CONFIG SCRATCH REGISTRY PHASE
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "recovery/drill.h"
#include "recovery/settings.h"

namespace {

using namespace holdfast;

Result<void> drill(const std::string& config, const recovery::DrillRequest& request) {
  Progress progress;
  const recovery::StackConfig stack = TRY(recovery::load_stack(config));
  auto workspace =
      TRY(recovery::Workspace::open(stack, {real_file_system(), system_clock(), system_random(), progress}));
  TRY(recovery::run_drill(*workspace, request));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  const std::string phase = argv[4];
  recovery::DrillRequest request;
  request.scratch_directory = argv[2];
  request.registry = argv[3];
  request.who = "drill_driver";
  request.on_phase = [&](recovery::DrillPhase begun) {
    if (recovery::phase_name(begun) == phase) std::raise(SIGKILL);
  };
  const auto done = drill(argv[1], request);
  if (!done.ok()) std::fprintf(stderr, "drill_driver: %s\n", done.error().text().c_str());
  return done.ok() ? 0 : 1;
}
