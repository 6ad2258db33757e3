#include "engine/drilled.h"

#include <algorithm>

#include "engine/restore_words.h"

namespace holdfast::engine {
namespace {

using nlohmann::json;

// Evidence may be another version's: what is not there is null.
const json& at(const json& object, const char* key) {
  static const json kNothing;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() ? kNothing : *found;
}

std::string text(const json& object, const char* key) {
  const json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

constexpr double kLongest_s = 1e9;

void add(const json& body, std::map<std::string, DrilledRestore>& known) {
  const auto began = parse_time(text(body, "began"), {});
  if (text(body, "result") != "passed" || !began.ok() || !at(body, "components").is_array()) return;
  for (const json& component : at(body, "components")) {
    const json& seconds = at(at(component, "seconds"), "restore");
    if (!seconds.is_number() || !(seconds.get<double>() >= 0 && seconds.get<double>() < kLongest_s)) continue;
    const std::string name = text(component, "component");
    const auto took = Duration::from_seconds(seconds.get<double>());
    known[name] = {name, text(body, "id"), *began, took};
  }
}

}  // namespace

std::map<std::string, DrilledRestore> drilled_restores(const recovery::EvidenceChain& chain) {
  std::map<std::string, DrilledRestore> known;
  if (!chain.problems.empty()) return known;
  for (const recovery::Evidence& evidence : chain.records) add(evidence.body, known);
  return known;
}

std::map<std::string, std::vector<DrilledRestore>> drilled_steps(const std::map<std::string, DrilledRestore>& known,
                                                                 const Plan& plan,
                                                                 const std::map<std::string, std::string>& variables) {
  std::map<std::string, std::vector<DrilledRestore>> found;
  if (known.empty()) return found;
  for (const auto& [step, restores] : restored_by_step(plan, variables)) {
    for (const auto& [component, drilled] : known) {
      const bool restored = std::any_of(restores.begin(), restores.end(), [&name = component](const auto& names) {
        return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
      });
      if (restored) found[step].push_back(drilled);
    }
  }
  return found;
}

}  // namespace holdfast::engine
