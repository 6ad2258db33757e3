// Drives a plan given as JSON, unattended, for the campaigns: what `holdfast runbook
// run` does, without a document to read.
//
//   engine_driver run RUNS PLAN.json
//   engine_driver resume RUNS ID [STEP=done|STEP=retry]...
#include <cstdio>
#include <cstring>

#include "base/filesystem.h"
#include "base/random.h"
#include "engine/engine.h"
#include "engine/fork_server.h"
#include "engine/runs.h"
#include "engine/supervised_runner.h"

namespace {

using namespace holdfast;

class Silent : public engine::Observer {
 public:
  void on_event(const engine::RunState&, const engine::Event&) override {}
  void on_tick(const engine::RunState&, Time) override {}
  void on_work(const engine::RunState&, const std::string&) override {}
};

class NothingProven : public engine::Proofs {
 public:
  Result<engine::ProvenPoint> prove_point(const engine::WantedPoint&, const std::function<bool()>&) override {
    return make_error(ErrorCode::kNoRepository, "there is no repository");
  }
  Result<std::string> repository() override { return make_error(ErrorCode::kNotFound, "the campaign has none"); }
  Result<std::string> replication_lag(const std::string&) override {
    return make_error(ErrorCode::kNoRepository, "there is no stack");
  }
  std::string host() const override { return "test"; }
};

Result<void> drive(engine::OpenRun run, engine::DriveOptions options) {
  const engine::RunState state = TRY(engine::fold(run.journal->events()));
  engine::Launcher::Settings settings;
  settings.run = state.id;
  settings.working_directory = run.directory;
  settings.environment = engine::own_environment();
  const engine::Launcher launcher(std::move(settings));
  const engine::Redactor redactor;
  engine::SupervisedRunner runner;
  engine::Nobody nobody("campaign");
  NothingProven proofs;
  Silent silent;
  options.directory = run.directory;
  options.lost = run.lost;
  options.first_pause = Duration::milliseconds(10);
  engine::Engine driver({*run.journal, runner, nobody, proofs, silent, system_clock(), system_random()}, launcher,
                        redactor, state, std::move(options));
  return driver.drive();
}

Result<void> run(const std::string& runs, const std::string& plan_path) {
  const Bytes text = TRY(read_file(real_file_system(), plan_path));
  const auto plan = TRY(engine::Plan::from_json(engine::Json::parse(as_text(text))));
  engine::OpenRun opened =
      TRY(engine::create_run(runs, {{"plan", plan.to_json()}}, "", "campaign", system_clock(), system_random()));
  std::printf("%s\n", base_name(opened.directory).c_str());
  std::fflush(stdout);
  return drive(std::move(opened), {});
}

Result<void> resume(const std::string& runs, const std::string& id, int count, char** settlements) {
  engine::DriveOptions options;
  options.resumed = true;
  for (int i = 0; i < count; i++) {
    const std::string text = settlements[i];
    options.settle[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  const std::string directory = TRY(engine::find_run(runs, id));
  return drive(TRY(engine::open_run(directory, "campaign")), std::move(options));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "__supervisors") == 0) return engine::serve_forks(argv[0]);
  if (argc < 4) return 2;
  const bool again = std::strcmp(argv[1], "resume") == 0;
  const Result<void> done = again ? resume(argv[2], argv[3], argc - 4, argv + 4) : run(argv[2], argv[3]);
  if (done.ok()) return 0;
  std::fprintf(stderr, "%s\n", done.error().text().c_str());
  return exit_status(done.error().code());
}
