#include "base/secret.h"

#include <cstdlib>
#include <cstring>

#include "base/filesystem.h"
#include "base/secret_variables.h"
#include "base/subprocess.h"

namespace holdfast {

namespace {

constexpr uint64_t kSecretLimitBytes = 64 << 10;
constexpr std::string_view kFile = "file:";

void wipe(Bytes& bytes) {
  if (bytes.capacity()) explicit_bzero(bytes.data(), bytes.capacity());
}

void drop_one_newline(Bytes& bytes) {
  if (!bytes.empty() && bytes[bytes.size() - 1] == '\n') bytes.resize(bytes.size() - 1);
}

Result<Secret> from_environment(const std::string& name) {
  note_secret_variable(name);
  const char* value = std::getenv(name.c_str());
  if (!value) return make_error(ErrorCode::kConfig, "the environment variable {} is not set", name);
  return Secret::from_text(value);
}

Result<Secret> from_file(const std::string& path) {
  Bytes content = TRY(read_file(real_file_system(), path, kSecretLimitBytes));
  drop_one_newline(content);
  return Secret(std::move(content));
}

Result<Secret> from_command(const std::string& command) {
  CommandOptions options;
  options.argv = {"/bin/sh", "-c", command};
  options.deadline = Duration::seconds(30);
  options.output_limit_bytes = kSecretLimitBytes;
  CommandOutcome outcome = TRY(run_command_checked(options));
  Bytes content = Bytes::copy_of(as_bytes(outcome.output));
  explicit_bzero(outcome.output.data(), outcome.output.size());
  drop_one_newline(content);
  return Secret(std::move(content));
}

}  // namespace

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this == &other) return *this;
  wipe(bytes_);
  bytes_ = std::move(other.bytes_);
  return *this;
}

Secret::~Secret() { wipe(bytes_); }

bool is_secret_reference(std::string_view text) {
  return text.starts_with("env:") || text.starts_with(kFile) || text.starts_with("exec:");
}

std::string anchored_reference(const std::string& reference, const std::string& directory) {
  if (!reference.starts_with(kFile)) return reference;
  const std::string path = reference.substr(kFile.size());
  return std::string(kFile) +
         absolute_path(path.starts_with('/') || directory.empty() ? path : join_path(directory, path));
}

Result<Secret> resolve_secret(std::string_view reference) {
  const size_t colon = reference.find(':');
  const std::string_view scheme = reference.substr(0, colon == std::string_view::npos ? 0 : colon);
  const std::string rest(colon == std::string_view::npos ? "" : reference.substr(colon + 1));
  Result<Secret> secret = Error(ErrorCode::kConfig, "");
  if (scheme == "env") {
    secret = from_environment(rest);
  } else if (scheme == "file") {
    secret = from_file(rest);
  } else if (scheme == "exec") {
    secret = from_command(rest);
  } else {
    // The text itself may be the secret: it must not be repeated.
    return make_error(ErrorCode::kConfig, "a secret was given where a reference to one is wanted")
        .with_hint("write env:NAME, file:PATH or exec:COMMAND");
  }
  if (secret.ok() && secret->empty()) secret = make_error(ErrorCode::kConfig, "it is empty");
  if (secret.ok()) return secret;
  // Whatever it was: the reference leads to no secret.
  return std::move(secret).error().with_code(ErrorCode::kConfig).with_context(fmt::format("secret {}", reference));
}

}  // namespace holdfast
