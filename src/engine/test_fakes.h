#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/engine.h"

namespace holdfast::engine {

// A journal in memory that can be made to fail, and to be taken over by the next engine.
class FakeLog : public EventLog {
 public:
  void append(Event event) override {
    event.seq = events_.size() + 1;
    event.run = "test";
    events_.push_back(std::move(event));
  }
  Result<void> commit() override {
    if (fails_after && *fails_after < events_.size()) return make_error(ErrorCode::kNoSpace, "the disk is full");
    committed_ = events_.size();
    return {};
  }
  const std::vector<Event>& events() const override { return events_; }

  // What a crash leaves: the committed events alone.
  void crash() { events_.resize(committed_); }
  // "first: step.started" in order, for those of a kind that begins with `prefix`.
  std::vector<std::string> told(const std::string& prefix) const {
    std::vector<std::string> words;
    for (const Event& event : events_) {
      if (event.kind.starts_with(prefix)) words.push_back((event.step.empty() ? "" : event.step + ": ") + event.kind);
    }
    return words;
  }
  const Event* last(std::string_view kind) const {
    const Event* found = nullptr;
    for (const Event& event : events_) found = event.kind == kind ? &event : found;
    return found;
  }

  std::optional<size_t> fails_after;

 private:
  std::vector<Event> events_;
  size_t committed_ = 0;
};

class FakeClock : public Clock {
 public:
  Time now() override { return now_; }
  Duration monotonic() override { return Duration{now_.ns}; }
  void sleep(Duration duration) override { now_ = now_ + duration; }

 private:
  Time now_ = Time::from_unix_seconds(1'772'357'400);
};

// Steps that end as the test says: by default with status 0 at the next look.
class FakeRunner : public StepRunner {
 public:
  explicit FakeRunner(Clock& clock) : clock_(clock) {}
  using State = AttemptReport::State;

  Result<ProcessIdentity> prepare(const AttemptFiles& files, const std::string& script) override {
    scripts[files.directory] = script;
    return ProcessIdentity{static_cast<pid_t>(100 + scripts.size()), "1", "boot", "space", "machine"};
  }
  Result<void> go(const AttemptFiles& files, const AttemptOrder& order) override {
    const std::string id = environment_of(order, "HOLDFAST_STEP_ID");
    ran.push_back(id);
    orders[id] = order.encode();
    ids_[files.directory] = id;
    began_[files.directory] = clock_.now();
    return {};
  }
  void abandon(const AttemptFiles& files) override { abandoned.push_back(files.directory); }
  Result<AttemptReport> look(const AttemptFiles& files, const ProcessIdentity&) override {
    const std::string& id = ids_[files.directory];
    auto& left = fates[id];
    if (!left.empty()) {
      const AttemptReport report = left.front();
      if (report.state != State::kRunning || left.size() > 1) left.pop_front();
      return report;
    }
    return ended(0);
  }
  Result<void> stop(const ProcessIdentity&, const std::string&) override {
    stops++;
    return {};
  }
  void wait(Duration at_most) override { clock_.sleep(std::max(at_most, Duration::milliseconds(1))); }

  AttemptReport ended(int status) {
    AttemptEnd end;
    end.exit_status = status;
    end.ended = clock_.now();
    end.took = Duration::seconds(1);
    return {State::kEnded, end};
  }
  static std::string environment_of(const AttemptOrder& order, const std::string& name) {
    for (const auto& [key, value] : order.environment) {
      if (key == name) return value;
    }
    return "";
  }

  std::map<std::string, std::deque<AttemptReport>> fates;  // by step id, one for each look
  std::vector<std::string> ran;                            // step ids, in order
  std::map<std::string, std::string> scripts, orders;
  std::vector<std::string> abandoned;
  int stops = 0;

