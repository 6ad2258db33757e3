#include "cli/option_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace holdfast::cli {

namespace {

constexpr std::string_view kMayBeEmpty = "--config";

const CLI::Option* find_option(const CLI::App* app, const std::string& name) {
  for (; app != nullptr; app = app->get_parent())
    if (const CLI::Option* option = app->get_option_no_throw(name)) return option;
  return nullptr;
}

const CLI::App* find_command(const CLI::App& app, const std::string& name) {
  const auto commands = app.get_subcommands([&](const CLI::App* each) { return each->get_name() == name; });
  return commands.empty() ? nullptr : commands.front();
}

bool takes_value(const CLI::Option& option) { return option.get_type_size() > 0 && option.get_expected_max() > 0; }

bool looks_like_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && std::isdigit(static_cast<unsigned char>(word[1])) == 0;
}

Error empty_value(const std::string& name) {
  return make_error(ErrorCode::kUsage, "{} is empty", name)
      .with_hint("give it a value or leave it out: perhaps a variable of a script is not set");
}

Error option_for_value(const std::string& name, const std::string& word) {
  return make_error(ErrorCode::kUsage, "{} wants a value, not the option '{}'", name, word)
      .with_hint(fmt::format("if that is the value, write '{}={}'", name, word));
}

}  // namespace

Result<std::vector<std::string>> check_option_values(const CLI::App& root, std::vector<std::string> words) {
  const CLI::App* command = &root;
  const CLI::Option* open = nullptr;  // that of the words before, when it takes further ones
  std::vector<std::string> checked;
  for (size_t i = 0; i < words.size(); i++) {
    const std::string& word = words[i];
    if (word == "--") {
      checked.insert(checked.end(), words.begin() + static_cast<ptrdiff_t>(i), words.end());
      break;
    }
    if (!word.starts_with("--")) {
      if (word.empty() && open != nullptr) return empty_value(open->get_name());
      if (looks_like_option(word)) open = nullptr;
      if (const CLI::App* below = find_command(*command, word)) command = below;
      checked.push_back(word);
      continue;
    }
    open = nullptr;
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    checked.push_back(word);
    const CLI::Option* option = find_option(command, name);
    if (option == nullptr || !takes_value(*option)) continue;
    if (equals != std::string::npos) {
      if (equals + 1 < word.size()) {
        if (option->get_items_expected_max() > 1) open = option;
        continue;
      }
      if (name != kMayBeEmpty) return empty_value(name);
      checked.back() = name;
      checked.emplace_back();
      continue;
    }
    if (option->get_items_expected_min() == 0 || i + 1 == words.size()) continue;
    const std::string& value = words[++i];
    if (value.empty() && name != kMayBeEmpty) return empty_value(name);
    if (looks_like_option(value)) return option_for_value(name, value);
    checked.push_back(value);
    if (option->get_items_expected_max() > 1) open = option;
  }
  return checked;
}

}  // namespace holdfast::cli
