#include "recovery/cluster.h"

#include <charconv>
#include <filesystem>
#include <optional>

#include "base/secret.h"
#include "base/subprocess.h"
#include "source/postgres/snapshot_source.h"

namespace holdfast::recovery {

namespace {

constexpr std::string_view kVariable = "env:";

// PostgreSQL replaces %f and %p, and takes %% for a percent sign.
std::string quoted(const std::string& text) {
  std::string out;
  for (const char c : shell_quoted(text)) out += c == '%' ? "%%" : std::string(1, c);
  return out;
}

// The program that runs now: a restored server must not depend on anybody's PATH.
std::string own_program() {
  std::error_code problem;
  const auto path = std::filesystem::read_symlink("/proc/self/exe", problem);
  return problem ? "holdfast" : path.string();
}

// The reference that restore_command names; "" where it leaves that to the file.
std::string named_passphrase(const StackConfig& stack) {
  return stack.path.empty() || stack.passphrase_given ? stack.passphrase : "";
}

}  // namespace

Result<ClusterFacts> cluster_facts(const repo::Snapshot& snapshot) {
  const auto source = TRY_CONTEXT(postgres::snapshot_source(snapshot), "snapshot of component {}", snapshot.component);
  ClusterFacts facts;
  facts.system_id = source.system_id;
  facts.segment_bytes = source.segment_bytes;
  facts.major = source.major;
  facts.timeline = source.timeline;
  facts.start = source.start;
  facts.stop = source.stop;
  facts.data_directory = source.data_directory;
  return facts;
}

Result<postgres::Connection> connection_of(const ComponentConfig& component) {
  postgres::Connection connection;
  connection.conninfo = component.postgres.connection;
  if (!component.postgres.password.empty()) {
    connection.password =
        TRY_CONTEXT(resolve_secret(component.postgres.password), "password of component {}", component.name);
  }
  return connection;
}

Result<std::unique_ptr<postgres::WalArchive>> open_archive(Workspace& workspace, const std::string& component,
                                                           uint64_t system_id, uint64_t segment_bytes) {
  postgres::WalArchive::Identity identity;
  identity.component = component;
  identity.system_id = system_id;
  identity.segment_bytes = segment_bytes;
  return postgres::WalArchive::open(workspace.repository(), identity, workspace.stack().compression_level);
}

std::optional<StreamName> parse_stream_name(const std::string& stream) {
  const size_t dot = stream.rfind('.');
  if (dot == std::string::npos || dot == 0) return std::nullopt;
  StreamName name;
  name.component = stream.substr(0, dot);
  const char* begin = stream.data() + dot + 1;
  const char* end = stream.data() + stream.size();
  const auto [stopped, problem] = std::from_chars(begin, end, name.system_id);
  if (problem != std::errc() || stopped != end) return std::nullopt;
  return name;
}

std::string restore_command(const StackConfig& stack, const std::string& component, const ClusterFacts& facts) {
  std::string command = quoted(own_program());
  command += " --config " + quoted(stack.path);  // an empty one: no file is looked for
  if (stack.path.empty() || stack.repository_given) command += " --repository " + quoted(stack.repository);
  if (const std::string named = named_passphrase(stack); !named.empty()) command += " --passphrase " + quoted(named);
  return command + fmt::format(" wal get --component {} --system-id {} --segment-size {} \"%f\" \"%p\"", component,
                               facts.system_id, facts.segment_bytes);
}

std::string restore_command_variable(const StackConfig& stack) {
  const std::string named = named_passphrase(stack);
  return named.starts_with(kVariable) ? named.substr(kVariable.size()) : "";
}

std::string restore_command_note(const StackConfig& stack) {
  if (!stack.passphrase.starts_with(kVariable)) return "";
  const std::string variable = stack.passphrase.substr(kVariable.size());
  if (!restore_command_variable(stack).empty())
    return fmt::format("its environment must hold {}, for its restore_command", variable);
  return fmt::format("its restore_command takes the passphrase from {} ({}) where {} is not in its environment",
                     stack.file_passphrase, stack.path, variable);
}

}  // namespace holdfast::recovery
