#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "servers/private_postgres.h"
#include "servers/program.h"
#include "servers/scratch.h"

namespace holdfast::servers {

// How the cluster of a rig is made and protected.
struct RigOptions {
  PostgresOptions postgres;
  bool streaming = true;  // WAL by `wal receive`; otherwise by archive_command
  // Beside the cluster, in the words of holdfast.yaml; {0} stands for the scratch directory.
  std::string more_components = {};
};

// One cluster, one repository, and holdfast protecting the first in the second:
// everything a recovery test needs, in one scratch directory. Not thread-safe.
class Rig {
 public:
  // Makes the cluster and the repository; the server runs and its WAL is followed.
  static Result<std::unique_ptr<Rig>> create(const RigOptions& options);

  PrivatePostgres& server() { return *server_; }
  const std::string& config() const { return config_; }
  const std::string& scratch() const { return scratch_.path(); }

  // Command line of holdfast with this rig's configuration.
  std::vector<std::string> holdfast(std::vector<std::string> words) const;
  Result<void> run(const std::vector<std::string>& words);

  // Incrementals prove what they leave unread. Returns what told them what has changed:
  // "wal" or "pages"; or "full".
  Result<std::string> backup(bool full, const std::string& method);
  // The same in the background, to work meanwhile.
  Result<std::unique_ptr<BackgroundProgram>> start_backup(bool full, const std::string& method);

  // A tablespace that the server may use; its directory is below the scratch directory.
  Result<void> create_tablespace(const std::string& name);

  // Restores beside the cluster, tablespaces too, and gives the server, not started.
  Result<std::unique_ptr<PrivatePostgres>> restore_aside(const std::vector<std::string>& target);
  // Restores over the stopped cluster.
  Result<void> restore_in_place(const std::vector<std::string>& target);
  Result<void> remove_aside(std::unique_ptr<PrivatePostgres> server);

  // Follows the WAL again, after the server was started; a no-op when it is followed.
  Result<void> follow_wal();
  Result<void> stop_following();
  // Returns when all WAL that the server has written until now is in the repository.
  Result<void> wait_until_stored();

 private:
  Rig(ScratchDirectory scratch, RigOptions options) : scratch_(std::move(scratch)), options_(std::move(options)) {}
  Result<void> write_config(const std::string& method);
  Result<bool> all_stored(postgres::ServerSession& session, const std::string& lsn, const std::string& segment);

  ScratchDirectory scratch_;
  RigOptions options_;
  std::string config_;
  std::unique_ptr<PrivatePostgres> server_;
  std::unique_ptr<BackgroundProgram> receiver_;
  std::vector<std::string> tablespaces_;
  int restored_ = 0;
};

}  // namespace holdfast::servers
