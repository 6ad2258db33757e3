#include "runbook/annotations.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

#include "runbook/markdown/parse.h"
#include "runbook/phrases.h"

namespace holdfast::runbook {

namespace {

constexpr std::array<std::string_view, 19> kKeys = {"id",          "timeout", "verify",    "on_crash",   "approve",
                                                    "drill",       "retries", "parallel",  "compensate", "target",
                                                    "fence",       "env",     "component", "workdir",    "destructive",
                                                    "interactive", "manual",  "optional",  "when"};
constexpr std::array<std::string_view, 7> kNotForAll = {"id",       "verify", "compensate", "when",
                                                        "parallel", "target", "fence"};

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_key(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }

// Reads settings from left to right, counting lines.
class SettingsScanner {
 public:
  SettingsScanner(std::string_view text, Position at, std::vector<ReadError>& errors)
      : text_(text), at_(at), errors_(errors) {}

  std::vector<Setting> run() {
    std::vector<Setting> settings;
    while (true) {
      while (place_ < text_.size() && is_space(text_[place_])) step();
      if (place_ >= text_.size()) return settings;
      Setting setting;
      setting.range.begin = at_;
      while (place_ < text_.size() && is_key(text_[place_])) setting.key += step();
      if (setting.key.empty() || place_ >= text_.size() || text_[place_] != '=') {
        errors_.push_back({"an annotation is a list of key=value, but '" + rest_word(setting.key) + "' is none",
                           "write for example {timeout=30m}",
                           {setting.range.begin, at_}});
        return settings;
      }
      step();
      if (!value(setting)) return settings;
      setting.range.end = at_;
      settings.push_back(std::move(setting));
    }
  }

 private:
  char step() {
    const char c = text_[place_++];
    at_ = c == '\n' ? Position{at_.line + 1, 1} : Position{at_.line, at_.column + 1};
    return c;
  }

  std::string rest_word(std::string word) {
    while (place_ < text_.size() && !is_space(text_[place_]) && word.size() < 40) word += step();
    return word;
  }

  bool value(Setting& setting) {
    if (place_ < text_.size() && (text_[place_] == '"' || text_[place_] == '\'')) {
      const char quote = step();
      while (place_ < text_.size() && text_[place_] != quote) {
        if (text_[place_] == '\\' && place_ + 1 < text_.size() &&
            (text_[place_ + 1] == quote || text_[place_ + 1] == '\\'))
          step();
        setting.value += step();
      }
      if (place_ >= text_.size()) {
        errors_.push_back({"the value of '" + setting.key + "' has no closing quote", "", {setting.range.begin, at_}});
        return false;
      }
      step();
      return true;
    }
    while (place_ < text_.size() && !is_space(text_[place_])) setting.value += step();
    return true;
  }

  std::string_view text_;
  Position at_;
  std::vector<ReadError>& errors_;
  size_t place_ = 0;
};

std::string nearest(const std::string& key) {
  for (const std::string_view known : kKeys) {
    if (known.size() + 1 < key.size() || key.size() + 1 < known.size()) continue;
    size_t same = 0;
    while (same < known.size() && same < key.size() && known[same] == key[same]) same++;
    size_t tail = 0;
    while (tail < known.size() - same && tail < key.size() - same &&
           known[known.size() - 1 - tail] == key[key.size() - 1 - tail])
      tail++;
    if (same + tail + 1 >= std::max(known.size(), key.size())) return std::string(known);
  }
  return "";
}

// One setting after the other; each kind of value has its own way in.
class Applier {
 public:
  Applier(Annotations& annotations, std::vector<ReadError>& errors) : annotations_(annotations), errors_(errors) {}

  void apply(const Setting& setting) {
    const std::string& key = setting.key;
    Annotations& a = annotations_;
    if (key == "id") return word(setting, a.id);
    if (key == "approve") return word(setting, a.approve);
    if (key == "parallel") return word(setting, a.parallel);
    if (key == "component") return word(setting, a.component);
    if (key == "verify") return text(setting, a.verify);
    if (key == "compensate") return text(setting, a.compensate);
    if (key == "when") return text(setting, a.when);
    if (key == "target") return text(setting, a.target);
    if (key == "fence") return text(setting, a.fence);
    if (key == "workdir") return text(setting, a.workdir);
    if (key == "timeout") return duration(setting);
    if (key == "on_crash") return on_crash(setting);
    if (key == "drill") return drill(setting);
    if (key == "retries") return retries(setting);
    if (key == "env") return env(setting);
    if (key == "destructive")
      a.destructive = yes_or_no(setting);
    else if (key == "interactive")
      a.interactive = yes_or_no(setting);
    else if (key == "manual")
      a.manual = yes_or_no(setting).value_or(false);
    else if (key == "optional")
      a.optional = yes_or_no(setting).value_or(false);
    else
      unknown(setting);
  }

