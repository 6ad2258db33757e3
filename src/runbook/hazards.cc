#include "runbook/hazards.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>

#include "runbook/clients.h"
#include "runbook/hazard_table.h"
#include "runbook/phrases.h"
#include "runbook/shell/options.h"
#include "runbook/shell/parser.h"
#include "runbook/sql.h"
#include "runbook/step_builder.h"

namespace holdfast::runbook {

using shell::Invocation;

namespace {

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t blank = std::min(text.find(' '), text.size());
    words.emplace_back(text.substr(0, blank));
    text.remove_prefix(std::min(blank + 1, text.size()));
  }
  return words;
}

// The flag of a row that was given; "" when none was.
std::string given_flag(const Invocation& invocation, const KnownEffect& known) {
  for (const std::string& flag : split_words(known.flags))
    if (invocation.has(flag)) return flag;
  return "";
}

// Says what would be done, and does nothing.
bool rehearses(const Invocation& invocation) {
  const std::string& program = invocation.program;
  // What "kubectl create" prints may be applied.
  const bool prints = program == "kubectl" && invocation.begins({"create"});
  if (asks_for(invocation, "--dry-run") || asks_for(invocation, "--dryrun") || asks_for(invocation, "--dryRun"))
    return !prints;
  constexpr std::array<std::string_view, 7> kShort = {"rsync", "pg_rewind", "git", "zfs", "rclone", "restic", "borg"};
  const bool short_word = std::find(kShort.begin(), kShort.end(), program) != kShort.end();
  return asks_for(invocation, "--validate-only") || (short_word && invocation.has("-n"));
}

bool is_looking_verb(const std::string& word) {
  return word == "list" || word == "show" || word == "describe" || word == "export";
}

// gcloud dns record-sets list, aws configure get: what comes behind the words of a row.
bool only_looks(const KnownEffect& known, const std::vector<std::string>& behind) {
  if (behind.empty()) return false;
  if (known.program == "aws" && known.operands == "configure") return behind.front() != "sso";
  // zone show, record-set list, record-set a list: in az no operand is a name.
  if (known.program == "az" && known.operands == "network dns")
    return std::any_of(behind.begin(), behind.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(behind.size(), 3)),
                       is_looking_verb);
  if (known.operands == "REPLICAOF" || known.operands == "SLAVEOF") return behind.front() == "NO";
  if (known.program != "gcloud" || known.operands != "dns record-sets") return false;
  const bool group = behind.front() == "transaction" || behind.front() == "changes";
  return is_looking_verb(behind[group && behind.size() > 1 ? 1 : 0]);
}

// restic restore --target /tmp/look: nothing that is in use is overwritten.
bool restores_aside(const Invocation& invocation) {
  return invocation.program == "restic" && invocation.option("--target").starts_with("/tmp/");
}

bool is_temporary(const std::string& path) {
  if (path.find("/..") != std::string::npos) return false;
  return path.starts_with("/tmp/") || path.starts_with("/var/tmp/") || path.find(".tmp/") != std::string::npos ||
         path.ends_with(".tmp") || path.starts_with("$TMPDIR") || path.starts_with("${TMPDIR");
}

// dd of=/tmp/x.
bool writes_elsewhere(const Invocation& dd) {
  return std::any_of(dd.args.begin(), dd.args.end(), [](const std::string& arg) {
    return arg.starts_with("of=") && arg != "of=/dev/null" && !is_temporary(arg.substr(3));
  });
}

// A log that begins anew.
bool is_log(const std::string& path) { return path.starts_with("/var/log/") && path.find("/..") == std::string::npos; }

// The words that a row's are held against; a Redis server takes them in either case.
std::vector<shell::Operand> words_given(const Invocation& invocation) {
  std::vector<shell::Operand> words;
  if (invocation.program == "redis-cli") {
    for (std::string& word : redis_words(invocation)) {
      for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      words.push_back({std::move(word), false});
    }
    return words;
  }
  words = shell::operands_of(invocation.program, invocation.args);
  const bool channel = invocation.program == "gcloud" && !words.empty() &&
                       (words[0].text == "alpha" || words[0].text == "beta" || words[0].text == "preview");
  if (channel) words.erase(words.begin());
  return words;
}

