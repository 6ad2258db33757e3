#include "recovery/stack.h"

#include <algorithm>
#include <cctype>
#include <set>
#include <thread>

#include "base/filesystem.h"
#include "base/secret.h"
#include "recovery/yaml_reader.h"
#include "source/postgres/connection.h"
#include "source/redis/connection.h"

namespace holdfast::recovery {

namespace {

// Component names become parts of stream names, slot names and directories.
bool is_plain_name(const std::string& name) {
  if (name.empty() || name.size() > 40) return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; });
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

// Turns one document into a StackConfig.
class StackParser {
 public:
  StackParser(const std::string& path, StackConfig& config)
      : yaml_(path), directory_(parent_path(absolute_path(path))), config_(config) {}

  Result<void> run(const std::string& text) {
    const YAML::Node root = TRY(yaml_.parse(text));
    if (!root.IsDefined() || root.IsNull()) return yaml_.error(root, "the file is empty");
    const std::vector<YamlReader::Key> keys = {
        {"stack", [&](const YAML::Node& node) { return read_name(node, "stack", config_.stack); }},
        {"repository", [&](const YAML::Node& node) { return read_repository(node); }},
        {"threads",
         [&](const YAML::Node& node) -> Result<void> {
           config_.threads = static_cast<unsigned>(TRY(yaml_.integer(node, "threads", 0, 256)));
           return {};
         }},
        {"components",
         [&](const YAML::Node& node) {
           return yaml_.list(node, "components", [&](const YAML::Node& item) { return read_component(item); });
         }},
        {"parallel",
         [&](const YAML::Node& node) -> Result<void> {
           config_.parallel = static_cast<unsigned>(TRY(yaml_.integer(node, "parallel", 1, 16)));
           return {};
         }},
        {"when_a_component_fails", [&](const YAML::Node& node) { return read_when_a_component_fails(node); }},
        commands_key("before_backup", config_.commands.before),
        commands_key("after_backup", config_.commands.after),
        {"retention", [&](const YAML::Node& node) { return read_retention(node); }},
        {"collection_grace",
         [&](const YAML::Node& node) { return read_duration(node, "collection_grace", config_.collection_grace); }},
    };
    TRY(yaml_.map(root, "at the top level", keys));
    if (config_.stack.empty()) return yaml_.error(root, "there is no 'stack': give the stack a name");
    if (config_.repository.empty()) return yaml_.error(root, "there is no 'repository.location'");
    if (config_.passphrase.empty())
      return yaml_.error(root, "there is no 'repository.passphrase' (file:PATH, env:NAME or exec:COMMAND)");
    return check_order();
  }

 private:
  Result<void> read_text(const YAML::Node& node, const char* key, std::string& out) {
    out = TRY(yaml_.text(node, key));
    return {};
  }
  Result<void> read_duration(const YAML::Node& node, const char* key, Duration& out) {
    out = TRY(yaml_.duration(node, key));
    return {};
  }
  Result<void> read_objective(const YAML::Node& node, const char* key, std::optional<Duration>& out) {
    out = TRY(yaml_.duration(node, key));
    return {};
  }
  Result<void> read_bool(const YAML::Node& node, const char* key, bool& out) {
    out = TRY(yaml_.boolean(node, key));
    return {};
  }
  Result<void> read_texts(const YAML::Node& node, const char* key, std::vector<std::string>& out) {
    out = TRY(yaml_.texts(node, key));
    return {};
  }
  Result<void> read_path(const YAML::Node& node, const char* key, std::string& out) {
    out = resolve(TRY(yaml_.text(node, key)));
    return {};
  }
  Result<void> read_name(const YAML::Node& node, const char* key, std::string& out) {
    out = TRY(yaml_.text(node, key));
    if (is_plain_name(out)) return {};
    return yaml_.error(
        node, fmt::format("'{}' must be made of letters, digits, '-' and '_' (at most 40), not '{}'", key, out));
  }
  Result<void> read_choice(const YAML::Node& node, const char* key, const std::vector<std::string>& choices,
                           std::string& out) {
    out = TRY(yaml_.text(node, key));
    if (std::find(choices.begin(), choices.end(), out) != choices.end()) return {};
    return yaml_.error(node, fmt::format("'{}' must be one of {}, not '{}'", key, fmt::join(choices, ", "), out));
  }
  Result<void> read_secret(const YAML::Node& node, const char* key, std::string& out) {
    const std::string reference = TRY(yaml_.text(node, key));
    if (is_secret_reference(reference)) {
      out = anchored_reference(reference, directory_);
      return {};
    }
    // The value may be the secret itself: it is not repeated.
    return yaml_.error(
        node, fmt::format("'{}' must be a reference: file:PATH, env:NAME or exec:COMMAND, not the secret itself", key));
  }