 private:
  void error(const Setting& setting, std::string message, std::string hint) {
    errors_.push_back({std::move(message), std::move(hint), setting.range});
  }

  void unknown(const Setting& setting) {
    const std::string near = nearest(setting.key);
    error(setting, "unknown key '" + setting.key + "' in an annotation",
          near.empty() ? "docs/runbook.md lists the keys" : "did you mean '" + near + "'?");
  }

  void text(const Setting& setting, std::string& target) {
    if (setting.value.empty()) return error(setting, "'" + setting.key + "' has no value", "");
    target = setting.value;
  }

  void word(const Setting& setting, std::string& target) {
    const bool valid = !setting.value.empty() && std::all_of(setting.value.begin(), setting.value.end(),
                                                             [](char c) { return is_key(c) || c == '.'; });
    if (!valid)
      return error(
          setting,
          "'" + setting.key + "' must be a word of letters, digits, '-', '_' and '.', not '" + setting.value + "'", "");
    target = setting.value;
  }

  std::optional<bool> yes_or_no(const Setting& setting) {
    if (setting.value == "yes" || setting.value == "true") return true;
    if (setting.value == "no" || setting.value == "false") return false;
    error(setting, "'" + setting.key + "' must be yes or no, not '" + setting.value + "'", "");
    return std::nullopt;
  }

  void duration(const Setting& setting) {
    auto parsed = parse_duration(setting.value);
    if (!parsed.ok() || parsed->ns <= 0)
      return error(setting, "'timeout' must be a duration such as 30s, 10m or 2h, not '" + setting.value + "'", "");
    annotations_.timeout = *parsed;
  }

  void on_crash(const Setting& setting) {
    if (setting.value == "ask")
      annotations_.on_crash = OnCrash::kAsk;
    else if (setting.value == "retry")
      annotations_.on_crash = OnCrash::kRetry;
    else if (setting.value == "skip")
      annotations_.on_crash = OnCrash::kSkip;
    else if (setting.value == "fail")
      annotations_.on_crash = OnCrash::kFail;
    else if (setting.value == "probe")
      annotations_.on_crash = OnCrash::kProbe;
    else
      error(setting, "'on_crash' must be ask, retry, skip, fail or probe, not '" + setting.value + "'", "");
  }

  void drill(const Setting& setting) {
    if (setting.value != "skip") return error(setting, "'drill' must be skip, not '" + setting.value + "'", "");
    annotations_.drill_skip = true;
  }

  void retries(const Setting& setting) {
    constexpr int kMost = 100;
    const bool digits = !setting.value.empty() && setting.value.size() <= 3 &&
                        setting.value.find_first_not_of("0123456789") == std::string::npos;
    const int value = digits ? std::atoi(setting.value.c_str()) : -1;
    if (value < 0 || value > kMost)
      return error(setting, "'retries' must be a number up to 100, not '" + setting.value + "'", "");
    annotations_.retries = value;
  }

  void env(const Setting& setting) {
    const size_t equals = setting.value.find('=');
    const std::string name = setting.value.substr(0, equals);
    const bool valid = equals != std::string::npos && !name.empty() &&
                       std::isdigit(static_cast<unsigned char>(name[0])) == 0 &&
                       std::all_of(name.begin(), name.end(),
                                   [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; });
    if (!valid) return error(setting, "'env' must be NAME=VALUE, not '" + setting.value + "'", "");
    annotations_.env[name] = setting.value.substr(equals + 1);
  }

