#include "runbook/hazards.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <string_view>

#include "runbook/clients.h"
#include "runbook/hazard_table.h"
#include "runbook/phrases.h"
#include "runbook/shell/parser.h"
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
  if (invocation.has("--dry-run") || invocation.has("--dryrun"))
    return program != "kubectl" && program != "oc";  // what that prints may be applied
  const bool short_word = program == "rsync" || program == "pg_rewind" || program == "git" || program == "zfs";
  return invocation.has("--validate-only") || (short_word && invocation.has("-n"));
}

// gcloud dns record-sets list, aws configure get.
bool only_looks(const Invocation& invocation, const std::vector<std::string>& words) {
  const std::string& program = invocation.program;
  const bool has_verbs = program == "gcloud" || program == "az";
  if (has_verbs && std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return word == "list" || word == "show" || word == "describe";
      }))
    return true;
  return program == "aws" && invocation.begins({"configure"}) && words.size() > 1 && words[1] != "sso";
}

// restic restore --target /tmp/look: nothing that is in use is overwritten.
bool restores_aside(const Invocation& invocation) {
  return invocation.program == "restic" && invocation.option("--target").starts_with("/tmp/");
}

bool is_temporary(const std::string& path) {
  return path.starts_with("/tmp/") || path.starts_with("/var/tmp/") || path.find(".tmp") != std::string::npos ||
         path.starts_with("$TMPDIR") || path.starts_with("${TMPDIR");
}

// The words that a row's are held against; a Redis server takes them in either case.
std::vector<std::string> words_given(const Invocation& invocation) {
  if (invocation.program != "redis-cli") return invocation.operands();
  std::vector<std::string> words = redis_words(invocation);
  for (std::string& word : words)
    for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return words;
}

bool fits(const Invocation& invocation, const KnownEffect& known) {
  if (invocation.program != known.program || rehearses(invocation) || restores_aside(invocation)) return false;
  if (!known.flags.empty() && given_flag(invocation, known).empty()) return false;
  if (known.program == "pg_restore" && (invocation.has("--list") || invocation.has("-l"))) return false;
  std::vector<std::string> wanted = split_words(known.operands);
  const std::vector<std::string> given = words_given(invocation);
  if (only_looks(invocation, given)) return false;
  if (known.program == "rsync" && !given.empty() && is_temporary(given.back())) return false;
  if (!wanted.empty() && wanted.front() == "*") {
    wanted.erase(wanted.begin());
    return std::search(given.begin(), given.end(), wanted.begin(), wanted.end()) != given.end();
  }
  return given.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), given.begin());
}

std::string shown(const Invocation& invocation, const KnownEffect& known) {
  std::string text = invocation.program;
  const std::string_view operands = known.operands.starts_with("* ") ? known.operands.substr(2) : known.operands;
  if (!operands.empty()) text += " " + std::string(operands);
  if (const std::string flag = given_flag(invocation, known); !flag.empty()) text += " " + flag;
  return text;
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

// "main.old", "data-backup": a copy beside the data.
bool is_aside(const std::string& path) {
  const std::string name = lower(path);
  constexpr std::array<std::string_view, 6> kNames = {"old", "bak", "backup", "broken", "corrupt", "orig"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

bool is_setting(const std::string& path) {
  return path.ends_with(".conf") || path.ends_with(".signal") || path.ends_with(".crt") || path.ends_with(".key") ||
         path.ends_with(".pem");
}

// cp, mv and rsync of data to where a server keeps its own.
bool overwrites_data(const Invocation& invocation) {
  const std::string& program = invocation.program;
  if (program != "cp" && program != "mv" && program != "rsync") return false;
  std::vector<std::string> sources = invocation.operands();
  if (sources.size() < 2) return false;
  const std::string target = sources.back();
  sources.pop_back();
  if (!is_data_directory(target) || is_aside(target)) return false;
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
  const bool temporary = !operands.empty() && std::all_of(operands.begin(), operands.end(), is_temporary);
  if (program == "rm" && !temporary) add(effects, HazardKind::kDestroys, "rm deletes files");
  const std::string size = invocation.has("--size") ? invocation.option("--size") : invocation.option("-s");
  if (program == "truncate" && (size == "0" || invocation.has("-s0")) &&
      !is_temporary(operands.empty() ? "" : operands.back()))
    add(effects, HazardKind::kDestroys, "truncate empties files");
  if (overwrites_data(invocation) && !rehearses(invocation))
    add(effects, HazardKind::kWritesData, program + " writes over a server's data directory");
  if (program == "find" && invocation.has("-delete")) add(effects, HazardKind::kDestroys, "find -delete deletes files");
  if (program == "dd" && std::any_of(invocation.args.begin(), invocation.args.end(),
                                     [](const std::string& arg) { return arg.starts_with("of="); }))
    add(effects, HazardKind::kDestroys, "dd overwrites its target");
  if (program.starts_with("mkfs."))
    add(effects, HazardKind::kDestroys, program + " makes a new file system over the old one");
  const bool extracts = program == "tar" && extracts_files(invocation);
  if (extracts && (invocation.option("-C") == "/" || invocation.has("-P")))
    add(effects, HazardKind::kWritesData, "tar overwrites files below /");
  const std::string directory =
      invocation.has("--directory") ? invocation.option("--directory") : invocation.option("-C");
  if (extracts && is_data_directory(directory) && !is_aside(directory))
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

void database_effects(const Invocation& invocation, std::vector<Effect>& effects) {
  for (Effect& effect : effects_of_sql(sql_of(invocation))) effects.push_back(std::move(effect));
  const bool client = is_sql_client(invocation.program);
  const bool loads = client && sql_of(invocation).empty() && invocation.has_input;
  if (loads) add(effects, HazardKind::kWritesData, invocation.program + " runs what it is fed");
  if (!client) return;
  const std::vector<std::string> files = sql_files_of(invocation);
  const bool changes = std::any_of(files.begin(), files.end(), [](const std::string& file) {
    const std::string name = lower(file);
    return name.find("check") == std::string::npos && name.find("verify") == std::string::npos;
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

std::vector<Effect> effects_of_redirections(const shell::Command& command) {
  std::vector<Effect> effects;
  const std::string& program = command.word(0);
  const bool writes_nothing = (command.words.empty() && !command.compound) || program == ":" || program == "true" ||
                              (program == "cat" && command.word(1) == "/dev/null");
  if (!writes_nothing) return effects;
  for (const shell::Redirection& each : command.redirections) {
    const std::string& target = each.target.value;
    const bool own = target.starts_with("/") && !is_temporary(target) && !target.starts_with("/dev/") &&
                     !target.starts_with("/proc/") && !target.starts_with("/sys/");
    if ((each.op == ">" || each.op == ">|") && each.fd <= 1 && own)
      add(effects, HazardKind::kDestroys, "> " + target + " empties the file");
  }
  return effects;
}

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

// Of what a program is fed. Redis takes each line for a command.
std::vector<Effect> effects_of_input(const Piece& piece) {
  std::vector<Effect> effects = effects_of_sql(piece.text);
  if (piece.program.find("mongo") != std::string::npos)
    for (Effect& effect : effects_of_mongo(piece.text)) effects.push_back(std::move(effect));
  if (piece.program.find("redis-cli") == std::string::npos) return effects;
  std::string_view rest = piece.text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const shell::Script script = shell::parse(piece.program + " " + std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    for (const Invocation& invocation : shell::invocations(script))
      for (Effect& effect : effects_of(invocation))
        if (effect.kind != HazardKind::kInteractive) effects.push_back(std::move(effect));
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