bool sfdisk_looks(const Invocation& invocation) {
  constexpr std::array<std::string_view, 10> kLooks = {"-l", "--list",   "-d",     "--dump",   "-J",
                                                       "-V", "--verify", "--json", "--no-act", "-n"};
  return std::any_of(kLooks.begin(), kLooks.end(), [&](std::string_view flag) { return invocation.has(flag); });
}

bool fits(const Invocation& invocation, const KnownEffect& known) {
  if (invocation.program != known.program || rehearses(invocation) || restores_aside(invocation)) return false;
  if (!known.flags.empty() && given_flag(invocation, known).empty()) return false;
  if (known.program == "pg_restore" && (invocation.has("--list") || invocation.has("-l"))) return false;
  if (known.program == "sfdisk" && sfdisk_looks(invocation)) return false;
  if (known.program == "rsync" && is_temporary(copy_target(invocation))) return false;
  std::vector<std::string> wanted = split_words(known.operands);
  const std::vector<shell::Operand> given = words_given(invocation);
  const bool anywhere = !wanted.empty() && wanted.front() == "*";
  if (anywhere) wanted.erase(wanted.begin());
  size_t end = shell::end_of_words(given, 0, wanted);
  for (size_t from = 1; anywhere && end == std::string::npos && from < given.size(); from++)
    if (given[from].text == wanted.front()) end = shell::end_of_words(given, from, wanted);
  if (end == std::string::npos) return false;
  std::vector<std::string> behind;
  for (size_t index = end; index < given.size(); index++)
    if (!given[index].maybe_value) behind.push_back(given[index].text);
  return !only_looks(known, behind);
}

std::string shown(const Invocation& invocation, const KnownEffect& known) {
  const std::string& path = invocation.path;
  const std::string written = path.substr(path.rfind('/') + 1);
  const bool alias = written != invocation.program && shell::family_of(written) == invocation.program;
  std::string text = alias ? written : invocation.program;
  const std::string_view operands = known.operands.starts_with("* ") ? known.operands.substr(2) : known.operands;
  if (!operands.empty()) text += " " + std::string(operands);
  if (const std::string flag = given_flag(invocation, known); !flag.empty()) text += " " + flag;
  return text;
}

void add(std::vector<Effect>& effects, HazardKind kind, std::string reason) {
  effects.push_back({kind, std::move(reason)});
}

// What stands behind a verb: "kubectl delete pvc/x" -> "pvc"; "" when another verb was given.
std::string kubectl_object(const Invocation& invocation, const std::string& verb) {
  const std::vector<shell::Operand> operands = shell::operands_of(invocation.program, invocation.args);
  const size_t end = shell::end_of_words(operands, 0, {verb});
  if (end == std::string::npos) return "";
  return end < operands.size() ? operands[end].text.substr(0, operands[end].text.find('/')) : "resources";
}

void kubectl_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  if (rehearses(invocation)) return;
  const auto is_one_of = [](const std::string& word, std::initializer_list<std::string_view> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  if (const std::string what = kubectl_object(invocation, "delete"); !what.empty()) {
    const bool pods = is_one_of(what, {"pod", "pods", "po", "job", "jobs"});
    const bool nodes = is_one_of(what, {"node", "nodes", "no"});
    add(effects, pods || nodes ? HazardKind::kStopsService : HazardKind::kDestroys,
        "kubectl delete " + what +
            (pods    ? " ends pods; their logs go with them"
             : nodes ? " takes a node out of the cluster"
                     : " deletes what nobody may have a copy of"));
    if (is_one_of(what, {"pvc", "pv", "namespace", "namespaces", "ns", "persistentvolumeclaim",
                         "persistentvolumeclaims", "persistentvolume", "persistentvolumes"}))
      add(effects, HazardKind::kIrreversible, "kubectl delete " + what + " may delete the data of its volumes");
  }
  if (const std::string what = kubectl_object(invocation, "patch");
      is_one_of(what, {"ingress", "ingresses", "ing", "service", "services", "svc"}))
    add(effects, HazardKind::kSwitchesTraffic, "kubectl patch " + what + " changes where traffic goes");
  if (invocation.begins({"scale"}) && invocation.option("--replicas") == "0")
    add(effects, HazardKind::kStopsService, "kubectl scale to 0 replicas stops the service");
}