  Annotations& annotations_;
  std::vector<ReadError>& errors_;
};

}  // namespace

std::vector<Setting> parse_settings(std::string_view text, Position at, std::vector<ReadError>& errors) {
  return SettingsScanner(text, at, errors).run();
}

void apply_settings(Annotations& annotations, const std::vector<Setting>& settings, std::vector<ReadError>& errors) {
  Applier applier(annotations, errors);
  for (const Setting& setting : settings) {
    applier.apply(setting);
    if (!annotations.range.known()) annotations.range = setting.range;
    annotations.range.end = setting.range.end;
  }
}

std::vector<Setting> settings_of_info(const markdown::Block& block, std::vector<ReadError>& errors) {
  const size_t open = block.info.find('{');
  if (!block.fenced || open == std::string::npos) return {};
  const size_t close = block.info.rfind('}');
  Position at = block.info_at;
  at.column += static_cast<uint32_t>(open) + 1;
  if (close == std::string::npos || close < open) {
    errors.push_back({"the annotation behind the language has no closing brace", "", {at, at}});
    return {};
  }
  return parse_settings(std::string_view(block.info).substr(open + 1, close - open - 1), at, errors);
}

namespace {

// "RULE because REASON".
Suppression suppression_of(std::string_view words, SourceRange range) {
  Suppression suppression;
  suppression.range = range;
  const std::string text = trim(words);
  const size_t blank = std::min(text.find_first_of(" \t\n"), text.size());
  suppression.rule = text.substr(0, blank);
  std::string rest = trim(std::string_view(text).substr(blank));
  constexpr std::string_view kBecause = "because";
  if (rest.starts_with(kBecause)) suppression.reason = trim(std::string_view(rest).substr(kBecause.size()));
  return suppression;
}

Position advance(Position at, std::string_view text) {
  for (const char c : text) at = c == '\n' ? Position{at.line + 1, 1} : Position{at.line, at.column + 1};
  return at;
}

}  // namespace

std::optional<HoldfastComment> parse_comment(std::string_view html, Position at, std::vector<ReadError>& errors) {
  constexpr std::string_view kOpen = "<!--", kClose = "-->", kMark = "holdfast:";
  const size_t open = html.find(kOpen);
  if (open == std::string_view::npos) return std::nullopt;
  const size_t close = std::min(html.find(kClose, open), html.size());
  const std::string_view inside = html.substr(open + kOpen.size(), close - std::min(close, open + kOpen.size()));
  const size_t mark = inside.find_first_not_of(" \t\n");
  if (mark == std::string_view::npos || !inside.substr(mark).starts_with(kMark)) return std::nullopt;
  const std::string_view words = inside.substr(mark + kMark.size());
  const Position begin = advance(at, html.substr(0, open));
  const Position words_at = advance(begin, html.substr(open, kOpen.size() + mark + kMark.size()));
  HoldfastComment comment;
  const std::string first = trim(words);
  if (first.starts_with("ignore ") || first == "ignore") {
    const SourceRange range{begin,
                            advance(begin, html.substr(open, std::min(close + kClose.size(), html.size()) - open))};
    comment.suppression = suppression_of(first.substr(std::min<size_t>(first.size(), 7)), range);
  } else {
    comment.settings = parse_settings(words, words_at, errors);
  }
  return comment;
}

namespace {

// The closing line's number, or 0.
size_t front_matter_end(const std::vector<std::string_view>& lines) {
  if (lines.empty() || trim(lines[0]) != "---") return 0;
  constexpr size_t kMost_lines = 200;
  for (size_t index = 1; index < lines.size() && index < kMost_lines; index++)
    if (trim(lines[index]) == "---" || trim(lines[index]) == "...") return index;
  return 0;
}

void read_defaults(const YAML::Node& node, Annotations& defaults, std::vector<ReadError>& errors) {
  for (const auto& entry : node) {
    Setting setting;
    setting.key = entry.first.as<std::string>();
    const auto line = static_cast<uint32_t>(entry.first.Mark().line + 2);
    setting.range = {{line, static_cast<uint32_t>(entry.first.Mark().column + 1)}, {line + 1, 1}};
    if (std::find(kNotForAll.begin(), kNotForAll.end(), setting.key) != kNotForAll.end()) {
      errors.push_back(
          {"'" + setting.key + "' can't be the same for all steps", "annotate the step that it is for", setting.range});
    } else if (setting.key == "env" && entry.second.IsMap()) {
      for (const auto& variable : entry.second)
        apply_settings(
            defaults,
            {{"env", variable.first.as<std::string>() + "=" + variable.second.as<std::string>(), setting.range}},
            errors);
    } else if (!entry.second.IsScalar()) {
      errors.push_back({"'" + setting.key + "' must be a plain value", "", setting.range});
    } else {
      setting.value = entry.second.as<std::string>();
      apply_settings(defaults, {setting}, errors);
    }
  }
}

}  // namespace

Annotations take_front_matter(std::string& source, std::vector<ReadError>& errors) {
  Annotations defaults;
  const std::vector<std::string_view> lines = markdown::split_lines(source);
  const size_t end = front_matter_end(lines);
  if (end == 0) return defaults;
  std::string yaml;
  for (size_t index = 1; index < end; index++) yaml += std::string(lines[index]) + "\n";
  try {
    const YAML::Node root = YAML::Load(yaml);
    const YAML::Node ours = root.IsMap() ? root["holdfast"] : YAML::Node();
    if (ours && ours.IsMap()) read_defaults(ours, defaults, errors);
  } catch (const YAML::Exception& problem) {
    const auto line = static_cast<uint32_t>(std::max(0, problem.mark.line) + 2);
    errors.push_back({"the front matter is no YAML: " + problem.msg, "", {{line, 1}, {line + 1, 1}}});
  }
  for (size_t index = 0; index <= end; index++) {
    const auto offset = static_cast<size_t>(lines[index].data() - source.data());
    std::fill_n(source.begin() + static_cast<std::ptrdiff_t>(offset), lines[index].size(), ' ');
  }
  return defaults;
}

}  // namespace holdfast::runbook
