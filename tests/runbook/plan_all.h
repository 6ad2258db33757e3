#pragma once

#include <algorithm>
#include <string>

#include "base/result.h"
#include "engine/from_runbook.h"
#include "engine/outlook.h"
#include "runbook/plan.h"

namespace holdfast::runbook::test {

// Plans each procedure as the engine would carry it out: each choice is settled by its answer of
// that number (the last, where it has fewer), each input by a word. Returns the procedure whose plan
// can't be settled, or that the engine would not read back, and why; "" when there is none. That a document is
// refused (for its annotations, or the bytes of a command) is nothing of that kind.
inline std::string plan_all(const Document& document, size_t answer) {
  constexpr size_t kRounds_most = 1000;  // a choice may open others, and no document has that many
  for (const auto* procedures : {&document.scenarios, &document.procedures}) {
    for (const Procedure& procedure : *procedures) {
      PlanRequest request;
      request.procedure = procedure.id;
      for (size_t round = 0;; round++) {
        const auto plan = make_plan(document, request);
        if (!plan.ok() && (round == 0 || plan.error().code() == ErrorCode::kInvalidData)) break;
        if (!plan.ok()) return procedure.id + ": " + plan.error().text();
        if (round == kRounds_most) return procedure.id + ": there is no end of questions";
        const size_t settled = request.choices.size() + request.variables.size();
        for (const Choice& choice : plan.value().choices)
          if (choice.chosen.empty())
            request.choices.push_back(choice.key + "=" +
                                      choice.answers[std::min(answer, choice.answers.size() - 1)].key);
        for (const Input& input : plan.value().inputs)
          if (!input.known) request.variables.emplace(input.name, "value");
        if (request.choices.size() + request.variables.size() != settled) continue;
        const engine::Plan carried = engine::plan_of(plan.value(), request.variables);
        const auto text = [](const engine::Plan& each) {  // as a journal keeps it
          return each.to_json().dump(-1, ' ', false, engine::Json::error_handler_t::replace);
        };
        const std::string stored = text(carried);
        const auto read = engine::Plan::from_json(engine::Json::parse(stored));
        if (!plan.value().complete()) return procedure.id + ": all is answered and something is open";
        if (carried.steps.size() != procedure.steps.size()) return procedure.id + ": a step is missing";
        if (!read.ok() || text(read.value()) != stored) return procedure.id + ": it is not read back: " + stored;
        static_cast<void>(engine::look_ahead(carried, {}));
        for (const engine::Step& step : carried.steps) static_cast<void>(engine::explain(step));
        break;
      }
    }
  }
  return "";
}

}  // namespace holdfast::runbook::test
