#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/terminal.h"

namespace holdfast::cli {

namespace {

OptionHelp describe_option(const CLI::Option& option) {
  OptionHelp help;
  help.description = option.get_description();
  help.positional = option.get_positional();
  help.many = option.get_expected_max() > 1;
  help.required = option.get_required();
  help.value = option.get_type_size() == 0 || option.get_expected_max() == 0 ? "" : option.get_type_name();
  for (const std::string& name : option.get_snames()) help.short_names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) help.long_names.push_back("--" + name);
  if (help.positional) {
    help.names = option.get_type_name();
    return help;
  }
  std::vector<std::string> names = help.short_names;
  names.insert(names.end(), help.long_names.begin(), help.long_names.end());
  help.names = fmt::format("{}", fmt::join(names, ", "));
  return help;
}

std::string usage_of(const CommandHelp& help, bool has_commands) {
  std::string usage = "holdfast";
  if (!help.name.empty()) usage += " " + help.name;
  if (has_commands) return usage + (help.runs ? " [COMMAND] [OPTIONS]" : " COMMAND [OPTIONS]");
  if (!help.options.empty()) usage += " [OPTIONS]";
  for (const OptionHelp& positional : help.positionals) {
    const std::string shown = positional.names + (positional.many ? "..." : "");
    usage += positional.required ? " " + shown : " [" + shown + "]";
  }
  return usage;
}

std::string option_rows(const std::vector<OptionHelp>& options, size_t width) {
  size_t column = 0;
  std::vector<std::string> heads;
  for (const OptionHelp& option : options) {
    heads.push_back(option.positional || option.value.empty() ? option.names : option.names + " " + option.value);
    column = std::max(column, std::min<size_t>(26, display_width(heads.back())));
  }
  std::string out;
  for (size_t i = 0; i < options.size(); i++) {
    const auto lines = wrap(options[i].description, width - column - 4);
    std::string line = "  " + heads[i];
    if (display_width(heads[i]) > column) {
      out += line + "\n";
      line = "";
    }
    for (const std::string& text : lines) {
      line.resize(std::max(line.size(), column + 4), ' ');
      out += line + text + "\n";
      line = "";
    }
  }
  return out;
}

}  // namespace

CommandHelp describe(const CLI::App& app, const std::string& path) {
  CommandHelp help;
  help.name = path;
  help.summary = app.get_description();
  help.examples = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty() || option->get_group() == "Global options") continue;
    (option->get_positional() ? help.positionals : help.options).push_back(describe_option(*option));
  }
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    help.commands.push_back(describe(*command, path.empty() ? command->get_name() : path + " " + command->get_name()));
  }
  help.runs = app.get_require_subcommand_min() == 0;
  help.usage = usage_of(help, !help.commands.empty());
  return help;
}

std::vector<OptionHelp> global_options(const CLI::App& root) {
  std::vector<OptionHelp> result;
  for (const CLI::Option* option : root.get_options()) {
    if (option->get_group() == "Global options") result.push_back(describe_option(*option));
  }
  return result;
}

std::string help_text(const CommandHelp& command, const std::vector<OptionHelp>& global, size_t width) {
  std::string out;
  for (const std::string& line : wrap(command.summary, width)) out += line + "\n";
  out += "\nUsage: " + command.usage + "\n";
  if (!command.commands.empty()) {
    out += "\nCommands:\n";
    std::vector<OptionHelp> rows;
    for (const CommandHelp& below : command.commands) {
      OptionHelp row;
      row.names = below.name.substr(below.name.rfind(' ') == std::string::npos ? 0 : below.name.rfind(' ') + 1);
      row.description = below.summary;
      rows.push_back(row);
    }
    out += option_rows(rows, width);
  }
  if (!command.positionals.empty()) out += "\nArguments:\n" + option_rows(command.positionals, width);
  if (!command.options.empty()) out += "\nOptions:\n" + option_rows(command.options, width);
  out += "\nGlobal options:\n" + option_rows(global, width);
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    size_t start = 0;
    while (start < command.examples.size()) {
      size_t end = command.examples.find('\n', start);
      if (end == std::string::npos) end = command.examples.size();
      out += "  " + command.examples.substr(start, end - start) + "\n";
      start = end + 1;
    }
  }
  return out;
}

}  // namespace holdfast::cli
