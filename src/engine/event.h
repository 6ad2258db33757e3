#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "crypto/digest.h"

namespace holdfast::engine {

using Json = nlohmann::ordered_json;

// What a journal records; docs/engine.md says what each payload holds.
namespace kind {
inline constexpr std::string_view kRunCreated = "run.created";
inline constexpr std::string_view kRunDriven = "run.driven";
inline constexpr std::string_view kRunStopped = "run.stopped";
inline constexpr std::string_view kRunFinished = "run.finished";
inline constexpr std::string_view kStepStarted = "step.started";
inline constexpr std::string_view kStepFinished = "step.finished";
inline constexpr std::string_view kStepVoid = "step.void";
inline constexpr std::string_view kStepOrphaned = "step.orphaned";
inline constexpr std::string_view kStepUnknown = "step.unknown";
inline constexpr std::string_view kStepSettled = "step.settled";
inline constexpr std::string_view kStepSkipped = "step.skipped";
inline constexpr std::string_view kStepAnswered = "step.answered";
inline constexpr std::string_view kStepOverridden = "step.overridden";
inline constexpr std::string_view kPointVerified = "point.verified";
inline constexpr std::string_view kTargetAsserted = "target.asserted";
inline constexpr std::string_view kFenceConfirmed = "fence.confirmed";
inline constexpr std::string_view kBudgetWarned = "budget.warned";
inline constexpr std::string_view kBudgetOverrun = "budget.overrun";
inline constexpr std::string_view kUndoBegun = "undo.begun";
}  // namespace kind

// One thing that happened. `seq` and `digest` are given by the journal.
struct Event {
  uint64_t seq = 0;
  Time time;
  std::string run;
  std::string step;  // "" : it concerns the run
  int attempt = 0;   // 0: it concerns no attempt
  std::string kind;
  Json payload = Json::object();
  crypto::Sha256Digest digest{};
};

// The digest of an event whose predecessor has the digest `previous`; `payload` is
// the text as it is stored.
crypto::Sha256Digest chained_digest(const crypto::Sha256Digest& previous, const Event& event, std::string_view payload);

}  // namespace holdfast::engine