  std::string resolve(const std::string& path) const {
    if (path.find("://") != std::string::npos) return path;
    return path.starts_with('/') ? absolute_path(path) : absolute_path(join_path(directory_, path));
  }

  Result<void> read_repository(const YAML::Node& node) {
    return yaml_.map(
        node, "in repository",
        {
            {"location", [&](const YAML::Node& value) { return read_path(value, "location", config_.repository); }},
            {"passphrase",
             [&](const YAML::Node& value) { return read_secret(value, "passphrase", config_.passphrase); }},
            {"compression",
             [&](const YAML::Node& value) -> Result<void> {
               config_.compression_level = static_cast<int>(TRY(yaml_.integer(value, "compression", 1, 19)));
               return {};
             }},
        });
  }

  Result<void> read_retention(const YAML::Node& node) {
    repo::RetentionPolicy& policy = config_.retention;
    const auto count = [&](const char* key, uint32_t& out) -> YamlReader::Key {
      return {key, [this, key, &out](const YAML::Node& value) -> Result<void> {
                out = static_cast<uint32_t>(TRY(yaml_.integer(value, key, 0, 1'000'000)));
                return {};
              }};
    };
    return yaml_.map(
        node, "in retention",
        {
            count("keep_last", policy.keep_last),
            count("keep_hourly", policy.keep_hourly),
            count("keep_daily", policy.keep_daily),
            count("keep_weekly", policy.keep_weekly),
            count("keep_monthly", policy.keep_monthly),
            count("keep_yearly", policy.keep_yearly),
            {"keep_within",
             [&](const YAML::Node& value) { return read_duration(value, "keep_within", policy.keep_within); }},
            {"keep_tags", [&](const YAML::Node& value) { return read_texts(value, "keep_tags", policy.keep_tags); }},
            {"keep_window",
             [&](const YAML::Node& value) { return read_duration(value, "keep_window", policy.keep_window); }},
        });
  }

  Result<void> read_when_a_component_fails(const YAML::Node& node) {
    std::string choice;
    TRY(read_choice(node, "when_a_component_fails", {"commit_nothing", "commit_degraded"}, choice));
    config_.when_a_component_fails =
        choice == "commit_degraded" ? WhenAComponentFails::kCommitDegraded : WhenAComponentFails::kCommitNothing;
    return {};
  }

  YamlReader::Key commands_key(const char* key, std::vector<BackupCommand>& out) {
    return {key, [this, key, &out](const YAML::Node& node) {
              return yaml_.list(node, key, [&](const YAML::Node& item) { return read_command(item, key, out); });
            }};
  }

