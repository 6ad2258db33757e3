#include "engine/variables.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/bytes.h"
#include "base/percent.h"
#include "base/secret.h"
#include "base/utf8.h"
#include "crypto/digest.h"
#include "engine/launcher.h"
#include "runbook/hazards.h"

namespace holdfast::engine {
namespace {

using Kind = runbook::Input::Kind;

constexpr size_t kSalt_bytes = 16;
constexpr size_t kShortestSecret_bytes = 4;

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::isalnum(byte) != 0 || c == '_' || c == '-' || c == '.' || c == ' ';
  };
  return !text.empty() && std::all_of(text.begin(), text.end(), fits);
}

const std::string* value_of(const Environment& environment, const std::string& name) {
  const auto found =
      std::find_if(environment.begin(), environment.end(), [&](const auto& entry) { return entry.first == name; });
  return found == environment.end() ? nullptr : &found->second;
}

std::string salted(const std::string& salt, const std::string& value) {
  return to_hex(crypto::sha256(as_bytes(salt + value)));
}

// postgres://app:PASSWORD@db/shop, and each of several.
std::vector<std::string_view> passwords_of_urls(std::string_view text) {
  std::vector<std::string_view> passwords;
  for (size_t place = text.find("://"); place != std::string_view::npos; place = text.find("://", place + 3)) {
    const std::string_view rest = text.substr(place + 3);
    const std::string_view authority = rest.substr(0, std::min(rest.find_first_of("/?# \t\n"), rest.size()));
    const size_t at = authority.rfind('@'), colon = authority.find(':');
    if (at != std::string_view::npos && colon < at) passwords.push_back(authority.substr(colon + 1, at - colon - 1));
  }
  return passwords;
}

// A password that stands there itself, and no "$DB_PASSWORD" or "<password>".
bool has_password(std::string_view value) {
  const auto passwords = passwords_of_urls(value);
  return std::any_of(passwords.begin(), passwords.end(), [](std::string_view password) {
    return !password.empty() && password.front() != '$' && password.front() != '<';
  });
}

// "$DB_PASSWORD" for <db-password>.
std::string variable_for(const runbook::Input& input) {
  std::string name = "\"$";
  for (const char c : input.name) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name + "\"";
}

}  // namespace

Result<void> set_variable(Variables& variables, const std::string& assignment) {
  const size_t equals = assignment.find('=');
  const std::string name = assignment.substr(0, equals);
  if (equals == std::string::npos || !is_name(name)) {
    return make_error(ErrorCode::kUsage, "--set takes NAME=VALUE")
        .with_hint("for a secret: NAME=env:VARIABLE, NAME=file:PATH or NAME=exec:COMMAND");
  }
  const std::string value = assignment.substr(equals + 1);
  if (!is_utf8(value)) {
    return make_error(ErrorCode::kUsage, "the value of {} is not UTF-8, and the run's journal holds nothing else", name)
        .with_hint(fmt::format("give it by reference: {0}=file:PATH, {0}=env:VARIABLE or {0}=exec:COMMAND", name));
  }
  variables.plain.erase(name);
  variables.secret.erase(name);
  (is_secret_reference(value) ? variables.secret : variables.plain)[name] = value;
  return {};
}

Result<void> settle_secrets(Variables& variables, const runbook::Plan& plan, const Environment& environment) {
  for (const runbook::Input& input : plan.inputs) {
    const bool for_secret = input.secret && variables.has(input.name);
    if (input.kind == Kind::kPlaceholder && (for_secret || variables.secret.contains(input.name))) {
      return make_error(ErrorCode::kRefused, "the placeholder {} would put a secret into the text of a script",
                        input.text)
          .with_hint("let the document use a variable there: " + variable_for(input));
    }
    const bool inherited = value_of(environment, input.name) != nullptr;
    const bool ours = input.secret && input.kind == Kind::kVariable;
    if (ours && inherited && !variables.has(input.name)) variables.secret[input.name] = "env:" + input.name;
  }
  for (const auto& [name, value] : variables.plain) {
    const bool secret = runbook::is_secret_name(name);
    if (!secret && !has_password(value)) continue;
    return make_error(ErrorCode::kRefused, "{} is a secret{}: its value may not stand in a command line or a document",
                      name, secret ? "" : ", for the password in it")
        .with_hint(fmt::format("--set {0}=env:{0}, or file:PATH, or exec:COMMAND", name));
  }
  return {};
}

Json inherited_values(const runbook::Plan& plan, const Variables& variables, const Environment& environment,
                      Random& random) {
  std::array<uint8_t, kSalt_bytes> salt{};
  random.fill(salt);
  const std::string salt_hex = to_hex(salt);
  Json values = Json::object();
  for (const runbook::Input& input : plan.inputs) {
    const bool given = std::find(kGivenVariables.begin(), kGivenVariables.end(), input.name) != kGivenVariables.end();
    // The journal has the stack's own place for these.
    const bool of_stack = input.name == "HOLDFAST_CONFIG" || input.name == "HOLDFAST_REPOSITORY";
    if (input.kind != Kind::kVariable || given || of_stack || variables.has(input.name)) continue;
    const std::string* value = value_of(environment, input.name);
    values[input.name] = value == nullptr ? Json() : Json(salted(salt_hex, *value));
  }
  return {{"salt", salt_hex}, {"values", values}};
}

Result<void> check_inherited(const Json& inherited, const Environment& environment) {
  if (!inherited.is_object() || !inherited.contains("values")) return {};
  const std::string salt = inherited.value("salt", "");
  for (const auto& [name, before] : inherited.at("values").items()) {
    const std::string* value = value_of(environment, name);
    const Json now = value == nullptr ? Json() : Json(salted(salt, *value));
    if (now == before) continue;
    return make_error(ErrorCode::kRefused, "the environment's {} is not what it was when the run began", name)
        .with_hint(before.is_null() ? "it was not set: unset it, or begin a new run"
                                    : "set it as it was, or begin a new run");
  }
  return {};
}

std::vector<NamedSecret> secrets_in(const Environment& environment) {
  std::vector<NamedSecret> found;
  const auto add = [&](const std::string& name, std::string_view value) {
    if (value.size() >= kShortestSecret_bytes) found.push_back({name, Secret::from_text(std::string(value))});
  };
  for (const auto& [name, value] : environment) {
    if (runbook::is_secret_name(name)) add(name, value);
    for (const std::string_view password : passwords_of_urls(value)) {
      add("password of " + name, password);
      // As programs print it that have taken the URL apart.
      const std::string decoded = percent_decoded(password);
      if (decoded != password) add("password of " + name, decoded);
    }
  }
  return found;
}

void take_document_values(Variables& variables, const runbook::Plan& plan) {
  for (const runbook::Input& input : plan.inputs) {
    const bool said = input.kind == runbook::Input::Kind::kVariable && input.known && !input.value.empty();
    if (said && !variables.has(input.name)) variables.plain[input.name] = input.value;
  }
}

Result<std::vector<NamedSecret>> resolve_secrets(const Variables& variables) {
  std::vector<NamedSecret> secrets;
  for (const auto& [name, reference] : variables.secret) {
    Secret value = TRY_CONTEXT(resolve_secret(reference), "variable {}", name);
    secrets.push_back({name, std::move(value)});
    if (secrets.back().value.empty()) return make_error(ErrorCode::kUsage, "variable {}: {} is empty", name, reference);
  }
  return secrets;
}

}  // namespace holdfast::engine
