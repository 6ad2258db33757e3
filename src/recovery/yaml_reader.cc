#include "recovery/yaml_reader.h"

#include <charconv>
#include <set>

#include "recovery/stack.h"

namespace holdfast::recovery {

Error YamlReader::error(const YAML::Node& node, const std::string& message) const {
  const YAML::Mark mark = node.Mark();
  if (mark.is_null()) return make_error(ErrorCode::kConfig, "{}: {}", path_, message);
  return make_error(ErrorCode::kConfig, "{}:{}: {}", path_, mark.line + 1, message);
}

Result<YAML::Node> YamlReader::parse(const std::string& text) const {
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.size() > 1) {
      return make_error(ErrorCode::kConfig, "{}: there are {} YAML documents in it, and only one is read", path_,
                        documents.size())
          .with_hint("remove what stands after a line of '---'");
    }
    return documents.empty() ? YAML::Node() : documents.front();
  } catch (const YAML::Exception& exception) {
    return make_error(ErrorCode::kConfig, "{}:{}: this is not YAML: {}", path_, exception.mark.line + 1, exception.msg);
  }
}

Result<void> YamlReader::map(const YAML::Node& node, const std::string& where, const std::vector<Key>& keys) const {
  if (!node.IsMap()) return error(node, fmt::format("expected keys and values {}", where));
  std::set<std::string> seen;
  for (const auto& item : node) {
    if (!item.first.IsScalar()) return error(item.first, fmt::format("a key {} is not a word", where));
    const std::string& name = item.first.Scalar();
    if (!seen.insert(name).second) return error(item.first, fmt::format("key '{}' stands twice {}", name, where));
    const Key* known = nullptr;
    std::vector<std::string> names;
    for (const Key& key : keys) {
      if (key.name == name) known = &key;
      names.push_back(key.name);
    }
    if (known == nullptr) {
      const std::string nearest = nearest_word(name, names);
      const std::string guess = nearest.empty() ? fmt::format(" (known keys: {})", fmt::join(names, ", "))
                                                : fmt::format(" (did you mean '{}'?)", nearest);
      return error(item.first, fmt::format("unknown key '{}' {}{}", name, where, guess));
    }
    TRY(known->read(item.second));
  }
  return {};
}

Result<void> YamlReader::list(const YAML::Node& node, const std::string& key,
                              const std::function<Result<void>(const YAML::Node&)>& read) const {
  if (!node.IsSequence()) return error(node, fmt::format("'{}' must be a list", key));
  for (const auto& item : node) TRY(read(item));
  return {};
}

Result<std::string> YamlReader::text(const YAML::Node& node, const std::string& key) const {
  if (!node.IsScalar() || node.Scalar().empty()) return error(node, fmt::format("'{}' must be a text", key));
  return node.Scalar();
}

Result<std::vector<std::string>> YamlReader::texts(const YAML::Node& node, const std::string& key) const {
  std::vector<std::string> result;
  if (node.IsScalar()) {
    result.push_back(TRY(text(node, key)));
    return result;
  }
  const auto take = [&](const YAML::Node& item) -> Result<void> {
    result.push_back(TRY(text(item, key)));
    return {};
  };
  TRY(list(node, key, take));
  return result;
}

Result<int64_t> YamlReader::integer(const YAML::Node& node, const std::string& key, int64_t least, int64_t most) const {
  int64_t value = 0;
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    return error(node, fmt::format("'{}' must be a whole number from {} to {}, not '{}'", key, least, most, text));
  }
  return value;
}

Result<bool> YamlReader::boolean(const YAML::Node& node, const std::string& key) const {
  const std::string text = node.IsScalar() ? node.Scalar() : "";
  if (text == "true" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "no" || text == "off") return false;
  return error(node, fmt::format("'{}' must be true or false, not '{}'", key, text));
}

Result<Duration> YamlReader::duration(const YAML::Node& node, const std::string& key) const {
  const std::string text = TRY(this->text(node, key));
  auto parsed = parse_duration(text);
  if (!parsed.ok()) {
    return error(node, fmt::format("'{}' must be a duration such as 30s, 5m, 1h30m or 7d, not '{}'", key, text));
  }
  return parsed;
}

}  // namespace holdfast::recovery