  // A list of words, or {command: [words], timeout: 30s}. Never one text: who would split it?
  Result<void> read_command(const YAML::Node& node, const char* key, std::vector<BackupCommand>& out) {
    BackupCommand command;
    if (node.IsSequence()) {
      TRY(read_argv(node, key, key, command.argv));
    } else if (node.IsMap()) {
      TRY(yaml_.map(
          node, fmt::format("in a command of '{}'", key),
          {{"command", [&](const YAML::Node& value) { return read_argv(value, "command", key, command.argv); }},
           {"timeout", [&](const YAML::Node& value) { return read_timeout(value, command.timeout); }}}));
      if (command.argv.empty()) return yaml_.error(node, fmt::format("a command of '{}' has no 'command'", key));
    } else {
      return yaml_.error(node, fmt::format("'{}' must be a list of commands, each a list of words such as "
                                           "[systemctl, stop, app], or {{command: [...], timeout: 30s}}",
                                           key));
    }
    out.push_back(std::move(command));
    return {};
  }

  // `key`: whose command it is; `at`: the key that the words stand at.
  Result<void> read_argv(const YAML::Node& node, const char* at, const char* key, std::vector<std::string>& out) {
    TRY(yaml_.list(node, at, [&](const YAML::Node& word) -> Result<void> {
      if (!word.IsScalar()) return yaml_.error(word, fmt::format("a word of a command of '{}' is no text", key));
      out.push_back(word.Scalar());
      return {};
    }));
    if (out.empty() || out.front().empty()) return yaml_.error(node, fmt::format("a command of '{}' is empty", key));
    return {};
  }

  Result<void> read_timeout(const YAML::Node& node, Duration& out) {
    TRY(read_duration(node, "timeout", out));
    if (out.ns > 0) return {};
    return yaml_.error(node, "'timeout' must be longer than nothing");
  }

  Result<void> read_component(const YAML::Node& node) {
    ComponentConfig component;
    if (!node.IsMap() || !node["kind"])
      return yaml_.error(node, "a component has no 'kind' (postgres, redis or files)");
    TRY(read_choice(node["kind"], "kind", {"postgres", "redis", "files"}, component.kind));
    const std::string name = node["name"] && node["name"].IsScalar() ? node["name"].Scalar() : "";
    const std::string where = fmt::format("in component '{}' of kind {}", name, component.kind);
    TRY(yaml_.map(node, where, component_keys(component)));
    if (component.name.empty()) return yaml_.error(node, "a component has no 'name'");
    if (config_.find(component.name) != nullptr) {
      return yaml_.error(node, fmt::format("there are two components named '{}'", component.name));
    }
    if (component.kind == "files" && component.files.paths.empty()) {
      return yaml_.error(node, fmt::format("component '{}' has no 'paths'", component.name));
    }
    if (component.kind == "postgres" && component.postgres.slot.empty()) {
      component.postgres.slot = "holdfast_" + component.name;
      // Slot names are [a-z0-9_]+.
      for (char& c : component.postgres.slot)
        c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    config_.components.push_back(std::move(component));
    return {};
  }

  std::vector<YamlReader::Key> component_keys(ComponentConfig& component) {
    std::vector<YamlReader::Key> keys = {
        {"name", [&](const YAML::Node& value) { return read_name(value, "name", component.name); }},
        {"kind", [](const YAML::Node&) { return Result<void>(); }},
        {"rto", [&](const YAML::Node& value) { return read_objective(value, "rto", component.rto); }},
        {"rpo", [&](const YAML::Node& value) { return read_objective(value, "rpo", component.rpo); }},
        {"priority", [&](const YAML::Node& value) { return read_text(value, "priority", component.priority); }},
        {"after",
         [&](const YAML::Node& value) -> Result<void> {
           TRY(read_texts(value, "after", component.after));
           if (!component.after.empty()) after_nodes_.push_back(value);
           return {};
         }},
        commands_key("before_backup", component.commands.before),
        commands_key("after_backup", component.commands.after),
    };
    auto more = component.kind == "postgres" ? postgres_keys(component.postgres)
                : component.kind == "redis"  ? redis_keys(component.redis)
                                             : files_keys(component.files);
    std::move(more.begin(), more.end(), std::back_inserter(keys));
    return keys;
  }

  // Names in 'after' that are known, and no way around in a circle. The nodes stand in
  // the order of the components that have one.
  Result<void> check_order() {
    size_t at = 0;
    for (const ComponentConfig& component : config_.components) {
      if (component.after.empty()) continue;
      const YAML::Node& node = after_nodes_[at++];
      std::vector<std::string> names;
      for (const ComponentConfig& other : config_.components) names.push_back(other.name);
      for (const std::string& name : component.after) {
        if (config_.find(name) != nullptr) continue;
        const std::string nearest = nearest_word(name, names);
        return yaml_.error(
            node, fmt::format("'after' of component '{}' names '{}', which is no component{}", component.name, name,
                              nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest)));
      }
      std::vector<std::string> way = {component.name};
      if (leads_back(component, way)) {
        return yaml_.error(node, fmt::format("'after' goes around in a circle: {}", fmt::join(way, " after ")));
      }
    }
    return {};
  }