 private:
  Clock& clock_;
  std::map<std::string, std::string> ids_;
  std::map<std::string, Time> began_;
};

// Answers as the test says; nobody is there when the answers have run out.
class FakePerson : public Person {
 public:
  Result<std::optional<Answer>> ask(const Question& question, const std::function<void()>& meanwhile) override {
    meanwhile();
    asked.push_back(std::string(question_name(question.kind)) + " " + question.step->id);
    details.push_back(question.details);
    words.push_back(question.words);
    if (answers.empty()) return std::optional<Answer>();
    Answer answer = answers.front();
    answers.pop_front();
    return std::optional<Answer>(std::move(answer));
  }
  Wish wish() override { return quiet_turns-- > 0 ? Wish::kNothing : std::exchange(next_wish, Wish::kNothing); }
  std::string who() const override { return "alice@db1"; }

  std::deque<Answer> answers;
  std::vector<std::string> asked;
  std::vector<std::vector<std::string>> details;  // of each question
  std::vector<std::string> words;                 // likewise
  Wish next_wish = Wish::kNothing;
  int quiet_turns = 1;  // before the wish: a step has begun by then
};

class FakeProofs : public Proofs {
 public:
  Result<ProvenPoint> prove_point(const WantedPoint& point, const std::function<bool()>& go_on) override {
    proofs++;
    wanted = point;
    for (int looks = 0; looks < slow_looks; looks++) {
      if (while_reading) while_reading();
      if (!go_on()) return make_error(ErrorCode::kInterrupted, "the reading was ended");
    }
    if (!problem.empty()) return make_error(ErrorCode::kNotFound, "{}", problem);
    Time instant = Time::from_unix_seconds(1'772'357'000);
    if (!instants.empty()) {
      instant = instants.front();
      instants.pop_front();
    }
    return ProvenPoint{"3f0a91c2", instant, point.components, in_use};
  }
  Result<std::string> repository() override {
    if (in_use.empty()) return make_error(ErrorCode::kNoRepository, "there is no repository");
    return in_use;
  }
  Result<std::string> replication_lag(const std::string&) override {
    if (lag.empty()) return make_error(ErrorCode::kUnavailable, "the standby does not answer");
    return lag;
  }
  std::string host() const override { return "db1"; }
  std::string in_use = "5a0c";  // the id of the repository
  std::string problem, lag = "nothing is left to replay";
  WantedPoint wanted;         // the last one
  std::deque<Time> instants;  // of the points, in the order in which they are asked for
  int proofs = 0;
  int slow_looks = 0;                   // how often a reading asks whether to go on
  std::function<void()> while_reading;  // before each
};

// Remembers what a person would have been shown.
class FakeObserver : public Observer {
 public:
  void on_event(const RunState&, const Event& event) override { shown.push_back(event.seq); }
  void on_tick(const RunState& state, Time) override { ticked = state; }
  void on_work(const RunState&, const std::string&) override {}
  std::vector<uint64_t> shown;
  RunState ticked;  // as the last tick showed it
};

// One run with fakes all around. drive() may be called again: that is a resume.
struct Rig {
  Plan plan;
  FakeLog log;
  FakeClock clock;
  FakeRunner runner{clock};
  FakePerson person;
  FakeProofs proofs;
  FakeObserver observer;
  DriveOptions options;
  RunState durable;  // after a drive
  Json created = Json::object();
  std::vector<NamedSecret> secrets;

  Step& add(const std::string& id) {
    Step step;
    step.id = id;
    step.title = "Do " + id;
    step.kind = StepKind::kShell;
    step.script = "run " + id;
    plan.steps.push_back(std::move(step));
    return plan.steps.back();
  }

  Result<void> drive() {
    if (log.events().empty()) {
      created["plan"] = plan.to_json();
      Event event;
      event.time = clock.now();
      event.kind = kind::kRunCreated;
      event.payload = created;
      log.append(std::move(event));
      TRY(log.commit());
    } else {
      options.resumed = true;
    }
    options.directory = "/run";
    auto random = seeded_random(1);
    Launcher::Settings settings;
    settings.run = "test";
    for (const NamedSecret& secret : secrets) settings.secrets.push_back({secret.name, secret.value.clone()});
    const Launcher launcher(std::move(settings));
    const Redactor redactor(secrets);
    Engine engine({log, runner, person, proofs, observer, clock, *random}, launcher, redactor, TRY(fold(log.events())),
                  options);
    auto driven = engine.drive();
    durable = TRY(engine.committed_state());
    return driven;
  }
};

}  // namespace holdfast::engine
