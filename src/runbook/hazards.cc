#include "runbook/hazards.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "runbook/phrases.h"
#include "runbook/shell/parser.h"
#include "runbook/step_builder.h"

namespace holdfast::runbook {

using shell::Invocation;

namespace {

// A program, the operands that it begins with, and a flag that it must have: what that does.
struct Known {
  std::string_view program;
  std::string_view operands;  // separated by blanks
  std::string_view flag;      // "" : none needed
  HazardKind kind;
  std::string_view reason;
};

constexpr Known kKnown[] = {
    {"docker", "system prune", "", HazardKind::kDestroys, "deletes stopped containers and with them their logs"},
    {"docker", "system prune", "--volumes", HazardKind::kIrreversible, "deletes volumes and the data in them"},
    {"docker", "volume prune", "", HazardKind::kDestroys, "deletes every volume that no container uses"},
    {"docker", "volume prune", "", HazardKind::kIrreversible, "has no undo"},
    {"docker", "volume rm", "", HazardKind::kDestroys, "deletes a volume and the data in it"},
    {"docker", "volume rm", "", HazardKind::kIrreversible, "has no undo"},
    {"docker", "rm", "", HazardKind::kDestroys, "deletes a container and its logs"},
    {"docker", "container prune", "", HazardKind::kDestroys, "deletes stopped containers and their logs"},
    {"docker", "stop", "", HazardKind::kStopsService, "stops a container"},
    {"docker", "kill", "", HazardKind::kStopsService, "kills a container"},
    {"docker-compose", "down", "", HazardKind::kStopsService, "stops and removes all services"},
    {"docker-compose", "down", "-v", HazardKind::kDestroys, "deletes the volumes of all services"},
    {"docker-compose", "down", "--volumes", HazardKind::kDestroys, "deletes the volumes of all services"},
    {"docker-compose", "stop", "", HazardKind::kStopsService, "stops services"},
    {"docker-compose", "kill", "", HazardKind::kStopsService, "kills services"},
    {"docker-compose", "rm", "", HazardKind::kDestroys, "deletes containers and their logs"},
    {"systemctl", "stop", "", HazardKind::kStopsService, "stops a service"},
    {"pg_ctl", "stop", "", HazardKind::kStopsService, "stops the server"},
    {"pg_ctl", "promote", "", HazardKind::kPromotes, "makes a standby the primary"},
    {"patronictl", "failover", "", HazardKind::kPromotes, "makes a standby the primary"},
    {"patronictl", "switchover", "", HazardKind::kPromotes, "makes a standby the primary"},
    {"repmgr", "standby promote", "", HazardKind::kPromotes, "makes a standby the primary"},
    {"aws", "rds promote-read-replica", "", HazardKind::kPromotes, "makes a replica the primary"},
    {"aws", "rds failover-db-cluster", "", HazardKind::kPromotes, "makes a replica the primary"},
    {"gcloud", "sql instances promote-replica", "", HazardKind::kPromotes, "makes a replica the primary"},
    {"aws", "route53 change-resource-record-sets", "", HazardKind::kSwitchesTraffic, "changes DNS"},
    {"gcloud", "dns record-sets", "", HazardKind::kSwitchesTraffic, "changes DNS"},
    {"az", "network dns", "", HazardKind::kSwitchesTraffic, "changes DNS"},
    {"kubectl", "patch ingress", "", HazardKind::kSwitchesTraffic, "changes where traffic goes"},
    {"kubectl", "patch service", "", HazardKind::kSwitchesTraffic, "changes where traffic goes"},
    {"kubectl", "edit", "", HazardKind::kInteractive, "opens an editor"},
    {"kubectl", "drain", "", HazardKind::kStopsService, "moves all work off a node"},
    {"kubectl", "create secret", "", HazardKind::kRotatesSecret, "sets secrets"},
    {"kubectl", "port-forward", "", HazardKind::kNeverEnds, "runs until it is interrupted"},
    {"kubectl", "proxy", "", HazardKind::kNeverEnds, "runs until it is interrupted"},
    {"kubectl", "logs", "-f", HazardKind::kNeverEnds, "follows a log until it is interrupted"},
    {"kubectl", "logs", "--follow", HazardKind::kNeverEnds, "follows a log until it is interrupted"},
    {"kubectl", "get", "-w", HazardKind::kNeverEnds, "watches until it is interrupted"},
    {"kubectl", "replace", "--force", HazardKind::kDestroys, "deletes what it replaces"},
    {"docker", "logs", "-f", HazardKind::kNeverEnds, "follows a log until it is interrupted"},
    {"docker", "logs", "--follow", HazardKind::kNeverEnds, "follows a log until it is interrupted"},
    {"docker-compose", "logs", "-f", HazardKind::kNeverEnds, "follows a log until it is interrupted"},
    {"docker-compose", "logs", "--follow", HazardKind::kNeverEnds, "follows a log until it is interrupted"},
    {"journalctl", "", "-f", HazardKind::kNeverEnds, "follows a log until it is interrupted"},
    {"journalctl", "", "--vacuum-time", HazardKind::kDestroys, "deletes logs"},
    {"journalctl", "", "--vacuum-size", HazardKind::kDestroys, "deletes logs"},
    {"tail", "", "-f", HazardKind::kNeverEnds, "follows a file until it is interrupted"},
    {"tail", "", "-F", HazardKind::kNeverEnds, "follows a file until it is interrupted"},
    {"watch", "", "", HazardKind::kNeverEnds, "repeats until it is interrupted"},
    {"top", "", "", HazardKind::kInteractive, "takes the terminal"},
    {"htop", "", "", HazardKind::kInteractive, "takes the terminal"},
    {"less", "", "", HazardKind::kInteractive, "takes the terminal"},
    {"vi", "", "", HazardKind::kInteractive, "opens an editor"},
    {"vim", "", "", HazardKind::kInteractive, "opens an editor"},
    {"nano", "", "", HazardKind::kInteractive, "opens an editor"},
    {"emacs", "", "", HazardKind::kInteractive, "opens an editor"},
    {"visudo", "", "", HazardKind::kInteractive, "opens an editor"},
    {"passwd", "", "", HazardKind::kInteractive, "asks for a password"},
    {"crontab", "", "-e", HazardKind::kInteractive, "opens an editor"},
    {"aws", "configure", "", HazardKind::kInteractive, "asks questions"},
    {"dropdb", "", "", HazardKind::kDestroys, "deletes a database"},
    {"dropdb", "", "", HazardKind::kIrreversible, "has no undo"},
    {"mkfs", "", "", HazardKind::kDestroys, "makes a new file system over the old one"},
    {"wipefs", "", "", HazardKind::kDestroys, "erases a file system's marks"},
    {"zfs", "destroy", "", HazardKind::kDestroys, "deletes a data set"},
    {"zpool", "destroy", "", HazardKind::kDestroys, "deletes a pool"},
    {"lvremove", "", "", HazardKind::kDestroys, "deletes a volume"},
    {"terraform", "destroy", "", HazardKind::kDestroys, "deletes infrastructure and the data on it"},
    {"terraform", "destroy", "", HazardKind::kIrreversible, "has no undo"},
    {"terraform", "apply", "-replace", HazardKind::kDestroys, "deletes and makes a resource again"},
    {"aws", "s3 rm", "", HazardKind::kDestroys, "deletes objects"},
    {"aws", "s3 rb", "", HazardKind::kDestroys, "deletes a bucket"},
    {"aws", "s3 sync", "--delete", HazardKind::kDestroys, "deletes what the source lacks"},
    {"aws", "rds delete-db-instance", "", HazardKind::kDestroys, "deletes a database server"},
    {"git", "reset", "--hard", HazardKind::kDestroys, "discards changes that were not committed"},
    {"git", "clean", "-f", HazardKind::kDestroys, "deletes files that git does not know"},
    {"celery", "purge", "", HazardKind::kDestroys, "discards queued tasks"},
    {"pg_restore", "", "", HazardKind::kWritesData, "loads a dump"},
    {"pg_restore", "", "--clean", HazardKind::kDestroys, "drops what it is about to restore"},
    {"pg_restore", "", "-c", HazardKind::kDestroys, "drops what it is about to restore"},
    {"pg_resetwal", "", "", HazardKind::kDestroys, "discards the write-ahead log"},
    {"velero", "restore create", "", HazardKind::kWritesData, "writes into the cluster"},
    {"restic", "restore", "", HazardKind::kWritesData, "writes files"},
    {"holdfast", "restore", "", HazardKind::kRestoresAside, "restores into an empty place"},
    {"holdfast", "restore", "--delta", HazardKind::kWritesData, "overwrites what the target holds"},
    {"holdfast", "restore", "--replace", HazardKind::kWritesData,
     "takes the place of a database or table that is there"},
    {"mongorestore", "", "", HazardKind::kWritesData, "loads a dump"},
    {"mongorestore", "", "--drop", HazardKind::kDestroys, "drops collections before it loads them"},
    {"vault", "operator raft snapshot restore", "", HazardKind::kDestroys, "replaces all that is stored"},
    {"age-keygen", "", "-o", HazardKind::kRotatesSecret, "makes a new key"},
    {"aws", "secretsmanager put-secret-value", "", HazardKind::kRotatesSecret, "sets a secret"},
    {"aws", "rds restore-db-instance-from-db-snapshot", "", HazardKind::kRestoresAside,
     "makes a database server of a snapshot"},
    {"aws", "rds restore-db-instance-to-point-in-time", "", HazardKind::kRestoresAside,
     "makes a database server of a snapshot"},
};

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, blank));
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return words;
}

