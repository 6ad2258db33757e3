#include <algorithm>
#include <utility>

#include "engine/engine.h"
#include "engine/words.h"

namespace holdfast::engine {

// Each gate answers true (go on), or false after it has started something, asked, or
// stopped the run. What a person approved and which point was read whole stays so for
// the run. Target, fence and conditions are asked anew by every drive: hours, or a host,
// may lie between.
Result<bool> Engine::may_start(const Step& step) {
  if (!step.when.empty() && !TRY(condition_holds(step))) return false;
  if (!step.approve.empty() && !TRY(is_approved(step))) return false;
  if (!state_.step(step.id).override_reason.empty()) return true;
  if (step.destructive() && !TRY(point_is_proven(step))) return false;
  if (!TRY(restores_what_is_proven(step))) return false;
  if (step.destructive() && !TRY(target_is_asserted(step))) return false;
  return !step.fenced() || TRY(fence_is_up(step));
}

Result<bool> Engine::condition_holds(const Step& step) {
  const auto holds = TRY(verdict(step, kWhenSuffix, step.when, state_.driven_seq));
  if (holds && !*holds) skip(step, "its condition does not hold: " + step.when, "plan");
  return holds.value_or(false);
}

Result<bool> Engine::is_approved(const Step& step) {
  if (!state_.step(step.id).approved_by.empty()) return true;
  Question question{Question::Kind::kApprove,
                    &step,
                    with_loss(step, fmt::format("{} has to approve step {}: {}", step.approve, step.id, step.title)),
                    {},
                    {"yes", "skip", "stop"}};
  if (!step.prose.empty()) question.details.push_back(step.prose);
  question.details.push_back(step.script);
  for (const Hazard& hazard : step.hazards) question.details.push_back(hazard.reason);
  const auto answer = TRY(ask(question));
  if (answer && answer->key == "skip") {
    skip(step, answer->note, world_.person.who());
  } else if (answer && answer->key == "yes") {
    append(kind::kStepAnswered, step.id, 0,
           {{"question", "approve"},
            {"answer", "yes"},
            {"role", step.approve},
            {"who", world_.person.who()},
            {"note", answer->note}});
    return true;
  } else {
    stop_run("needs-person",
             make_error(ErrorCode::kNeedsPerson, "{}",
                        with_loss(step, fmt::format("step {} waits for the approval of {}", step.id, step.approve))));
  }
  return false;
}

namespace {

// "10 minutes ago" is another instant each time, and may need another point.
bool moves(const std::string& at) {
  const auto once = parse_time(at, Time::from_unix_seconds(0)), later = parse_time(at, Time::from_unix_seconds(1));
  return once.ok() && later.ok() && once.value() != later.value();
}

}  // namespace

// While a point is read other steps end, budgets pass, and a person may want to leave.
bool Engine::go_on_meanwhile() {
  attend();
  obey_wishes();
  return !detach_ && !meanwhile_error_;
}

// A proof is of one repository: a later drive may have been given another.
bool Engine::is_proven_here(const WantedPoint& wanted) {
  if (state_.verified.empty()) return false;
  const auto repository = world_.proofs.repository();
  if (!repository.ok()) return false;  // why, the attempt to prove it says
  const auto is_verified = [&](const std::string& component) {
    return state_.verified.contains(proof_key(component, which_point(wanted), *repository));
  };
  if (is_verified("*")) return true;
  return !wanted.components.empty() && std::all_of(wanted.components.begin(), wanted.components.end(), is_verified);
}

Result<bool> Engine::point_is_proven(const Step& step) {
  for (const WantedPoint& wanted : step.wanted_points()) {
    const bool settled_instant = !moves(wanted.at) || proven_anew_.contains({step.id, which_point(wanted)});
    if (settled_instant && is_proven_here(wanted)) continue;
    if (!TRY(prove(step, step, wanted))) return false;
  }
  return true;
}

// What was destroyed on the strength of one repository is not restored unread from another.
Result<bool> Engine::restores_what_is_proven(const Step& step) {
  for (const Step& destroying : state_.plan.steps) {
    const StepState& now = state_.step(destroying.id);
    const bool relies_on_it = destroying.destructive() && destroying.restored_by == step.id && destroying.id != step.id;
    if (!relies_on_it || now.effect == Effect::kNone || !now.override_reason.empty()) continue;
    for (const WantedPoint& wanted : destroying.wanted_points()) {
      if (!is_proven_here(wanted) && !TRY(prove(step, destroying, wanted))) return false;
    }
  }
  return true;
}

// For the step that destroys, or for the one that is about to restore what it destroyed.
Result<bool> Engine::prove(const Step& waiting, const Step& step, const WantedPoint& wanted) {
  const std::string which = which_point(wanted);
  const bool destroys = waiting.id == step.id;
  TRY(commit());
  world_.observer.on_work(state_, fmt::format("reading {} before step {} {}", point_words(wanted), waiting.id,
                                              destroys ? "destroys" : "restores from it"));
  const Time before = world_.clock.now();
  auto proven = world_.proofs.prove_point(wanted, [this] { return go_on_meanwhile(); });
  if (meanwhile_error_) return std::exchange(meanwhile_error_, std::nullopt)->clone();
  if (!proven.ok() && proven.error().code() == ErrorCode::kInterrupted) {
    stop_run("interrupted", std::move(proven).error());
    return false;
  }
  if (!proven.ok()) {
    stop_run("refused",
             make_error(ErrorCode::kRefused, "step {} {}, and no recovery point is proven: {}", waiting.id,
                        destroys ? "destroys" : "restores what step " + step.id + " destroyed", proven.error().text())
                 .with_hint(fmt::format("take one with 'holdfast backup', then 'holdfast runbook resume {}'; or "
                                        "--override {}=REASON",
                                        state_.id, waiting.id)));
    return false;
  }
  Json names = proven->components;
  if (wanted.components.empty()) names.push_back("*");
  append(kind::kPointVerified, step.id, 0,
         {{"point", proven->id},
          {"repository", proven->repository},
          {"instant", format_rfc3339(proven->instant)},
          {"which", which},
          {"components", names},
          {"took_ms", (world_.clock.now() - before).in_milliseconds()}});
  proven_anew_.insert({step.id, which});
  return true;
}

Result<bool> Engine::target_is_asserted(const Step& step) {
  if (state_.step(step.id).target_seq > state_.driven_seq) return true;
  const std::string host = world_.proofs.host();
  std::string expected = step.target, found;
  if (!step.target.empty()) {
    const auto right = TRY(verdict(step, kTargetSuffix, step.target, state_.driven_seq));
    if (!right) return false;
    found = *right ? step.target : "";
  } else {
    found = host;
    expected = options_.target_host;
    if (expected.empty()) {
      Question question{Question::Kind::kTarget,
                        &step,
                        fmt::format("step {} destroys: type the name of the host that it is meant for", step.id),
                        {},
                        {}};
      for (const Hazard& hazard : step.hazards) question.details.push_back(hazard.reason);
      const auto answer = TRY(ask(question));
      if (!answer) {
        stop_run("needs-person",
                 make_error(ErrorCode::kNeedsPerson, "nobody said which host step {} is meant for", step.id)
                     .with_hint("--target HOST, or target=\"COMMAND\" in the document"));
        return false;
      }
      expected = answer->note;
    }
  }
  if (expected != found) {
    stop_run("refused", make_error(ErrorCode::kRefused, "step {} is meant for {}, and this is {}", step.id, expected,
                                   found.empty() ? "not it" : found));
    return false;
  }
  append(kind::kTargetAsserted, step.id, 0, {{"expected", expected}, {"found", found}, {"host", host}});
  return true;
}

// A promotion is a person's word, unless the fence is proven and the lag is known.
Result<std::string> Engine::ask_for_fence(const Step& step, const std::string& lag) {
  const std::string words =
      step.fence.empty()
          ? fmt::format("step {} promotes: is the old primary stopped, and can't come back?", step.id)
          : fmt::format("step {} promotes, and nobody knows what is lost: promote all the same?", step.id);
  Question question{Question::Kind::kFence, &step, words, {"replication lag: " + lag}, {"yes", "stop"}};
  for (const Hazard& hazard : step.hazards) question.details.push_back(hazard.reason);
  const auto answer = TRY(ask(question));
  if (!answer || answer->key != "yes") return std::string();
  const std::string said = answer->note.empty() ? "a person said so" : answer->note;
  return step.fence.empty() ? said : step.fence + "; " + said;
}

Result<bool> Engine::fence_is_up(const Step& step) {
  if (state_.step(step.id).fence_seq > state_.driven_seq) return true;
  std::string how;
  bool refuted = false;
  if (!step.fence.empty()) {
    const auto proven = TRY(verdict(step, kFenceSuffix, step.fence, state_.driven_seq));
    if (!proven) return false;
    refuted = !*proven;
    if (*proven) how = step.fence;
  }
  std::string lag;
  if (!refuted && step.promotes()) {
    const auto known = world_.proofs.replication_lag(step.component);
    lag = known.ok() ? *known : "unknown: " + known.error().text();
    if (how.empty() || !known.ok()) how = TRY(ask_for_fence(step, lag));
  }
  if (how.empty()) {
    stop_run("refused", make_error(ErrorCode::kRefused, "step {} {}, and {}", step.id,
                                   step.promotes() ? "promotes" : "starts behind a fence only",
                                   refuted || step.fence.empty() ? "the old primary is not proven to be fenced"
                                                                 : "its replication lag is " + lag)
                            .with_hint(fmt::format(
                                "fence=\"COMMAND\" proves that the old primary is stopped, component=NAME says which "
                                "standby is asked for its lag; or --override {}=REASON",
                                step.id)));
    return false;
  }
  Json confirmed = {{"how", how}, {"who", world_.person.who()}};
  if (step.promotes()) confirmed["lag"] = lag;
  append(kind::kFenceConfirmed, step.id, 0, std::move(confirmed));
  return true;
}

}  // namespace holdfast::engine