  // Whether a chain of 'after' leads back to where `way` begins; then `way` is it.
  bool leads_back(const ComponentConfig& component, std::vector<std::string>& way) {
    for (const std::string& name : component.after) {
      const bool closed = name == way.front();
      if (!closed && std::find(way.begin(), way.end(), name) != way.end()) continue;  // another circle's
      const ComponentConfig* next = config_.find(name);
      if (next == nullptr) continue;  // said when its turn comes
      way.push_back(name);
      if (closed || leads_back(*next, way)) return true;
      way.pop_back();
    }
    return false;
  }

  std::vector<YamlReader::Key> postgres_keys(PostgresConfig& postgres) {
    return {
        {"connection", [&](const YAML::Node& value) { return read_connection(value, postgres.connection); }},
        {"password", [&](const YAML::Node& value) { return read_secret(value, "password", postgres.password); }},
        {"data_directory",
         [&](const YAML::Node& value) { return read_path(value, "data_directory", postgres.data_directory); }},
        {"method",
         [&](const YAML::Node& value) {
           return read_choice(value, "method", {"auto", "files", "protocol"}, postgres.method);
         }},
        {"bin_directory",
         [&](const YAML::Node& value) { return read_path(value, "bin_directory", postgres.bin_directory); }},
        {"slot", [&](const YAML::Node& value) { return read_slot(value, postgres.slot); }},
        {"synchronous", [&](const YAML::Node& value) { return read_bool(value, "synchronous", postgres.synchronous); }},
        {"assertions",
         [&](const YAML::Node& value) {
           return yaml_.list(value, "assertions",
                             [&](const YAML::Node& item) { return read_assertion(item, postgres); });
         }},
    };
  }

  std::vector<YamlReader::Key> redis_keys(RedisConfig& redis) {
    return {
        {"connection", [&](const YAML::Node& value) { return read_redis_address(value, redis.connection); }},
        {"user", [&](const YAML::Node& value) { return read_text(value, "user", redis.user); }},
        {"password", [&](const YAML::Node& value) { return read_secret(value, "password", redis.password); }},
        {"data_directory",
         [&](const YAML::Node& value) { return read_path(value, "data_directory", redis.data_directory); }},
        {"bin_directory",
         [&](const YAML::Node& value) { return read_path(value, "bin_directory", redis.bin_directory); }},
        {"tls",
         [&](const YAML::Node& value) {
           redis.tls = true;
           return yaml_.map(value, "in tls",
                            {{"ca", [&](const YAML::Node& file) { return read_path(file, "ca", redis.tls_ca); }},
                             {"cert", [&](const YAML::Node& file) { return read_path(file, "cert", redis.tls_cert); }},
                             {"key", [&](const YAML::Node& file) { return read_path(file, "key", redis.tls_key); }}});
         }},
    };
  }

  std::vector<YamlReader::Key> files_keys(FilesConfig& files) {
    return {
        {"paths",
         [&](const YAML::Node& value) -> Result<void> {
           TRY(read_texts(value, "paths", files.paths));
           for (std::string& path : files.paths) path = resolve(path);
           return {};
         }},
        {"exclude", [&](const YAML::Node& value) { return read_texts(value, "exclude", files.excludes); }},
        {"one_file_system",
         [&](const YAML::Node& value) { return read_bool(value, "one_file_system", files.one_file_system); }},
    };
  }