std::string shown(const Invocation& invocation, const Known& known) {
  std::string text = invocation.program;
  if (!known.operands.empty()) text += " " + std::string(known.operands);
  if (!known.flag.empty()) text += " " + std::string(known.flag);
  return text;
}

// Says what would be done, and does nothing.
bool rehearses(const Invocation& invocation) {
  const std::string& program = invocation.program;
  if (invocation.has("--dry-run") || invocation.has("--dryrun"))
    return program != "kubectl" && program != "oc";  // what that prints may be applied
  return invocation.has("--validate-only");
}

// restic restore --target /tmp/look: nothing that is in use is overwritten.
bool restores_aside(const Invocation& invocation) {
  return invocation.program == "restic" && invocation.option("--target").starts_with("/tmp/");
}

bool fits(const Invocation& invocation, const Known& known) {
  if (invocation.program != known.program || rehearses(invocation) || restores_aside(invocation)) return false;
  if (!known.flag.empty() && !invocation.has(known.flag)) return false;
  if (known.program == "pg_restore" && (invocation.has("--list") || invocation.has("-l"))) return false;
  const std::vector<std::string> wanted = split_words(known.operands), given = invocation.operands();
  if (known.program == "celery") return std::find(given.begin(), given.end(), "purge") != given.end();
  return given.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), given.begin());
}