// Where servers keep what they store.
bool is_data_directory(std::string_view path) {
  constexpr std::array<std::string_view, 10> kDirectories = {
      "/var/lib/postgresql", "/var/lib/pgsql", "/var/lib/mysql", "/var/lib/redis", "/var/lib/mongodb",
      "/var/lib/mongo",      "/var/lib/etcd",  "$PGDATA",        "${PGDATA}",      "/var/lib/docker/volumes"};
  const size_t colon = path.find(':');  // of another host
  if (colon != std::string_view::npos && colon < path.find('/')) path.remove_prefix(colon + 1);
  return std::any_of(kDirectories.begin(), kDirectories.end(), [&](std::string_view directory) {
    return path.starts_with(directory) && (path.size() == directory.size() || path[directory.size()] == '/');
  });
}

// A Redis server's own file where no copy is kept: "/data/dump.rdb", "cache:/data/dump.rdb".
bool is_data_file(std::string_view path) {
  const std::string_view leaf = path.substr(path.rfind('/') + 1);
  const bool file = leaf == "dump.rdb" || leaf == "appendonly.aof";
  return file && path.find('/') != std::string_view::npos && !path.starts_with(".") && !is_aside(path) &&
         !is_temporary(std::string(path));
}

bool is_setting(const std::string& path) {
  return path.ends_with(".conf") || path.ends_with(".signal") || path.ends_with(".crt") || path.ends_with(".key") ||
         path.ends_with(".pem");
}

std::string option_of(const Invocation& invocation, std::string_view short_name, std::string_view long_name) {
  return invocation.has(long_name) ? invocation.option(long_name) : invocation.option(short_name);
}

// A file or directory that a server keeps its data in.
bool is_servers_own(const std::string& path) {
  return (is_data_directory(path) && !is_aside(path) && !is_setting(path)) || is_data_file(path);
}

// What tee, curl -o and aws s3 cp write.
std::vector<std::string> files_written(const Invocation& invocation) {
  const std::string& program = invocation.program;
  std::vector<std::string> operands = invocation.operands();
  if (program == "tee" && !invocation.has("-a") && !invocation.has("--append")) return operands;
  if (program == "curl") return {option_of(invocation, "-o", "--output")};
  if (program == "wget") return {option_of(invocation, "-O", "--output-document")};
  const bool copies = invocation.begins({"cp"}) || invocation.begins({"s3", "cp"}) || invocation.begins({"s3", "mv"}) ||
                      invocation.begins({"s3", "sync"}) || invocation.begins({"storage", "cp"}) ||
                      invocation.begins({"copy"}) || invocation.begins({"copyto"}) || invocation.begins({"sync"});
  constexpr std::array<std::string_view, 7> kStores = {"aws", "gsutil", "gcloud", "rclone", "mc", "docker", "kubectl"};
  if (!copies || std::find(kStores.begin(), kStores.end(), program) == kStores.end()) return {};
  // What is read comes first.
  const auto source = std::find_if(operands.begin(), operands.end(), [](const std::string& operand) {
    return operand.find_first_of("/:.") != std::string::npos;
  });
  operands.erase(operands.begin(), source == operands.end() ? source : source + 1);
  return operands;
}

// cp, mv and rsync of data to where a server keeps its own.
bool overwrites_data(const Invocation& invocation) {
  const std::string& program = invocation.program;
  const std::string target = copy_target(invocation);
  if (target.empty()) return false;
  std::vector<std::string> sources = invocation.operands();
  std::erase(sources, target);
  if (sources.empty()) return false;
  const bool takes = std::any_of(sources.begin(), sources.end(), is_data_directory);
  if ((!is_data_directory(target) || is_aside(target)) && (takes || !is_data_file(target))) return false;
  // Moved within a data directory: renamed.
  if (program == "mv" && std::all_of(sources.begin(), sources.end(), is_data_directory)) return false;
  return !std::all_of(sources.begin(), sources.end(), is_setting);
}

