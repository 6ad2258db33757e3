#include "recovery/server_account.h"

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

#include "base/accounts.h"
#include "base/log.h"
#include "base/places.h"
#include "base/subprocess.h"
#include "base/units.h"
#include "recovery/cluster.h"
#include "source/postgres/private_server.h"

namespace holdfast::recovery {

namespace {

constexpr Duration kTryDeadline = Duration::seconds(60);
constexpr uint64_t kSpareBytes = 1 << 20;

// As PostgreSQL does: %f is the segment's name, %p where it goes, %% a percent sign.
std::string filled_in(const std::string& command, const std::string& name, const std::string& path) {
  std::string out;
  for (size_t i = 0; i < command.size(); i++) {
    const char next = command[i] == '%' && i + 1 < command.size() ? command[i + 1] : '\0';
    if (next == 'f') out += name;
    if (next == 'p') out += path;
    if (next == '%') out += '%';
    if (next == 'f' || next == 'p' || next == '%') {
      i++;
    } else {
      out += command[i];
    }
  }
  return out;
}

// The message of a holdfast that failed, or whatever the shell said; one line.
std::string complaint(const CommandOutcome& outcome) {
  std::string_view text = outcome.error_output;
  if (text.starts_with("holdfast: ")) text.remove_prefix(10);
  text = text.substr(0, text.find('\n'));
  return text.empty() ? fmt::format("exit status {}", outcome.exit_status) : std::string(text);
}

Result<CommandOutcome> try_command(const StackConfig& stack, const ComponentPlan& plan, const ClusterFacts& facts,
                                   const std::string& directory, const postgres::ServerUser& server) {
  // Of a segment in which a timeline begins the log may have but the newer name.
  const std::string name = postgres::segment_name(facts.timeline, facts.start, facts.segment_bytes);
  CommandOptions command;
  command.argv = {"/bin/sh", "-c",
                  filled_in(plan.restore_command, name, join_path(directory, "segment")) + " --look-ahead 0"};
  command.working_directory = directory;
  // We may start the server ourselves, with our variables; another account lacks them.
  command.with_secret_variables = !server.uid || !restore_command_variable(stack).empty();
  command.deadline = kTryDeadline;
  command.uid = server.uid;
  command.gid = server.gid;
  return run_command(command);
}

// A directory of ours with room for a segment, where the account gets to: root's TMPDIR may be closed to
// it, and /tmp full. "" where there is none.
std::string make_place_to_try(FileSystem& fs, const postgres::ServerUser& server, const std::string& target,
                              uint64_t segment_bytes) {
  const char* temporary = ::getenv("TMPDIR");
  for (const std::string& place : {std::string(temporary ? temporary : ""), std::string("/tmp"),
                                   std::string("/var/tmp"), existing_part(fs, parent_path(target))}) {
    if (place.empty() || !postgres::check_way_into(fs, server, place).ok()) continue;
    const auto free = fs.free_bytes(place);
    if (!free.ok() || *free < segment_bytes + kSpareBytes) continue;
    std::string directory = join_path(place, "holdfast-try-XXXXXX");
    if (::mkdtemp(directory.data())) return directory;
  }
  return "";
}

}  // namespace

Result<std::string> check_server_account(FileSystem& fs, const StackConfig& stack, const ComponentPlan& plan,
                                         const std::vector<std::string>& places, std::optional<uint32_t> uid,
                                         std::optional<uint32_t> gid) {
  const uid_t account = uid.value_or(::geteuid());
  if (plan.restore_command.empty() || account == 0) return "";
  const bool is_ours = account == ::geteuid();
  postgres::ServerUser server;
  if (!is_ours) server = {uid, gid};
  for (const std::string& place : places) {
    if (auto way = postgres::check_way_into(fs, server, place); !way.ok())
      return std::move(way).error().with_hint(
          "let it through (chmod o+x on that directory), or restore to another place");
  }
  const ClusterFacts facts = TRY(cluster_facts(plan.snapshot));
  const std::string directory = make_place_to_try(fs, server, plan.to, facts.segment_bytes);
  if (directory.empty())
    return fmt::format("its restore_command was not tried: nowhere is room for a WAL segment ({}) that '{}' gets to",
                       format_bytes(facts.segment_bytes), account_label(account));
  auto outcome = [&]() -> Result<CommandOutcome> {
    if (server.uid && ::chown(directory.c_str(), *server.uid, *server.gid) != 0)
      return Error::from_errno(errno, directory);
    return try_command(stack, plan, facts, directory, server);
  }();
  if (auto removed = remove_tree(fs, directory); !removed.ok())
    log_warn("recovery.try.not_removed", {{"path", directory}, {"error", removed.error().text()}});
  // 1: the segment is proven to be stored under another timeline's name alone.
  if (outcome.ok() && (outcome.value().exit_status == 0 || outcome.value().exit_status == 1)) return "";
  const std::string problem = outcome.ok() ? complaint(outcome.value()) : outcome.error().text();
  if (is_ours)
    return fmt::format(
        "its restore_command, run as the server will run it, in a directory of its own, can't fetch WAL: {}", problem);
  return make_error(ErrorCode::kPermission, "the server will run as '{}', which can't fetch its WAL: {}",
                    account_label(account), problem)
      .with_hint(fmt::format("let that account run holdfast and read its configuration, the passphrase and the "
                             "repository (for example: setfacl -R -m u:{}:rX DIR), or choose another with --owner",
                             account_label(account)));
}

}  // namespace holdfast::recovery