void add(std::vector<Effect>& effects, HazardKind kind, std::string reason) {
  effects.push_back({kind, std::move(reason)});
}

void kubectl_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  const std::vector<std::string> operands = invocation.operands();
  if (operands.empty()) return;
  if (operands[0] == "delete") {
    const std::string what = operands.size() > 1 ? operands[1].substr(0, operands[1].find('/')) : "resources";
    const bool pods = what == "pod" || what == "pods" || what == "po" || what == "job" || what == "jobs";
    const bool nodes = what == "node" || what == "nodes" || what == "no";
    add(effects, pods || nodes ? HazardKind::kStopsService : HazardKind::kDestroys,
        "kubectl delete " + what +
            (pods    ? " ends pods; their logs go with them"
             : nodes ? " takes a node out of the cluster"
                     : " deletes what nobody may have a copy of"));
    if (what == "pvc" || what == "pv" || what == "namespace" || what == "ns" || what == "persistentvolumeclaim")
      add(effects, HazardKind::kIrreversible, "kubectl delete " + what + " may delete the data of its volumes");
  }
  if (operands[0] == "scale" && invocation.option("--replicas") == "0")
    add(effects, HazardKind::kStopsService, "kubectl scale to 0 replicas stops the service");
}

void file_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  const std::string& program = invocation.program;
  const std::vector<std::string> operands = invocation.operands();
  const bool temporary =
      !operands.empty() && std::all_of(operands.begin(), operands.end(), [](const std::string& operand) {
        return operand.starts_with("/tmp/") || operand.find(".tmp") != std::string::npos ||
               operand.starts_with("$TMPDIR");
      });
  if (program == "rm" && !temporary) add(effects, HazardKind::kDestroys, "rm deletes files");
  if (program == "find" && invocation.has("-delete")) add(effects, HazardKind::kDestroys, "find -delete deletes files");
  if (program == "dd" && std::any_of(invocation.args.begin(), invocation.args.end(),
                                     [](const std::string& arg) { return arg.starts_with("of="); }))
    add(effects, HazardKind::kDestroys, "dd overwrites its target");
  if (program.starts_with("mkfs."))
    add(effects, HazardKind::kDestroys, program + " makes a new file system over the old one");
  const bool extracts = program == "tar" && !invocation.args.empty() &&
                        invocation.args[0].find('x') != std::string::npos && invocation.args[0].find("xz") != 0;
  if (extracts && (invocation.option("-C") == "/" || invocation.has("-P")))
    add(effects, HazardKind::kWritesData, "tar overwrites files below /");
}