// tar xzf, tar -C / -xf, tar --extract.
bool extracts_files(const Invocation& invocation) {
  for (size_t index = 0; index < invocation.args.size(); index++) {
    const std::string& arg = invocation.args[index];
    if (arg == "--extract" || arg == "--get") return true;
    const bool letters = index == 0 ? !arg.starts_with("--") : arg.starts_with("-") && !arg.starts_with("--");
    if (letters && arg.find('x') != std::string::npos && arg.find_first_of("ct") == std::string::npos) return true;
  }
  return false;
}

void file_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  const std::string& program = invocation.program;
  const std::vector<std::string> operands = invocation.operands();
  const auto all = [&](const auto& holds) {
    return !operands.empty() && std::all_of(operands.begin(), operands.end(), holds);
  };
  const bool temporary = all(is_temporary);
  if (program == "rm" && !temporary) add(effects, HazardKind::kDestroys, "rm deletes files");
  const std::string size = option_of(invocation, "-s", "--size");
  const bool unimportant = all([](const std::string& path) { return is_temporary(path) || is_log(path); });
  if (program == "truncate" && (size == "0" || invocation.has("-s0")) && !unimportant)
    add(effects, HazardKind::kDestroys, "truncate empties files");
  if (overwrites_data(invocation) && !rehearses(invocation))
    add(effects, HazardKind::kWritesData, program + " writes over a server's data directory");
  for (const std::string& file : files_written(invocation))
    if (is_servers_own(file)) add(effects, HazardKind::kWritesData, program + " writes over a server's data: " + file);
  if (program == "find" && invocation.has("-delete")) add(effects, HazardKind::kDestroys, "find -delete deletes files");
  if (program == "dd" && writes_elsewhere(invocation)) add(effects, HazardKind::kDestroys, "dd overwrites its target");
  if (program.starts_with("mkfs."))
    add(effects, HazardKind::kDestroys, program + " makes a new file system over the old one");
  const bool extracts = program == "tar" && extracts_files(invocation);
  const std::string directory = option_of(invocation, "-C", "--directory");
  if (extracts && (directory == "/" || invocation.has("-P") || invocation.has("--absolute-names")))
    add(effects, HazardKind::kWritesData, "tar overwrites files below /");
  const bool server = is_data_directory(directory) || directory.starts_with("/var/lib/");
  if (extracts && server && !is_aside(directory))
    add(effects, HazardKind::kWritesData, "tar writes over a server's data directory");
}

// curl -X DELETE, -sXDELETE, --request DELETE.
bool asks_to_delete(const Invocation& invocation) {
  if (lower(invocation.option("--request")) == "delete") return true;
  for (size_t index = 0; index < invocation.args.size(); index++) {
    const std::string& arg = invocation.args[index];
    if (arg.size() < 2 || arg[0] != '-' || arg[1] == '-') continue;
    const size_t letter = arg.find('X');
    if (letter == std::string::npos) continue;
    const bool attached = letter + 1 < arg.size();
    const bool follows = !attached && index + 1 < invocation.args.size();
    const std::string method = attached ? arg.substr(letter + 1) : follows ? invocation.args[index + 1] : "";
    if (lower(method) == "delete") return true;
  }
  return false;
}

std::vector<Effect> effects_of_mongo(const std::string& script) {
  std::vector<Effect> effects;
  const std::string text = lower(script);
  if (text.find("dropdatabase(") != std::string::npos) {
    add(effects, HazardKind::kDestroys, "dropDatabase() deletes a database");
    add(effects, HazardKind::kIrreversible, "dropDatabase() has no undo");
  }
  if (text.find(".drop(") != std::string::npos) add(effects, HazardKind::kDestroys, "drop() deletes a collection");
  if (text.find(".deletemany(") != std::string::npos)
    add(effects, HazardKind::kDestroys, "deleteMany() deletes documents");
  return effects;
}