  Result<void> read_connection(const YAML::Node& node, std::string& out) {
    out = TRY(yaml_.text(node, "connection"));
    const auto good = postgres::check_connection(out);
    if (good.ok()) return {};
    return yaml_.error(node, fmt::format("'connection': {}: {}", good.error().message(), good.error().hint()));
  }

  Result<void> read_redis_address(const YAML::Node& node, std::string& out) {
    out = TRY(yaml_.text(node, "connection"));
    const auto good = redis::parse_connection(out);
    if (good.ok()) return {};
    return yaml_.error(node, fmt::format("'connection': {}: {}", good.error().message(), good.error().hint()));
  }

  Result<void> read_slot(const YAML::Node& node, std::string& out) {
    out = TRY(yaml_.text(node, "slot"));
    const bool good = out.size() <= 63 && std::all_of(out.begin(), out.end(), [](unsigned char c) {
                        return std::islower(c) || std::isdigit(c) || c == '_';
                      });
    if (good) return {};
    return yaml_.error(node, fmt::format("'slot' must be made of lower-case letters, digits and '_', not '{}'", out));
  }

  Result<void> read_assertion(const YAML::Node& node, PostgresConfig& postgres) {
    postgres::Assertion assertion;
    assertion.database = "postgres";
    const std::vector<YamlReader::Key> keys = {
        {"name", [&](const YAML::Node& value) { return read_text(value, "name", assertion.name); }},
        {"database", [&](const YAML::Node& value) { return read_text(value, "database", assertion.database); }},
        {"sql", [&](const YAML::Node& value) { return read_text(value, "sql", assertion.sql); }},
    };
    TRY(yaml_.map(node, "in an assertion", keys));
    if (assertion.sql.empty()) return yaml_.error(node, "an assertion has no 'sql'");
    if (assertion.name.empty()) assertion.name = assertion.sql;
    postgres.assertions.push_back(std::move(assertion));
    return {};
  }

  YamlReader yaml_;
  std::string directory_;
  StackConfig& config_;
  std::vector<YAML::Node> after_nodes_;  // of the components that have 'after', in their order
};

}  // namespace

std::string nearest_word(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

const ComponentConfig* StackConfig::find(const std::string& component) const {
  for (const ComponentConfig& candidate : components) {
    if (candidate.name == component) return &candidate;
  }
  return nullptr;
}

std::vector<std::string> StackConfig::component_names() const {
  std::vector<std::string> names;
  for (const ComponentConfig& component : components) names.push_back(component.name);
  return names;
}

std::string StackConfig::repository_directory() const {
  return repository.empty() || repository.find("://") != std::string::npos ? "" : absolute_path(repository);
}

size_t StackConfig::effective_threads() const {
  if (threads > 0) return threads;
  return std::max(1u, std::thread::hardware_concurrency());
}

Result<StackConfig> parse_stack(const std::string& text, const std::string& path) {
  StackConfig config;
  config.path = absolute_path(path);
  StackParser parser(path, config);
  try {
    TRY(parser.run(text));
  } catch (const YAML::Exception& exception) {
    return make_error(ErrorCode::kConfig, "{}:{}: {}", path, exception.mark.line + 1, exception.msg);
  }
  return config;
}

Result<StackConfig> load_stack(const std::string& path) {
  auto content = read_file(real_file_system(), path, 1 << 20);
  if (!content.ok()) {
    Error error = std::move(content).error().with_context("configuration");
    if (error.code() != ErrorCode::kNotFound) return error;
    return std::move(error)
        .with_code(ErrorCode::kConfig)
        .with_hint("name the file that 'holdfast init' wrote, or run that to write one");
  }
  return parse_stack(std::string(as_text(content.value().view())), path);
}

}  // namespace holdfast::recovery