void remote_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  const std::string& program = invocation.program;
  const std::vector<std::string> operands = invocation.operands();
  if (program == "redis-cli") {
    for (const std::string& word : operands)
      if (lower(word) == "flushall" || lower(word) == "flushdb") {
        add(effects, HazardKind::kDestroys, "redis-cli " + word + " deletes all keys, queues and sessions too");
        add(effects, HazardKind::kIrreversible, "redis-cli " + word + " has no undo");
      }
  }
  const bool compose_up = program == "docker-compose" && invocation.begins({"up"});
  if (compose_up && !invocation.has("-d") && !invocation.has("--detach"))
    add(effects, HazardKind::kNeverEnds, "docker-compose up without -d runs until it is interrupted");
  if (program == "docker" && invocation.begins({"stats"}) && !invocation.has("--no-stream"))
    add(effects, HazardKind::kNeverEnds, "docker stats repeats until it is interrupted");
  const bool asks = program == "terraform" && (invocation.begins({"apply"}) || invocation.begins({"destroy"}));
  if (asks && !invocation.has("-auto-approve"))
    add(effects, HazardKind::kInteractive, "terraform asks before it goes on");
  if (program == "ping" && !invocation.has("-c"))
    add(effects, HazardKind::kNeverEnds, "ping runs until it is interrupted");
  if (program == "vault" && invocation.begins({"operator", "unseal"}) && operands.size() < 3)
    add(effects, HazardKind::kInteractive, "vault operator unseal asks for a key");
  if (program == "read" && !invocation.has_input) add(effects, HazardKind::kInteractive, "read waits for a line");
  const bool installs = (program == "apt-get" || program == "apt" || program == "yum" || program == "dnf") &&
                        invocation.begins({"install"});
  if (installs && !invocation.has("-y"))
    add(effects, HazardKind::kInteractive, program + " install asks before it goes on");
}