void remote_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  const std::string& program = invocation.program;
  const std::vector<std::string> operands = invocation.operands();
  if (program == "curl" && asks_to_delete(invocation))
    add(effects, HazardKind::kDestroys, "curl -X DELETE asks a server to delete");
  if (program == "mongo" || program == "mongosh")
    for (Effect& effect : effects_of_mongo(invocation.option("--eval"))) effects.push_back(std::move(effect));
  const bool attached = !invocation.has("-d") && !invocation.has("--detach") && !invocation.has("--wait") &&
                        !invocation.has("--no-start");
  if (program == "docker-compose" && invocation.begins({"up"}) && attached)
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

// "check", "verify-restore", "tests": not the "test" of "latest", nor the "check" of "checkout".
bool is_checking(const std::string& word) {
  constexpr std::array<std::string_view, 13> kWords = {"test",     "tests",        "testing",   "verify",   "verifies",
                                                       "verified", "verification", "verifying", "verifier", "check",
                                                       "checks",   "checker",      "checking"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// Scripts and tasks whose name says that they restore.
void named_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  const std::string name = lower(invocation.program);
  const std::string& path = invocation.path;
  const bool installed = path.starts_with("/usr/bin/") || path.starts_with("/usr/sbin/") ||
                         path.starts_with("/usr/lib/") || path.starts_with("/bin/") || path.starts_with("/sbin/");
  const bool script = (invocation.script || path.find('/') != std::string::npos) && !installed;
  const std::vector<std::string> words = words_of(name);
  const bool checks =
      std::any_of(words.begin(), words.end(), [](const std::string& word) { return is_checking(word); });
  if (rehearses(invocation)) return;
  if (script && name.find("restore") != std::string::npos && !checks)
    add(effects, HazardKind::kWritesData, invocation.program + " restores data");
  const std::vector<std::string> operands = invocation.operands();
  const bool task = (name == "npm" || name == "yarn" || name == "make") && !operands.empty();
  const std::string target = task ? (operands[0] == "run" && operands.size() > 1 ? operands[1] : operands[0]) : "";
  if (target.find("restore") != std::string::npos)
    add(effects, HazardKind::kWritesData, name + " " + target + " restores data");
}

// redis-cli and mongosh, given commands as input: Redis takes each line for one.
std::vector<Effect> effects_of_lines(const Invocation& client) {
  std::vector<Effect> effects;
  const bool mongo = client.program == "mongo" || client.program == "mongosh";
  if (mongo && !client.has("--eval")) effects = effects_of_mongo(*client.input);
  if (client.program != "redis-cli" || !redis_words(client).empty()) return effects;
  std::string_view rest = *client.input;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const shell::Script line = shell::parse(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.commands.empty()) continue;
    Invocation command;
    command.program = client.program;
    for (const shell::Word& word : line.commands.front().words) command.args.push_back(word.value);
    if (command.args.empty()) continue;
    for (Effect& effect : effects_of(command)) effects.push_back(std::move(effect));
  }
  return effects;
}

void database_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  for (Effect& effect : effects_of_sql(sql_of(invocation))) effects.push_back(std::move(effect));
  if (invocation.input)
    for (Effect& effect : effects_of_lines(invocation)) effects.push_back(std::move(effect));
  if (!is_sql_client(invocation.program)) return;
  const std::vector<std::string> files = sql_files_of(invocation);
  if (sql_of(invocation).empty() && files.empty() && invocation.has_input) {
    std::vector<Effect> known = invocation.input ? effects_of_sql(*invocation.input) : std::vector<Effect>();
    if (known.empty() && (!invocation.input || !sql_only_looks(*invocation.input)))
      add(effects, HazardKind::kWritesData, invocation.program + " runs what it is fed");
    for (Effect& effect : known) effects.push_back(std::move(effect));
  }
  const bool changes = std::any_of(files.begin(), files.end(), [](const std::string& file) {
    const std::vector<std::string> words = words_of(file);
    return std::none_of(words.begin(), words.end(), is_checking);
  });
  if (changes) add(effects, HazardKind::kWritesData, invocation.program + " runs a file of SQL");
}

}  // namespace

