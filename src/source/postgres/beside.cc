#include "source/postgres/beside.h"

#include "base/subprocess.h"

namespace holdfast::postgres {

const std::string_view kBesideSettings =
    "# Added by holdfast: this cluster was restored beside another. Two must not archive into one log, subscriptions\n"
    "# would take what is meant for the other's, and commits would wait for the other's standbys.\n"
    "# When it takes the other's place: remove these lines, and restart it.\n"
    "archive_mode = 'off'\n"
    "max_logical_replication_workers = '0'\n"
    "synchronous_standby_names = ''\n";

std::string command_to_take_place(const std::string& data_directory) {
  return "sed -i '/^# Added by holdfast: this cluster was restored beside/,/^synchronous_standby_names/d' " +
         shell_quoted(data_directory + "/postgresql.auto.conf");
}

const std::string_view kIsBesideSql =
    "(SELECT count(*) = 3 FROM pg_settings WHERE sourcefile LIKE '%/postgresql.auto.conf' AND (name, setting) IN "
    "(('archive_mode', 'off'), ('max_logical_replication_workers', '0'), ('synchronous_standby_names', '')))";

const std::string_view kStillBeside =
    "the server archives nothing, runs no subscription and waits for no standby, since it was restored beside its "
    "original. If it has taken the original's place, say to it: alter system reset archive_mode; alter system reset "
    "max_logical_replication_workers; alter system reset synchronous_standby_names; and restart it";

}  // namespace holdfast::postgres