// Scripts and tasks whose name says that they restore.
void named_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  const std::string name = lower(invocation.program);
  const std::string& path = invocation.path;
  const bool installed = path.starts_with("/usr/bin/") || path.starts_with("/usr/sbin/") ||
                         path.starts_with("/usr/lib/") || path.starts_with("/bin/") || path.starts_with("/sbin/");
  const bool script = path.find('/') != std::string::npos && !installed;
  const bool checks = name.find("test") != std::string::npos || name.find("verify") != std::string::npos ||
                      name.find("check") != std::string::npos;
  if (rehearses(invocation)) return;
  if (script && name.find("restore") != std::string::npos && !checks)
    add(effects, HazardKind::kWritesData, invocation.program + " restores data");
  const std::vector<std::string> operands = invocation.operands();
  const bool task = (name == "npm" || name == "yarn" || name == "make") && !operands.empty();
  const std::string target = task ? (operands[0] == "run" && operands.size() > 1 ? operands[1] : operands[0]) : "";
  if (target.find("restore") != std::string::npos)
    add(effects, HazardKind::kWritesData, name + " " + target + " restores data");
}

// The values of a short option, also at the end of a group ("-Atc SQL") and with the value
// attached ("-cSQL"). `switches` are the program's short options without a value; that of
// `attached_only` is never the next word.
std::vector<std::string> values_of(const Invocation& invocation, std::string_view switches, char attached_only,
                                   char wanted) {
  std::vector<std::string> values;
  for (size_t index = 0; index < invocation.args.size(); index++) {
    const std::string& arg = invocation.args[index];
    if (arg == "--") break;
    if (arg.size() < 2 || arg[0] != '-' || arg[1] == '-') continue;
    const size_t letter = arg.find_first_not_of(switches, 1);
    if (letter == std::string::npos) continue;
    const bool attached = letter + 1 < arg.size();
    const std::string value = attached                             ? arg.substr(letter + 1)
                              : index + 1 < invocation.args.size() ? invocation.args[index + 1]
                                                                   : "";
    if (arg[letter] == wanted) values.push_back(value);
    if (!attached && arg[letter] != attached_only) index++;
  }
  return values;
}

bool is_mysql(const std::string& program) { return program == "mysql" || program == "mariadb"; }

std::vector<std::string> client_values(const Invocation& invocation, char option, std::string_view long_option) {
  constexpr std::string_view kPsqlSwitches = "aAbeEHlnqsStVwWxXz01", kMysqlSwitches = "ABbCEfGHiLNnoqrstUVvXw";
  const bool mysql = is_mysql(invocation.program);
  std::vector<std::string> values =
      values_of(invocation, mysql ? kMysqlSwitches : kPsqlSwitches, mysql ? 'p' : '\0', option);
  if (std::string value = invocation.option(long_option); !value.empty()) values.push_back(std::move(value));
  return values;
}

void database_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  for (Effect& effect : effects_of_sql(sql_of(invocation))) effects.push_back(std::move(effect));
  const bool client = invocation.program == "psql" || is_mysql(invocation.program);
  const bool loads = client && sql_of(invocation).empty() && invocation.has_input;
  if (loads) add(effects, HazardKind::kWritesData, invocation.program + " runs what it is fed");
  if (!client) return;
  const std::vector<std::string> files = client_values(invocation, 'f', "--file");
  const bool changes = std::any_of(files.begin(), files.end(), [](const std::string& file) {
    const std::string name = lower(file);
    return name.find("check") == std::string::npos && name.find("verify") == std::string::npos;
  });
  if (changes) add(effects, HazardKind::kWritesData, invocation.program + " runs a file of SQL");
}

}  // namespace

std::string sql_of(const Invocation& invocation) {
  std::vector<std::string> statements;
  if (invocation.program == "psql") statements = client_values(invocation, 'c', "--command");
  if (is_mysql(invocation.program)) statements = client_values(invocation, 'e', "--execute");
  std::string sql;
  for (const std::string& statement : statements) sql += (sql.empty() ? "" : "; ") + statement;
  return sql;
}

