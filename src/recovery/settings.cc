#include "recovery/settings.h"

#include <charconv>

#include "base/log.h"
#include "base/secret.h"

namespace holdfast::recovery {

namespace {

std::string value_of(const EnvironmentLookup& environment, const char* name) {
  const char* value = environment(name);
  return value == nullptr ? "" : value;
}

Result<int> number_of(const EnvironmentLookup& environment, const char* name, int least, int most) {
  const std::string text = value_of(environment, name);
  int number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc() || end != text.data() + text.size() || number < least || number > most) {
    return make_error(ErrorCode::kConfig, "{} must be a whole number from {} to {}, not '{}'", name, least, most, text);
  }
  return number;
}

// The only PostgreSQL component of the stack: DB_* says nothing about which one
// is meant, so it is used where there is no choice.
ComponentConfig* single_postgres(StackConfig& config) {
  ComponentConfig* found = nullptr;
  for (ComponentConfig& component : config.components) {
    if (component.kind != "postgres") continue;
    if (found != nullptr) return nullptr;
    found = &component;
  }
  return found;
}

void apply_database_variables(StackConfig& config, const EnvironmentLookup& environment) {
  ComponentConfig* component = single_postgres(config);
  if (component == nullptr) return;
  const std::pair<const char*, const char*> variables[] = {
      {"DB_HOST", "host"}, {"DB_PORT", "port"}, {"DB_NAME", "dbname"}, {"DB_USER", "user"}};
  for (const auto& [variable, keyword] : variables) {
    const std::string value = value_of(environment, variable);
    if (value.empty()) continue;
    log_info("config.environment", {{"variable", variable}, {"component", component->name}});
    component->postgres.connection = with_connection_keyword(component->postgres.connection, keyword, value);
  }
  if (!value_of(environment, "DB_PASSWORD").empty() && component->postgres.password.empty()) {
    component->postgres.password = "env:DB_PASSWORD";
  }
  const std::string whole = value_of(environment, "HOLDFAST_CONNECTION");
  if (!whole.empty()) component->postgres.connection = whole;
}

Result<void> apply_environment(StackConfig& config, const EnvironmentLookup& environment) {
  if (!value_of(environment, "BACKUP_ENCRYPTION_KEY").empty()) config.passphrase = "env:BACKUP_ENCRYPTION_KEY";
  apply_database_variables(config, environment);
  const std::string location = value_of(environment, "HOLDFAST_REPOSITORY");
  if (!location.empty()) config.repository = location;
  config.repository_given = !location.empty();
  if (!value_of(environment, "HOLDFAST_PASSPHRASE").empty()) config.passphrase = "env:HOLDFAST_PASSPHRASE";
  if (environment("HOLDFAST_THREADS") != nullptr) {
    config.threads = static_cast<unsigned>(TRY(number_of(environment, "HOLDFAST_THREADS", 0, 256)));
  }
  if (environment("HOLDFAST_COMPRESSION") != nullptr) {
    config.compression_level = TRY(number_of(environment, "HOLDFAST_COMPRESSION", 1, 19));
  }
  return {};
}

std::string percent_encoded(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.') {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

Result<std::string> as_secret_reference(const std::string& reference, const char* from) {
  if (is_secret_reference(reference)) return anchored_reference(reference, "");
  return make_error(ErrorCode::kUsage,
                    "{} must be a reference: file:PATH, env:NAME or exec:COMMAND, not the secret itself", from);
}

std::string with_connection_keyword(const std::string& connection, const std::string& keyword,
                                    const std::string& value) {
  // libpq takes the last of several values of one keyword, in both forms.
  if (connection.find("://") != std::string::npos) {
    const char joint = connection.find('?') == std::string::npos ? '?' : '&';
    return fmt::format("{}{}{}={}", connection, joint, keyword, percent_encoded(value));
  }
  std::string quoted;
  for (const char c : value) {
    if (c == '\'' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return fmt::format("{}{}{}='{}'", connection, connection.empty() ? "" : " ", keyword, quoted);
}

Result<std::string> find_stack_file(FileSystem& fs, const Overrides& overrides, const EnvironmentLookup& environment) {
  if (overrides.config) return *overrides.config;
  const std::string named = value_of(environment, "HOLDFAST_CONFIG");
  if (!named.empty()) return named;
  for (const char* path : {"holdfast.yaml", "/etc/holdfast/holdfast.yaml"}) {
    auto there = exists(fs, path);
    // As with `sudo -u postgres` in a directory of somebody else's: what can't be seen is not there.
    if (!there.ok() && there.error().code() == ErrorCode::kPermission) continue;
    if (TRY(std::move(there))) return std::string(path);
  }
  return std::string();
}

Result<StackConfig> settle_stack(FileSystem& fs, const Overrides& overrides, const EnvironmentLookup& environment) {
  StackConfig config;
  const std::string path = TRY(find_stack_file(fs, overrides, environment));
  if (!path.empty()) config = TRY(load_stack(path));
  config.file_passphrase = config.passphrase;
  TRY(apply_environment(config, environment));
  if (overrides.repository) config.repository = *overrides.repository;
  config.repository_given |= overrides.repository.has_value();
  config.passphrase_given = overrides.passphrase.has_value();
  if (overrides.stack && !path.empty() && config.stack != *overrides.stack) {
    return make_error(ErrorCode::kUsage, "{} is of the stack {}, not of {}", path, config.stack, *overrides.stack)
        .with_hint("leave out --stack, or name the other stack's file; --config '' reads none");
  }
  if (overrides.stack) config.stack = *overrides.stack;
  if (overrides.passphrase) config.passphrase = TRY(as_secret_reference(*overrides.passphrase, "--passphrase"));
  if (overrides.threads) config.threads = *overrides.threads;
  if (overrides.compression_level) config.compression_level = *overrides.compression_level;

  if (path.empty() && config.repository.empty()) {
    if (overrides.config)
      return make_error(ErrorCode::kConfig, "no configuration is read (--config ''), and no repository is named")
          .with_hint("give --repository and --passphrase");
    return make_error(ErrorCode::kConfig,
                      "there is no configuration: neither ./holdfast.yaml nor /etc/holdfast/holdfast.yaml exists")
        .with_hint("run 'holdfast init' to write one, or name it with --config or $HOLDFAST_CONFIG");
  }
  if (config.passphrase.empty()) {
    return make_error(ErrorCode::kConfig, "there is no passphrase for the repository at {}", config.repository)
        .with_hint("give --passphrase file:PATH, or set HOLDFAST_PASSPHRASE");
  }
  if (config.repository.find("://") == std::string::npos) config.repository = absolute_path(config.repository);
  return config;
}

}  // namespace holdfast::recovery
