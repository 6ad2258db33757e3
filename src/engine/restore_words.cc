#include "engine/restore_words.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "base/filesystem.h"
#include "engine/words.h"
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

bool is_stack_variable(const std::string& name) { return name == kGivenConfig || name == kGivenRepository; }

bool reads_a_text(const shell::Command& command) { return is_one_of(command.word(0), {".", "source", "eval"}); }

bool sets_by_words(const shell::Command& command) {
  return is_one_of(command.word(0), {"read", "export", "declare", "local", "readonly", "typeset", "mapfile",
                                     "readarray", "printf", "unset", "getopts"});
}

// "NAME=value" of a word: both, or the word and nothing.
std::pair<std::string, std::optional<std::string>> assignment_in(const std::string& word) {
  const size_t equals = word.find('=');
  if (equals == std::string::npos) return {word, std::nullopt};
  return {word.substr(0, equals), word.substr(equals + 1)};
}

// What a step's environment holds when its script begins to set variables of its own is no
// longer known of those; after a text from elsewhere of none.
Values known_in(const Step& step, const shell::Script& script, const Values& variables) {
  Values known = {{kGivenConfig, ""}, {kGivenRepository, ""}};
  for (const auto& [name, value] : variables) known[name] = value;
  for (const auto& [name, value] : step.environment) known[name] = value;
  for (const std::string& name : step.secrets) known.erase(name);
  for (const std::string& name : script.loop_variables) known.erase(name);
  for (const shell::Command& command : script.commands) {
    // In front of a command they are for that command alone.
    if (command.words.empty())
      for (const shell::Assignment& assignment : command.assignments) known.erase(assignment.name);
    // Such a text is mostly for other things than the stack.
    if (reads_a_text(command)) {
      std::erase_if(known, [](const auto& each) { return !is_stack_variable(each.first); });
      return known;
    }
    if (!sets_by_words(command)) continue;
    for (const shell::Word& word : command.words) known.erase(assignment_in(word.value).first);
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

// Runs once, whatever happens in front of it.
bool is_plain(const shell::Command& command) {
  return command.before.empty() && command.after != "&" && !command.in_condition && !command.in_loop &&
         !command.in_branch && !command.in_subshell && !command.in_substitution && command.function.empty() &&
         command.stage == 0 && command.last_stage;
}

// A value that the script itself gives a variable.
struct Setting {
  std::string name, value;
  uint32_t end = 0;  // it holds behind this place
};

// Of the variables that the script sets once, as far as the text says to what.
std::vector<Setting> settings_of(const shell::Script& script, const Values& known) {
  std::map<std::string, int> times;
  std::vector<Setting> found;
  const auto set = [&](const shell::Command& command, const std::string& name, const std::optional<std::string>& text) {
    times[name]++;
    const auto value = text ? expanded(*text, known) : std::nullopt;
    if (value && is_plain(command)) found.push_back({name, *value, command.span.end});
  };
  bool text_from_elsewhere = false;
  for (const shell::Command& command : script.commands) {
    text_from_elsewhere = text_from_elsewhere || reads_a_text(command);
    for (const shell::Assignment& assignment : command.assignments) {
      const bool whole = !assignment.append && !assignment.array;
      if (command.words.empty())
        set(command, assignment.name, whole ? std::optional(assignment.value.value) : std::nullopt);
    }
    if (!sets_by_words(command)) continue;
    const bool exports = command.word(0) == "export";
    for (size_t at = 1; at < command.words.size(); at++) {
      const auto [name, text] = assignment_in(command.word(at));
      if (text || !exports) set(command, name, exports ? text : std::nullopt);
    }
  }
  for (const std::string& name : script.loop_variables) times[name]++;
  std::erase_if(found, [&](const Setting& setting) {
    return times[setting.name] != 1 || (text_from_elsewhere && !is_stack_variable(setting.name));
  });
  return found;
}

// Of a text that is one argument ("su -c 'holdfast restore'") each word.
std::vector<std::string> single_words(const shell::Command& command) {
  std::vector<std::string> found;
  for (const shell::Word& word : command.words) {
    std::string one;
    for (const char c : word.value + " ") {
      const bool ends = std::isspace(static_cast<unsigned char>(c)) != 0 || c == ';' || c == '&' || c == '|';
      if (!ends && c != '\'' && c != '"') one += c;
      if (ends && !one.empty()) found.push_back(std::exchange(one, ""));
    }
  }
  return found;
}

// What a program that another one starts has of the stack's variables: accounts are changed with an environment of
// their own, and "env" says what it likes.
Values passed_on(const shell::Command& command, Values given, const Values& known) {
  const auto set = [&](const std::string& name, const std::string& text) {
    const auto value = expanded(text, known);
    given.erase(name);
    if (value) given[name] = *value;
  };
  for (const shell::Assignment& assignment : command.assignments)
    if (is_stack_variable(assignment.name)) set(assignment.name, assignment.value.value);
  const std::vector<std::string> words = single_words(command);
  bool by_env = false;
  for (size_t at = 0; at < words.size(); at++) {
    const std::string program = base_name(words[at]);
    const bool keeps = at + 1 < words.size() && is_one_of(words[at + 1], {"-E", "--preserve-env"});
    by_env = program == "env" || (by_env && words[at].starts_with('-'));
    const bool empties = by_env && is_one_of(words[at], {"-", "-i", "--ignore-environment"});
    if (empties || (is_one_of(program, {"sudo", "doas", "su", "runuser", "pkexec"}) && !keeps)) given.clear();
    const auto [name, text] = assignment_in(words[at]);
    if (text && is_stack_variable(name)) set(name, *text);
  }
  return given;
}

// A command of a step that restores, and the variables that its words may be made of.
struct Restore {
  size_t step = 0;
  shell::Invocation command;
  Values known;
  Values given;  // of the stack's variables, those that it is known to have in its environment

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

Restore restore_of(size_t step, shell::Invocation command, Values known, const std::vector<Setting>& settings) {
  const shell::Command& outermost = *std::exchange(command.command, nullptr);  // it ends with the script
  Restore restore{step, std::move(command), {}, {}};
  // Another machine has variables of its own.
  if (restore.command.remote) return restore;
  for (const Setting& setting : settings)
    if (setting.end <= outermost.span.begin) known[setting.name] = setting.value;
  Values given = known;
  std::erase_if(given, [](const auto& each) { return !is_stack_variable(each.first); });
  given = passed_on(outermost, std::move(given), known);
  const bool by_its_own_words =
      std::any_of(outermost.words.begin(), outermost.words.end(),
                  [](const shell::Word& word) { return base_name(word.value) == "holdfast"; });
  // In a text for another shell that shell's environment counts.
  if (!by_its_own_words) {
    std::erase_if(known, [](const auto& each) { return is_stack_variable(each.first); });
    for (const shell::Assignment& assignment : outermost.assignments) known.erase(assignment.name);
    known.insert(given.begin(), given.end());
  }
  restore.known = std::move(known);
  restore.given = std::move(given);
  return restore;
}

std::vector<Restore> find_restores(const std::vector<Step>& steps, const Values& variables) {
  std::vector<Restore> found;
  for (size_t number = 0; number < steps.size(); number++) {
    const Step& step = steps[number];
    if (step.kind != StepKind::kShell || !step.skipped.empty()) continue;
    const shell::Script script = shell::parse(step.script);
    const Values known = known_in(step, script, variables);
    const std::vector<Setting> settings = settings_of(script, known);
    for (shell::Invocation& command : shell::invocations(script)) {
      if (command.program != "holdfast" || !command.begins({"restore"})) continue;
      Restore restore = restore_of(number, std::move(command), known, settings);
      if (!restore.looks_only()) found.push_back(std::move(restore));
    }
  }
  return found;
}

// The stack that it names beside the one that the run has given it. Of another machine's nothing can be said.
void take_stack_words(const Restore& restore, RestoreWords& words) {
  if (restore.command.remote) return;
  const auto value_of = [&](const char* option, const char* variable) {
    const std::string word = restore.command.option(option);
    const auto given = restore.given.find(variable);
    std::optional<std::string> value;
    if (!word.empty())
      value = expanded(word, restore.known);
    else if (given != restore.given.end())
      value = given->second;
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

// A restore in the step that destroys, or what restores the same in the step behind it.
bool is_relied_on(const Restore& restore, const std::vector<Step>& steps, const Step& step) {
  const std::string& of = steps[restore.step].id;
  return of == step.id || (of == step.restored_by && restores(restore, step.component));
}

std::string other_stack_of(const RestoreWords& words, const StackInUse& stack, const std::string& directory) {
  if (!words.config.empty() && !is_same_file(place_of(words.config, directory), stack.config))
    return "--config " + words.config;
  const std::string repository =
      words.repository.find("://") == std::string::npos ? place_of(words.repository, directory) : words.repository;
  if (!words.repository.empty() && repository != stack.repository && !is_same_file(repository, stack.repository))
    return "--repository " + words.repository;
  return "";
}

// A restore beside the one that the step has the words of. What it restores from is proven, too, where
// that is another point.
void rely_also_on(const Restore& other, const Step& of, Step& step) {
  const WantedPoint wanted{words_of(other), components_of(other, of)};
  for (const std::string& option : wanted.unknown) {
    if (std::find(step.unknown.begin(), step.unknown.end(), option) == step.unknown.end())
      step.unknown.push_back(option);
  }
  const std::vector<WantedPoint> known = step.wanted_points();
  const bool is_known = std::any_of(known.begin(), known.end(), [&](const WantedPoint& each) {
    const auto is_of_it = [&](const std::string& component) {
      return std::find(each.components.begin(), each.components.end(), component) != each.components.end();
    };
    const bool covers =
        each.components.empty() ||
        (!wanted.components.empty() && std::all_of(wanted.components.begin(), wanted.components.end(), is_of_it));
    return covers && which_point(each) == which_point(wanted);
  });
  if (!is_known) step.also_restored_from.push_back(wanted);
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
    for (const Restore& other : all)
      if (&other != &*found && is_relied_on(other, steps, step)) rely_also_on(other, steps[other.step], step);
  }
}

std::string other_stack(const Plan& plan, const Step& step, const StackInUse& stack) {
  if (!step.destructive() || !step.skipped.empty()) return "";
  for (const Restore& restore : find_restores(plan.steps, stack.variables)) {
    if (!is_relied_on(restore, plan.steps, step)) continue;
    RestoreWords words;
    take_stack_words(restore, words);
    const Step& of = plan.steps[restore.step];
    const std::string other = other_stack_of(words, stack, directory_of(of, stack.working_directory));
    if (!other.empty()) return other;
  }
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