bool opens_prompt(const Invocation& invocation) {
  const std::string& program = invocation.program;
  if (invocation.has_input || invocation.has("--version") || invocation.has("--help")) return false;
  if (program == "psql")
    return sql_of(invocation).empty() && client_values(invocation, 'f', "--file").empty() && !invocation.has("-l") &&
           !invocation.has("--list");
  if (is_mysql(program)) return sql_of(invocation).empty();
  if (program == "redis-cli") {
    size_t operands = 0;
    for (size_t index = 0; index < invocation.args.size(); index++) {
      const std::string& arg = invocation.args[index];
      const bool valued =
          arg == "-h" || arg == "-p" || arg == "-a" || arg == "-n" || arg == "-u" || arg == "--user" || arg == "--pass";
      if (valued) index++;
      if (!valued && !arg.starts_with("-")) operands++;
      if (arg.starts_with("--") && !valued && arg != "--tls") operands++;
    }
    return operands == 0;
  }
  if (program == "mongo" || program == "mongosh") return !invocation.has("--eval");
  if (program == "sqlite3") return invocation.operands().size() < 2;
  const bool shell_program = program == "sh" || program == "bash" || program == "zsh" || program == "ash";
  if (shell_program && invocation.remote)
    return invocation.args.empty() || (invocation.args.size() == 1 && invocation.args[0] == "-l");
  if (program == "ssh")
    return !invocation.nested && invocation.operands().size() == 1 && !invocation.has("-N") && !invocation.has("-f");
  return (program == "python" || program == "python3" || program == "node") && invocation.args.empty();
}

std::vector<Effect> effects_of(const Invocation& invocation) {
  std::vector<Effect> effects;
  for (const Known& known : kKnown)
    if (fits(invocation, known)) add(effects, known.kind, shown(invocation, known) + " " + std::string(known.reason));
  if (invocation.program == "kubectl") kubectl_effects(invocation, effects);
  file_effects(invocation, effects);
  remote_effects(invocation, effects);
  named_effects(invocation, effects);
  database_effects(invocation, effects);
  if (opens_prompt(invocation))
    add(effects, HazardKind::kInteractive, invocation.program + " opens a prompt");
  else if (invocation.terminal)
    add(effects, HazardKind::kInteractive, invocation.program + " is given a terminal (-t)");
  return effects;
}

namespace {

// The name in "TABLE IF NOT EXISTS name", of words from `index` on.
std::string object_of(const std::vector<std::string>& words, size_t index) {
  while (index < words.size() && (words[index] == "if" || words[index] == "not" || words[index] == "exists")) index++;
  return index < words.size() ? words[index] : "";
}

}  // namespace

std::vector<Effect> effects_of_sql(const std::string& sql) {
  std::vector<Effect> effects;
  std::set<std::string> made;  // tables that the same text creates: dropping them loses nothing
  const std::vector<std::string> words = words_of(sql);
  const auto next = [&](size_t index) { return index + 1 < words.size() ? words[index + 1] : std::string(); };
  for (size_t index = 0; index < words.size(); index++) {
    const std::string& word = words[index];
    const std::string after = next(index);
    if (word == "create" && after == "table") made.insert(object_of(words, index + 2));
    if (word == "drop" && after == "table" && made.contains(object_of(words, index + 2))) continue;
    if (word == "drop" && (after == "database" || after == "table" || after == "schema" || after == "index"))
      add(effects, HazardKind::kDestroys, "DROP " + after + " deletes it");
    if (word == "drop" && after == "database") add(effects, HazardKind::kIrreversible, "DROP DATABASE has no undo");
    if (word == "truncate") add(effects, HazardKind::kDestroys, "TRUNCATE deletes all rows");
    if (word == "delete" && after == "from") add(effects, HazardKind::kDestroys, "DELETE deletes rows");
    if (word == "update" && index + 2 < words.size() && words[index + 2] == "set")
      add(effects, HazardKind::kWritesData, "UPDATE changes rows");
    if (word == "pg_promote" || (word == "pg" && after == "promote"))
      add(effects, HazardKind::kPromotes, "pg_promote makes a standby the primary");
    if (word == "alter" && (after == "user" || after == "role") &&
        std::find(words.begin() + static_cast<std::ptrdiff_t>(index), words.end(), "password") != words.end())
      add(effects, HazardKind::kRotatesSecret, "ALTER " + after + " sets a password");
  }
  return effects;
}

