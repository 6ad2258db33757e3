#include "engine/restore_words.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/filesystem.h"
#include "runbook/shell/invocation.h"
#include "runbook/shell/parser.h"

namespace holdfast::engine {
namespace {

using Values = std::map<std::string, std::string>;

// A step has them from the run, which means the stack whose points are proven.
constexpr const char* kGivenConfig = "HOLDFAST_CONFIG";
constexpr const char* kGivenRepository = "HOLDFAST_REPOSITORY";

bool is_one_of(const std::string& word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// What a step's environment holds when its script begins to set variables of its own is no
// longer known of those; after a text from elsewhere of none.
Values known_in(const Step& step, const shell::Script& script, const Values& variables) {
  Values known = {{kGivenConfig, ""}, {kGivenRepository, ""}};
  for (const auto& [name, value] : variables) known[name] = value;
  for (const auto& [name, value] : step.environment) known[name] = value;
  for (const std::string& name : step.secrets) known.erase(name);
  for (const std::string& name : script.loop_variables) known.erase(name);
  for (const shell::Command& command : script.commands) {
    for (const shell::Assignment& assignment : command.assignments) known.erase(assignment.name);
    // Such a text is mostly for other things than the stack.
    if (is_one_of(command.word(0), {".", "source", "eval"})) {
      std::erase_if(known,
                    [](const auto& each) { return each.first != kGivenConfig && each.first != kGivenRepository; });
      return known;
    }
    if (!is_one_of(command.word(0), {"read", "export", "declare", "local", "readonly", "typeset", "mapfile",
                                     "readarray", "printf", "unset", "getopts"})) {
      continue;
    }
    for (const shell::Word& word : command.words) known.erase(word.value.substr(0, word.value.find('=')));
  }
  return known;
}

// What the shell makes of a word, where its variables are known.
std::optional<std::string> expanded(std::string_view word, const Values& known) {
  std::string text;
  while (!word.empty()) {
    if (word.front() == '`') return std::nullopt;
    if (word.front() != '$') {
      text += word.front();
      word.remove_prefix(1);
      continue;
    }
    word.remove_prefix(1);
    const bool braces = word.starts_with('{');
    if (braces) word.remove_prefix(1);
    const auto end = std::find_if_not(word.begin(), word.end(), is_name_character);
    const std::string name(word.begin(), end);
    word.remove_prefix(name.size());
    const auto value = known.find(name);
    if (value == known.end() || (braces && !word.starts_with('}'))) return std::nullopt;
    if (braces) word.remove_prefix(1);
    text += value->second;
  }
  return text;
}

// A command of a step that restores, and the variables that its words may be made of.
struct Restore {
  size_t step = 0;
  shell::Invocation command;
  Values known;

  bool looks_only() const { return command.has("--dry-run") || command.has("--validate-only"); }
  // Empty: all of the stack, or whatever only the shell knows.
  std::vector<std::string> components() const {
    std::vector<std::string> names;
    for (size_t at = 0; at < command.args.size(); at++) {
      const std::string& word = command.args[at];
      constexpr std::string_view kOption = "--component";
      if (word == kOption && at + 1 < command.args.size()) {
        names.push_back(expanded(command.args[at + 1], known).value_or(command.args[at + 1]));
      } else if (word.starts_with("--component=")) {
        const std::string name = word.substr(kOption.size() + 1);
        names.push_back(expanded(name, known).value_or(name));
      }
    }
    return names;
  }
};

std::vector<Restore> find_restores(const std::vector<Step>& steps, const Values& variables) {
  std::vector<Restore> found;
  for (size_t number = 0; number < steps.size(); number++) {
    const Step& step = steps[number];
    if (step.kind != StepKind::kShell || !step.skipped.empty()) continue;
    const shell::Script script = shell::parse(step.script);
    const Values known = known_in(step, script, variables);
    for (shell::Invocation& command : shell::invocations(script)) {
      if (command.program != "holdfast" || !command.begins({"restore"})) continue;
      command.command = nullptr;  // it ends with the script
      // Another machine has variables of its own.
      Restore restore{number, std::move(command), {}};
      if (!restore.command.remote) restore.known = known;
      if (!restore.looks_only()) found.push_back(std::move(restore));
    }
  }
  return found;
}

// The stack that it names beside the one that the run has given it. Of another machine's nothing can be said.
void take_stack_words(const Restore& restore, RestoreWords& words) {
  if (restore.command.remote) return;
  const auto value_of = [&](const char* option, const char* variable) {
    std::string word = restore.command.option(option);
    if (word.empty()) word = fmt::format("${}", variable);
    const auto value = expanded(word, restore.known);
    if (!value) words.unknown.emplace_back(option);
    return value.value_or("");
  };
  words.config = value_of("--config", kGivenConfig);
  words.repository = value_of("--repository", kGivenRepository);
}

RestoreWords words_of(const Restore& restore) {
  RestoreWords words;
  take_stack_words(restore, words);
  const auto value_of = [&](const char* option) {
    const auto value = expanded(restore.command.option(option), restore.known);
    if (!value) words.unknown.emplace_back(option);
    return value.value_or("");
  };
  words.point = value_of("--point");
  words.at = value_of("--at");
  words.lsn = value_of("--lsn");
  words.xid = value_of("--xid");
  words.timeline = value_of("--timeline");
  words.restore_point = value_of("--name");
  words.immediate = restore.command.has("--immediate");
  words.exclusive = restore.command.has("--exclusive");
  return words;
}

// Where the command names none, those that its step is about.
std::vector<std::string> components_of(const Restore& restore, const Step& step) {
  std::vector<std::string> names = restore.components();
  if (names.empty() && !step.component.empty()) names = {step.component};
  return names;
}

std::string place_of(const std::string& path, const std::string& directory) {
  return absolute_path(path.starts_with('/') ? path : join_path(directory, path));
}

bool is_same_file(const std::string& one, const std::string& other) {
  std::error_code unlike;
  return one == other || std::filesystem::equivalent(one, other, unlike);
}

bool restores(const Restore& restore, const std::string& component) {
  const std::vector<std::string> names = restore.components();
  return component.empty() || names.empty() || std::find(names.begin(), names.end(), component) != names.end();
}

}  // namespace

void find_points(std::vector<Step>& steps, const Values& variables) {
  const std::vector<Restore> all = find_restores(steps, variables);
  for (size_t number = 0; number < steps.size(); number++) {
    Step& step = steps[number];
    if (!step.destructive()) continue;
    const auto found = std::find_if(all.begin(), all.end(), [&](const Restore& restore) {
      return restore.step >= number && restores(restore, step.component);
    });
    if (found == all.end()) continue;
    static_cast<RestoreWords&>(step) = words_of(*found);
    step.restored_by = steps[found->step].id;
  }
}

std::string other_stack(const Plan& plan, const Step& step, const StackInUse& stack) {
  if (!step.destructive() || !step.skipped.empty()) return "";
  const Step* restore = plan.find(step.restored_by);
  const std::string directory = directory_of(restore == nullptr ? step : *restore, stack.working_directory);
  if (!step.config.empty() && !is_same_file(place_of(step.config, directory), stack.config))
    return "--config " + step.config;
  const std::string repository =
      step.repository.find("://") == std::string::npos ? place_of(step.repository, directory) : step.repository;
  if (!step.repository.empty() && repository != stack.repository && !is_same_file(repository, stack.repository))
    return "--repository " + step.repository;
  return "";
}

std::vector<WantedPoint> restores_of(const Plan& plan, const Values& variables) {
  std::vector<WantedPoint> found;
  for (const Restore& restore : find_restores(plan.steps, variables)) {
    WantedPoint wanted{words_of(restore), components_of(restore, plan.steps[restore.step])};
    if (std::find(found.begin(), found.end(), wanted) == found.end()) found.push_back(std::move(wanted));
  }
  return found;
}

std::map<std::string, std::vector<std::vector<std::string>>> restored_by_step(const Plan& plan,
                                                                              const Values& variables) {
  std::map<std::string, std::vector<std::vector<std::string>>> found;
  for (const Restore& restore : find_restores(plan.steps, variables)) {
    const Step& step = plan.steps[restore.step];
    found[step.id].push_back(components_of(restore, step));
  }
  return found;
}

}  // namespace holdfast::engine