std::vector<Effect> effects_of(const Invocation& invocation) {
  std::vector<Effect> effects;
  if (invocation.has("--help") || (invocation.args.size() == 1 && invocation.has("--version"))) return effects;
  for (const KnownEffect& known : known_effects())
    if (fits(invocation, known)) add(effects, known.kind, shown(invocation, known) + " " + std::string(known.reason));
  if (invocation.program == "kubectl") kubectl_effects(invocation, effects);
  file_effects(invocation, effects);
  remote_effects(invocation, effects);
  named_effects(invocation, effects);
  database_effects(invocation, effects);
  for (const shell::Command& command : shell::parse(invocation.text).commands)
    for (Effect& effect : effects_of_redirections(command)) effects.push_back(std::move(effect));
  if (opens_prompt(invocation))
    add(effects, HazardKind::kInteractive, invocation.program + " opens a prompt");
  else if (invocation.terminal)
    add(effects, HazardKind::kInteractive, invocation.program + " is given a terminal (-t)");
  return effects;
}

std::vector<Effect> effects_of_redirections(const shell::Command& command) {
  std::vector<Effect> effects;
  const std::string& program = command.word(0);
  for (const shell::Redirection& each : command.redirections) {
    const std::string& target = each.target.value;
    if ((each.op == ">" || each.op == ">|") && each.fd <= 1 && is_servers_own(target) && !command.words.empty())
      add(effects, HazardKind::kWritesData, program + " > " + target + " writes over a server's data");
  }
  const bool writes_nothing = (command.words.empty() && !command.compound) || program == ":" || program == "true" ||
                              (program == "cat" && command.word(1) == "/dev/null");
  if (!writes_nothing) return effects;
  for (const shell::Redirection& each : command.redirections) {
    const std::string& target = each.target.value;
    const bool own = target.starts_with("/") && !is_temporary(target) && !target.starts_with("/dev/") &&
                     !target.starts_with("/proc/") && !target.starts_with("/sys/") && !is_log(target);
    if ((each.op == ">" || each.op == ">|") && each.fd <= 1 && own)
      add(effects, HazardKind::kDestroys, "> " + target + " empties the file");
  }
  return effects;
}

bool asks_for(const Invocation& invocation, std::string_view flag) {
  const std::vector<std::string>& args = invocation.args;
  // npm takes the options of a script for its own, unless they stand behind "--".
  const bool swallows = invocation.program == "npm";
  const auto begin = swallows ? std::find(args.begin(), args.end(), "--") : args.begin();
  return std::any_of(begin, args.end(), [&](std::string_view arg) {
    if (!arg.starts_with(flag)) return false;
    arg.remove_prefix(flag.size());
    return arg.empty() || (arg[0] == '=' && arg != "=false" && arg != "=none" && arg != "=no" && arg != "=0");
  });
}

std::string copy_target(const Invocation& invocation) {
  const std::string& program = invocation.program;
  constexpr std::array<std::string_view, 5> kCopies = {"cp", "mv", "rsync", "scp", "install"};
  if (std::find(kCopies.begin(), kCopies.end(), program) == kCopies.end()) return "";
  if (program == "install" && (invocation.has("-d") || invocation.has("--directory"))) return "";
  if (program != "rsync" && program != "scp")
    if (std::string directory = option_of(invocation, "-t", "--target-directory"); !directory.empty()) return directory;
  std::vector<shell::Operand> operands = shell::operands_of(program, invocation.args);
  // What may be the value of an option is the target only where nothing else is.
  while (operands.size() > 2 && operands.back().maybe_value && !is_data_directory(operands.back().text))
    operands.pop_back();
  return operands.size() < 2 ? "" : operands.back().text;
}