bool is_secret_name(const std::string& name) {
  constexpr std::array<std::string_view, 9> kSecret = {"token",      "password",    "passwd", "secret", "passphrase",
                                                       "credential", "credentials", "apikey", "pass"};
  const std::vector<std::string> words = words_of(name);
  if (words.empty()) return false;
  // ENCRYPTION_KEY, REDISCLI_AUTH, MYSQL_PWD, but not KEY, AUTH or PWD alone.
  const std::string& last = words.back();
  if (words.size() > 1 && (last == "key" || last == "auth" || last == "pwd")) return true;
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return word.ends_with("password") || std::find(kSecret.begin(), kSecret.end(), word) != kSecret.end();
  });
}

namespace {

void add_hazard(Step& step, const Effect& effect, SourceRange range) {
  const bool known = std::any_of(step.hazards.begin(), step.hazards.end(), [&](const Hazard& hazard) {
    return hazard.kind == effect.kind && hazard.range == range && hazard.reason == effect.reason;
  });
  if (!known) step.hazards.push_back({effect.kind, effect.reason, range});
}

// Its prompt is not opened for a person: what stands below is given to it as standard input.
bool is_fed(const Step& step, const Invocation& invocation, SourceRange range) {
  if (!opens_prompt(invocation)) return false;
  for (size_t index = 1; index < step.pieces.size(); index++) {
    const Piece& input = step.pieces[index];
    const SourceRange& opening = step.pieces[index - 1].range;
    const bool last = opening.begin <= range.begin && range.end <= opening.end;
    if (input.kind == Piece::Kind::kInput && last && input.program.find(invocation.program) != std::string::npos)
      return true;
  }
  return false;
}

}  // namespace

void find_hazards(Step& step) {
  step.hazards.clear();
  if (step.kind == StepKind::kSql) {
    for (const Effect& effect : effects_of_sql(step.text)) add_hazard(step, effect, step.range);
    return;
  }
  for (const Invocation& invocation : shell::invocations(step.script)) {
    const SourceRange range = step.where(invocation.span);
    const bool fed = is_fed(step, invocation, range);
    for (const Effect& effect : effects_of(invocation)) {
      if (!fed || effect.kind != HazardKind::kInteractive) add_hazard(step, effect, range);
    }
    if (invocation.remote && invocation.nested)
      add_hazard(step, {HazardKind::kRemote, invocation.program + " runs on another machine or in a container"}, range);
  }
  for (const Piece& piece : step.pieces) {
    if (piece.kind != Piece::Kind::kInput) continue;
    const shell::Script script = shell::parse(piece.program + " " + piece.text);
    for (const Invocation& invocation : shell::invocations(script))
      for (const Effect& effect : effects_of(invocation))
        if (effect.kind != HazardKind::kInteractive) add_hazard(step, effect, text_range(step, piece));
    for (const Effect& effect : effects_of_sql(piece.text)) add_hazard(step, effect, text_range(step, piece));
  }
  for (const VariableUse& use : step.variables)
    if (is_secret_name(use.name))
      add_hazard(step, {HazardKind::kNeedsSecret, "needs the secret " + use.name}, use.range);
}

}  // namespace holdfast::runbook
