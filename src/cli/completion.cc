#include <functional>
#include <map>

#include "cli/commands.h"
#include "cli/help.h"
#include "cli/program.h"

namespace holdfast::cli {

namespace {

void visit(const CommandHelp& command, const std::function<void(const CommandHelp&)>& seen) {
  seen(command);
  for (const CommandHelp& below : command.commands) visit(below, seen);
}

bool takes_path(const std::string& value) { return value == "DIR" || value == "FILE" || value == "PATH"; }

std::string shell_word(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

// Words that can follow a command: the commands below it and the options.
std::string words_of(const CommandHelp& command, const std::vector<OptionHelp>& global) {
  std::string words;
  for (const CommandHelp& below : command.commands) words += below.name.substr(below.name.rfind(' ') + 1) + " ";
  for (const auto* options : {&command.options, &global}) {
    for (const OptionHelp& option : *options) {
      for (const std::string& name : option.long_names) words += name + " ";
    }
  }
  if (!words.empty()) words.pop_back();
  return words;
}

std::string bash_script(const CommandHelp& root, const std::vector<OptionHelp>& global) {
  std::string out =
      "# bash completion of holdfast; load with: source <(holdfast completion bash)\n"
      "_holdfast() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} path= i\n"
      "  case $before in\n";
  std::string path_options, value_options;
  visit(root, [&](const CommandHelp& command) {
    for (const auto* options : {&command.options, &global}) {
      for (const OptionHelp& option : *options) {
        for (const std::string& name : option.long_names) {
          std::string& into = takes_path(option.value) ? path_options : value_options;
          if (!option.value.empty() && ("|" + into + "|").find("|" + name + "|") == std::string::npos)
            into += (into.empty() ? "" : "|") + name;
        }
      }
    }
  });
  out += "    " + path_options + ") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n";
  out +=
      "    --point|--hold|--release) COMPREPLY=($(compgen -W \"$(holdfast points --json 2>/dev/null | sed -n 's/^ "
      "*\"id\": "
      "\"\\(........\\).*/\\1/p') latest\" -- \"$word\")); return ;;\n";
  out += "    " + value_options + ") return ;;\n  esac\n";
  out +=
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case \"$path ${COMP_WORDS[i]}\" in\n";
  visit(root, [&](const CommandHelp& command) {
    if (!command.name.empty())
      out += "      " + shell_word(" " + command.name) + ") path=" + shell_word(" " + command.name) + " ;;\n";
  });
  out += "    esac\n  done\n  case $path in\n";
  visit(root, [&](const CommandHelp& command) {
    const std::string label = command.name.empty() ? "''" : shell_word(" " + command.name);
    out +=
        "    " + label + ") COMPREPLY=($(compgen -W " + shell_word(words_of(command, global)) + " -- \"$word\")) ;;\n";
  });
  out +=
      "  esac\n"
      "  if [[ ${#COMPREPLY[@]} -eq 0 && $word != -* ]]; then COMPREPLY=($(compgen -f -- \"$word\")); fi\n"
      "}\n"
      "complete -o filenames -F _holdfast holdfast\n";
  return out;
}

std::string zsh_option(const OptionHelp& option, const std::string& name) {
  std::string text;
  for (const char c : option.description) {
    if (c == '[' || c == ']' || c == ':') text += '\\';
    text += c;
  }
  std::string spec = (option.many ? "*" : "") + name + (option.value.empty() ? "" : "=") + "[" + text + "]";
  if (!option.value.empty()) spec += ":" + option.value + ":" + (takes_path(option.value) ? "_files" : " ");
  return shell_word(spec);
}

std::string zsh_function(const CommandHelp& command, const std::vector<OptionHelp>& global) {
  std::string function = "_holdfast";
  for (const char c : command.name) function += c == ' ' ? '_' : c;
  if (!command.name.empty()) function.insert(9, "_");
  std::string out = function + "() {\n  local state line\n  local -a options=(\n";
  for (const auto* options : {&command.options, &global}) {
    for (const OptionHelp& option : *options) {
      for (const std::string& name : option.long_names) out += "    " + zsh_option(option, name) + "\n";
    }
  }
  out += "  )\n";
  if (command.commands.empty()) return out + "  _arguments -s $options '*: :_files'\n}\n";
  out +=
      "  _arguments -s -C $options '1: :->command' '*:: :->arguments'\n  case $state in\n    command)\n      local -a "
      "commands=(\n";
  std::string cases;
  for (const CommandHelp& below : command.commands) {
    const std::string leaf = below.name.substr(below.name.rfind(' ') + 1);
    std::string summary = below.summary;
    for (size_t at = 0; (at = summary.find(':', at)) != std::string::npos; at += 2) summary.insert(at, "\\");
    out += "        " + shell_word(leaf + ":" + summary) + "\n";
    std::string target = "_holdfast_" + below.name;
    for (char& c : target) c = c == ' ' ? '_' : c;
    cases += "        " + leaf + ") " + target + " ;;\n";
  }
  return out + "      )\n      _describe command commands ;;\n    arguments)\n      case $line[1] in\n" + cases +
         "      esac ;;\n  esac\n}\n";
}

std::string zsh_script(const CommandHelp& root, const std::vector<OptionHelp>& global) {
  std::string out = "#compdef holdfast\n# zsh completion of holdfast; put it into $fpath as _holdfast\n";
  visit(root, [&](const CommandHelp& command) { out += zsh_function(command, global); });
  return out + "if [ \"$funcstack[1]\" = \"_holdfast\" ]; then _holdfast \"$@\"; else compdef _holdfast holdfast; fi\n";
}

std::string fish_option(const OptionHelp& option, const std::string& condition) {
  std::string out = "complete -c holdfast";
  if (!condition.empty()) out += " -n " + shell_word(condition);
  for (const std::string& name : option.long_names) out += " -l " + name.substr(2);
  for (const std::string& name : option.short_names) out += " -s " + name.substr(1);
  if (!option.value.empty()) out += takes_path(option.value) ? " -rF" : " -x";
  return out + " -d " + shell_word(option.description) + "\n";
}

// fish has no notion of a chain of subcommands: a condition names the words seen.
std::string fish_seen(const std::string& name) {
  std::string out;
  size_t start = 0;
  while (start <= name.size() && !name.empty()) {
    size_t end = name.find(' ', start);
    if (end == std::string::npos) end = name.size();
    out += (out.empty() ? "" : "; and ") + ("__fish_seen_subcommand_from " + name.substr(start, end - start));
    start = end + 1;
  }
  return out;
}

std::string fish_script(const CommandHelp& root, const std::vector<OptionHelp>& global) {
  std::string out = "# fish completion of holdfast; put it into ~/.config/fish/completions/holdfast.fish\n";
  for (const OptionHelp& option : global) out += fish_option(option, "");
  visit(root, [&](const CommandHelp& command) {
    std::string leaves;
    for (const CommandHelp& below : command.commands) leaves += " " + below.name.substr(below.name.rfind(' ') + 1);
    const std::string seen = command.name.empty() ? "" : fish_seen(command.name) + "; and ";
    for (const CommandHelp& below : command.commands) {
      out += "complete -c holdfast -f -n " + shell_word(seen + "not __fish_seen_subcommand_from" + leaves) + " -a " +
             below.name.substr(below.name.rfind(' ') + 1) + " -d " + shell_word(below.summary) + "\n";
    }
    for (const OptionHelp& option : command.options) out += fish_option(option, fish_seen(command.name));
  });
  return out;
}

}  // namespace

void add_completion(Program& program) {
  auto shell = std::make_shared<std::string>();
  CLI::App* command = program.command("completion", "Print the completion script of a shell.");
  command->add_option("shell", *shell, "bash, zsh or fish")
      ->type_name("SHELL")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}).description(""));
  program.examples(command,
                   "source <(holdfast completion bash)\n"
                   "holdfast completion zsh > \"${fpath[1]}/_holdfast\"\n"
                   "holdfast completion fish > ~/.config/fish/completions/holdfast.fish");
  program.on(command, [&program, shell](Context& context) -> Result<void> {
    const CommandHelp root = describe(program.root());
    const auto global = global_options(program.root());
    context.write(*shell == "bash"  ? bash_script(root, global)
                  : *shell == "zsh" ? zsh_script(root, global)
                                    : fish_script(root, global));
    return {};
  });
}

}  // namespace holdfast::cli