bool is_aside(std::string_view path) {
  // The last two components: "data.old/", "shop_backup/_data".
  while (path.ends_with('/') || path.ends_with('.')) path.remove_suffix(1);
  size_t slash = path.rfind('/');
  if (slash != std::string_view::npos && slash > 0) slash = path.rfind('/', slash - 1);
  if (slash != std::string_view::npos) path.remove_prefix(slash);
  constexpr std::array<std::string_view, 8> kNames = {"old",    "bak",     "backup",    "backups",
                                                      "broken", "corrupt", "corrupted", "orig"};
  const std::vector<std::string> words = words_of(path);
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    while (!word.empty() && std::isdigit(static_cast<unsigned char>(word.back())) != 0) word.remove_suffix(1);
    return std::find(kNames.begin(), kNames.end(), word) != kNames.end();
  });
}

bool is_secret_name(const std::string& name) {
  constexpr std::array<std::string_view, 10> kSecret = {"token",      "password",    "passwd", "secret", "passphrase",
                                                        "credential", "credentials", "apikey", "pass",   "webhook"};
  const std::vector<std::string> words = words_of(name);
  if (words.empty()) return false;
  // ENCRYPTION_KEY, REDISCLI_AUTH, MYSQL_PWD, DB_PW, GITHUB_PAT, but not KEY, AUTH or PWD alone.
  constexpr std::array<std::string_view, 5> kLast = {"key", "auth", "pwd", "pw", "pat"};
  if (words.size() > 1 && std::find(kLast.begin(), kLast.end(), words.back()) != kLast.end()) return true;
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

// Of what the program in front of a piece is fed.
std::vector<Effect> effects_of_input(const Piece& piece) {
  std::vector<Effect> effects = effects_of_sql(piece.text);
  const shell::Script script = shell::parse(piece.program);
  for (Invocation& client : shell::invocations(script)) {
    client.input = piece.text;
    for (Effect& effect : effects_of_lines(client)) effects.push_back(std::move(effect));
  }
  return effects;
}

// Its prompt is not opened for a person: what stands below is given to it as standard input.
bool is_fed(const Step& step, const Invocation& invocation, SourceRange range) {
  if (!opens_prompt(invocation)) return false;
  for (size_t index = 1; index < step.pieces.size(); index++) {
    const Piece& input = step.pieces[index];
    const SourceRange& opening = step.pieces[index - 1].range;
    const bool last = opening.begin <= range.begin && range.end <= opening.end;
    if (input.kind == Piece::Kind::kInput && last && input.program.find(invocation.path) != std::string::npos)
      return true;
  }
  return false;
}

// "$(mktemp -d)" and nothing behind it: one command, which is mktemp.
bool is_made_by_mktemp(const shell::Word& value) {
  if (value.expansions.size() != 1) return false;
  const shell::Expansion& expansion = value.expansions.front();
  if (expansion.kind != shell::Expansion::Kind::kCommand || !(value.value.ends_with(")") || value.value.ends_with("`")))
    return false;
  const bool whole = expansion.span.end - expansion.span.begin == value.value.size();
  const shell::Script inside = shell::parse(expansion.text);
  return whole && inside.commands.size() == 1 && inside.commands.front().word(0) == "mktemp";
}

bool makes_temporary(const shell::Assignment& assignment) {
  return !assignment.append && !assignment.array &&
         (is_made_by_mktemp(assignment.value) || is_temporary(assignment.value.value));
}

bool may_set_anything(const shell::Command& command) {
  const std::string& program = command.word(0);
  return program == "." || program == "source" || program == "eval";
}

// Names that the script ever gives another value than a temporary file's.
std::set<std::string> other_variables(const shell::Script& script) {
  std::set<std::string> names(script.loop_variables.begin(), script.loop_variables.end());
  for (const shell::Command& command : script.commands) {
    for (const shell::Assignment& assignment : command.assignments)
      if (!makes_temporary(assignment)) names.insert(assignment.name);
    for (const shell::Word& word : command.words) names.insert(word.value.substr(0, word.value.find('=')));
  }
  return names;
}

// The variables that hold nothing but names of temporary files, however the script came to a command.
class TemporaryVariables {
 public:
  explicit TemporaryVariables(const shell::Script& script) : script_(script), others_(other_variables(script)) {}

  // For commands in their order.
  const std::set<std::string>& before(const shell::Command& command) {
    for (; &script_.commands[next_] < &command; next_++) note(script_.commands[next_]);
    return names_;
  }

 private:
  void note(const shell::Command& command) {
    if (may_set_anything(command)) names_.clear();
    if (!command.words.empty() || !command.unconditional()) return;
    for (const shell::Assignment& assignment : command.assignments)
      if (makes_temporary(assignment) && !others_.contains(assignment.name)) names_.insert(assignment.name);
  }

  const shell::Script& script_;
  std::set<std::string> others_, names_;
  size_t next_ = 0;
};

// "$tmp/x" is "/tmp/x" where $tmp is of mktemp.
void fill_temporaries(Invocation& invocation, const std::set<std::string>& names) {
  for (std::string& arg : invocation.args) {
    const bool braced = arg.starts_with("${");
    if (names.empty() || !arg.starts_with("$")) continue;
    const size_t end = std::min(arg.find(braced ? '}' : '/'), arg.size());
    const std::string name = arg.substr(braced ? 2 : 1, end - (braced ? 2 : 1));
    if (names.contains(name)) arg.replace(0, std::min(end + (braced ? 1 : 0), arg.size()), "/tmp/" + name);
  }
}

}  // namespace

