#pragma once

#include <yaml-cpp/yaml.h>

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::recovery {

// Reads YAML values with errors that name file, line and key. It is the adapter
// of yaml-cpp: no exception of the library gets past it.
class YamlReader {
 public:
  explicit YamlReader(std::string path) : path_(std::move(path)) {}

  // One key that a map may have, and what to do with its value.
  struct Key {
    std::string name;
    std::function<Result<void>(const YAML::Node&)> read;
  };

  Result<YAML::Node> parse(const std::string& text) const;
  // Calls `read` for each key present, in the order of the file. A key that is
  // not in `keys`, or comes twice, is an error. `where`: "in repository".
  Result<void> map(const YAML::Node& node, const std::string& where, const std::vector<Key>& keys) const;
  Result<void> list(const YAML::Node& node, const std::string& key,
                    const std::function<Result<void>(const YAML::Node&)>& read) const;

  Result<std::string> text(const YAML::Node& node, const std::string& key) const;
  Result<std::vector<std::string>> texts(const YAML::Node& node, const std::string& key) const;
  Result<int64_t> integer(const YAML::Node& node, const std::string& key, int64_t least, int64_t most) const;
  Result<bool> boolean(const YAML::Node& node, const std::string& key) const;
  Result<Duration> duration(const YAML::Node& node, const std::string& key) const;

  Error error(const YAML::Node& node, const std::string& message) const;

 private:
  std::string path_;
};

}  // namespace holdfast::recovery
