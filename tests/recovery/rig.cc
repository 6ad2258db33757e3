#include "recovery/rig.h"

#include "base/filesystem.h"
#include "servers/wait.h"

namespace holdfast::servers {
namespace {

Result<void> write_for_server(const std::string& path, const std::string& text) {
  CommandOptions command = as_server_user({"sh", "-c", "cat > \"$0\"", path});
  command.input = text;
  TRY(run_command_checked(command));
  return {};
}

}  // namespace

Result<std::unique_ptr<Rig>> Rig::create(const RigOptions& options) {
  auto scratch = TRY(ScratchDirectory::create());
  std::unique_ptr<Rig> rig(new Rig(std::move(scratch), options));
  rig->config_ = rig->scratch_.file("holdfast.yaml");
  auto& settings = rig->options_.postgres.settings;
  settings["wal_keep_size"] = "512MB";
  settings["checkpoint_timeout"] = "30s";
  settings["synchronous_commit"] = "local";
  if (!options.streaming) {
    settings["archive_mode"] = "on";
    settings["archive_command"] =
        fmt::format("{} --config {} wal push --component db %p", holdfast_program(), rig->config_);
  }
  rig->server_ = TRY(PrivatePostgres::create(rig->scratch_.file("data"), rig->options_.postgres));
  TRY(write_for_server(rig->scratch_.file("passphrase"), "a passphrase for tests\n"));
  TRY(rig->write_config("auto"));
  TRY(rig->run({"init"}));
  TRY(rig->server_->start());
  TRY(rig->follow_wal());
  return rig;
}

Result<void> Rig::write_config(const std::string& method) {
  return write_for_server(config_, fmt::format(R"(stack: test
repository:
  location: {0}/repository
  passphrase: file:{0}/passphrase
  compression: 1
components:
  - name: db
    kind: postgres
    connection: {1}
    method: {2}
    slot: holdfast_db
{3})",
                                               scratch_.path(), server_->conninfo(), method,
                                               fmt::format(fmt::runtime(options_.more_components), scratch_.path())));
}

std::vector<std::string> Rig::holdfast(std::vector<std::string> words) const {
  std::vector<std::string> argv = {"--config", config_};
  argv.insert(argv.end(), words.begin(), words.end());
  return argv;
}

Result<void> Rig::run(const std::vector<std::string>& words) {
  const auto outcome = TRY(run_holdfast(holdfast(words)));
  if (outcome.exit_status == 0) return {};
  return make_error(ErrorCode::kSubprocess, "holdfast {} ended with {}: {}{}", fmt::join(words, " "),
                    outcome.exit_status, outcome.output, outcome.error_output);
}

Result<std::string> Rig::backup(bool full, const std::string& method) {
  TRY(write_config(method));
  const auto document = TRY(run_holdfast_json(holdfast({"backup", full ? "--full" : "--prove"})));
  try {
    const nlohmann::json& snapshot = document.at("point").at("components").at(0);
    const auto known_by = snapshot.at("changes_known_by").get<std::string>();
    return snapshot.at("incremental").get<bool>() ? known_by : "full";
  } catch (const nlohmann::json::exception& problem) {
    return make_error(ErrorCode::kInvalidData, "backup --json: {}", problem.what());
  }
}

Result<std::unique_ptr<BackgroundProgram>> Rig::start_backup(bool full, const std::string& method) {
  TRY(write_config(method));
  std::vector<std::string> argv = {holdfast_program(), "--config", config_, "backup"};
  argv.emplace_back(full ? "--full" : "--prove");
  return BackgroundProgram::start(argv, scratch_.file("backup.log"));
}

Result<void> Rig::create_tablespace(const std::string& name) {
  const std::string directory = TRY(scratch_.make(name));
  TRY(server_->exec(fmt::format("create tablespace {} location '{}'", name, directory)));
  tablespaces_.push_back(directory);
  return {};
}

Result<std::unique_ptr<PrivatePostgres>> Rig::restore_aside(const std::vector<std::string>& target) {
  const std::string directory = scratch_.file(fmt::format("aside{}", restored_++));
  std::vector<std::string> words = {"restore", "--component", "db", "--to", directory};
  for (const std::string& tablespace : tablespaces_) {
    words.push_back("--tablespace");
    words.push_back(fmt::format("{}={}{}", tablespace, directory, tablespace.substr(tablespace.rfind('/') + 1)));
  }
  words.insert(words.end(), target.begin(), target.end());
  TRY(run(words));
  PostgresOptions options = options_.postgres;
  options.settings["archive_mode"] = "off";
  return PrivatePostgres::adopt(directory, options);
}

Result<void> Rig::remove_aside(std::unique_ptr<PrivatePostgres> server) {
  const std::string directory = server->data_directory();
  const std::string socket_directory = server->socket_directory();
  server->kill();
  server.reset();
  FileSystem& fs = real_file_system();
  for (const std::string& tablespace : tablespaces_) {
    TRY(remove_tree(fs, directory + tablespace.substr(tablespace.rfind('/') + 1)));
  }
  TRY(remove_tree(fs, directory));
  return remove_tree(fs, socket_directory);
}

Result<void> Rig::restore_in_place(const std::vector<std::string>& target) {
  CHECK_MSG(!server_->running(), "a running cluster is not restored over");
  std::vector<std::string> words = {"restore", "--component", "db", "--delta"};
  words.insert(words.end(), target.begin(), target.end());
  return run(words);
}

Result<void> Rig::follow_wal() {
  if (!options_.streaming || (receiver_ && receiver_->running())) return {};
  receiver_ = TRY(BackgroundProgram::start({holdfast_program(), "--config", config_, "wal", "receive"},
                                           scratch_.file("receiver.log")));
  return {};
}

Result<void> Rig::stop_following() {
  if (receiver_) TRY(receiver_->stop());
  receiver_.reset();
  return {};
}

Result<bool> Rig::all_stored(postgres::ServerSession& session, const std::string& lsn, const std::string& segment) {
  if (!options_.streaming) {
    const std::string archived =
        TRY(session.value("select coalesce(max(last_archived_wal), '') from pg_catalog.pg_stat_archiver"));
    return archived.substr(0, 24) >= segment;
  }
  TRY(follow_wal());
  return TRY(session.value("select count(*) from pg_catalog.pg_stat_replication where flush_lsn >= $1::pg_lsn",
                           {lsn})) != "0";
}

Result<void> Rig::wait_until_stored() {
  auto session = TRY(server_->connect());
  // A commit after whatever the caller wants to find again: recovery needs a later record to stop at.
  TRY(session->exec("create table if not exists public.later (i int); insert into public.later values (1)"));
  const std::string lsn = TRY(session->value("select pg_current_wal_insert_lsn()"));
  const std::string segment = TRY(session->value("select pg_walfile_name($1::pg_lsn)", {lsn}));
  if (!options_.streaming) TRY(session->value("select pg_switch_wal()"));
  std::optional<Error> failure;
  const bool stored = wait_until(
      [&] {
        auto all = all_stored(*session, lsn, segment);
        if (all.ok()) return all.value();
        failure = std::move(all).error();
        return true;
      },
      Duration::seconds(300));
  if (failure) return std::move(*failure);
  if (stored) return {};
  return make_error(ErrorCode::kTimeout, "WAL until {} ({}) is not stored after five minutes: {} {}", lsn, segment,
                    receiver_ ? receiver_->output() : "", server_->log_tail());
}

}  // namespace holdfast::servers