std::vector<Invocation> invocations_of(const shell::Script& script) {
  std::vector<Invocation> all = shell::invocations(script);
  TemporaryVariables temporaries(script);
  // What another machine's shell makes of a name is not known.
  for (Invocation& invocation : all)
    if (!invocation.remote) fill_temporaries(invocation, temporaries.before(*invocation.command));
  return all;
}

namespace {

// Where it runs: the words in front of the program, "ssh db2", "docker exec db". "" : here.
std::string host_of(const Invocation& invocation) {
  if (!invocation.remote) return "";
  std::string words;
  for (const shell::Word& word : invocation.command->words) {
    const bool text =
        word.value.find(' ') != std::string::npos && word.value.find(invocation.path) != std::string::npos;
    if (text || word.value == invocation.path) break;
    words += word.value + " ";
  }
  return words;
}

// Files that are set aside for certain before something takes their place.
class MovedAside {
 public:
  void note(const Invocation& invocation) {
    const std::vector<std::string> operands = invocation.operands();
    if (invocation.program == "mv" && operands.size() == 2 && !invocation.conditional)
      moved_.emplace(host_of(invocation), operands.front());
  }
  bool has(const Invocation& copy) const { return moved_.contains({host_of(copy), copy_target(copy)}); }

 private:
  std::set<std::pair<std::string, std::string>> moved_;
};

}  // namespace

void find_hazards(Step& step) {
  step.hazards.clear();
  if (step.kind == StepKind::kSql) {
    for (const Effect& effect : effects_of_sql(step.text)) add_hazard(step, effect, step.range);
    return;
  }
  MovedAside moved;
  for (const Invocation& invocation : invocations_of(step.script)) {
    const SourceRange range = step.where(invocation.span);
    const bool fed = is_fed(step, invocation, range);
    const bool replaces = moved.has(invocation);
    moved.note(invocation);
    for (const Effect& effect : effects_of(invocation)) {
      if (replaces && effect.kind == HazardKind::kWritesData) continue;
      if (!fed || effect.kind != HazardKind::kInteractive) add_hazard(step, effect, range);
    }
    if (invocation.remote && invocation.nested)
      add_hazard(step, {HazardKind::kRemote, invocation.program + " runs on another machine or in a container"}, range);
  }
  for (const shell::Command& command : step.script.commands)
    for (const Effect& effect : effects_of_redirections(command)) add_hazard(step, effect, step.where(command.span));
  for (const Piece& piece : step.pieces)
    if (piece.kind == Piece::Kind::kInput)
      for (const Effect& effect : effects_of_input(piece)) add_hazard(step, effect, text_range(step, piece));
  for (const VariableUse& use : step.variables)
    if (is_secret_name(use.name))
      add_hazard(step, {HazardKind::kNeedsSecret, "needs the secret " + use.name}, use.range);
}

}  // namespace holdfast::runbook
