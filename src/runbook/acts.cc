#include "runbook/acts.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "runbook/clients.h"
#include "runbook/hazards.h"
#include "runbook/phrases.h"
#include "runbook/shell/parser.h"
#include "runbook/step_builder.h"

namespace holdfast::runbook {

using shell::Invocation;

namespace {

bool contains(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.find(word) != std::string::npos; });
}

std::string whole_of(const Invocation& invocation) {
  std::string text = invocation.path;
  for (const std::string& arg : invocation.args) text += " " + arg;
  return lower(text);
}

bool is_copy_name(const std::string& text) {
  return contains(text, {"backup", "snapshot", "dump", "wal-g", "pgbackrest", "restic", "velero", "postgres-", "/data-",
                         "/config-", ".sql", ".tar"});
}

void copy_acts(const Invocation& invocation, const std::string& text, std::vector<Act>& acts) {
  const std::string& program = invocation.program;
  const bool checks =
      contains(text, {"verify", "validate", "integrity", "check "}) || program == "sha256sum" || program == "md5sum";
  const bool copy = is_copy_name(text);
  const bool test_restore = contains(text, {"test-backup", "backup:test", "test-restore", "restore-test"});
  const bool lists_dump = program == "pg_restore" && (invocation.has("-l") || invocation.has("--list"));
  const bool holdfast = program == "holdfast" && (invocation.begins({"verify"}) || invocation.begins({"check"}) ||
                                                  invocation.begins({"drill"}) || asks_for(invocation, "--dry-run"));
  if ((checks && copy) || test_restore || lists_dump || holdfast || asks_for(invocation, "--validate-only"))
    acts.push_back(Act::kValidatesCopy);
  const bool dumps = program == "pg_dump" || program == "pg_dumpall" || program == "mysqldump" ||
                     program == "pg_basebackup" || program == "mongodump";
  const bool archives = program == "tar" && !invocation.args.empty() &&
                        invocation.args[0].find('c') != std::string::npos &&
                        invocation.args[0].find('x') == std::string::npos;
  const bool saves = contains(text, {"backup create", "snapshot save", "create-db-snapshot", "holdfast backup",
                                     "/backup-", "backup.sh", "bgsave"});
  const bool point = program == "holdfast" && invocation.begins({"backup"});
  if (dumps || archives || saves || point || (program == "mv" && is_aside(copy_target(invocation))))
    acts.push_back(Act::kTakesCopy);
}

bool looks_at_lag(const std::string& text) {
  return contains(text, {"pg_stat_replication", "pg_last_wal", "pg_last_xact", "replication_lag", "pg_wal_lsn_diff",
                         "show replica status", "show slave status", "seconds_behind"});
}

void service_acts(const Invocation& invocation, const std::string& text, std::vector<Act>& acts) {
  const std::string& program = invocation.program;
  const bool compose = program == "docker-compose" || program == "docker";
  const bool ends_machine = contains(text, {"stop-instances", "terminate-instances", "compute instances stop",
                                            "compute instances delete", "vm stop", "vm deallocate", "vm delete"}) &&
                            !asks_for(invocation, "--dry-run");
  if (ends_machine || contains(text, {"iptables", "patronictl pause", "fence", "stonith", "pg_ctl stop"}) ||
      (program == "systemctl" && contains(text, {"stop postgres", "stop patroni"})) ||
      (compose && invocation.begins({"stop"}) && contains(text, {"postgres", "db", "primary"})))
    acts.push_back(Act::kFences);
  const bool fed = invocation.input && is_sql_client(program);
  if (looks_at_lag(text) || contains(text, {"patronictl list", " lag"}) ||
      (fed && looks_at_lag(lower(*invocation.input))))
    acts.push_back(Act::kChecksLag);
  const bool scaled_down =
      program == "kubectl" && invocation.begins({"scale"}) && invocation.option("--replicas") == "0";
  const bool stopped =
      (compose && (invocation.begins({"stop"}) || invocation.begins({"down"}) || invocation.begins({"pause"}))) ||
      (program == "systemctl" && invocation.begins({"stop"}));
  if (scaled_down || stopped ||
      contains(text, {"default_transaction_read_only", "maintenance-mode", "maintenance_mode"}))
    acts.push_back(Act::kStopsWriters);
  const bool started = (compose && (invocation.begins({"up"}) || invocation.begins({"start"}))) ||
                       (program == "systemctl" && invocation.begins({"start"}));
  if (started) acts.push_back(Act::kStartsService);
  const bool looks = contains(text, {"verify", "health", "validate", "integrity", "smoke", "check-", "_check", "-check",
                                     "rollout status", "pg_isready", "select 1", "test-", "ping"}) ||
                     program == "curl" || program == "dig" ||
                     (compose && (invocation.begins({"ps"}) || invocation.begins({"logs"}))) ||
                     (program == "kubectl" &&
                      (invocation.begins({"get"}) || invocation.begins({"wait"}) || invocation.begins({"logs"})));
  if (looks && !contains(text, {"restore"})) acts.push_back(Act::kVerifies);
}

}  // namespace

std::string shortened(std::string_view text, size_t limit_bytes) {
  text = text.substr(0, std::min(text.find('\n'), text.size()));
  while (text.ends_with('\\') || text.ends_with(' ')) text.remove_suffix(1);
  if (text.size() <= limit_bytes) return std::string(text);
  size_t end = limit_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) end--;
  return std::string(text.substr(0, end)) + "...";
}

std::vector<Act> acts_of(const Invocation& invocation) {
  std::vector<Act> acts;
  const std::string text = whole_of(invocation);
  for (const Effect& effect : effects_of(invocation)) {
    // A work tree of git is not the data that copies are kept of.
    if (effect.kind == HazardKind::kDestroys && invocation.program != "git") acts.push_back(Act::kDestroys);
    const bool restores = effect.kind == HazardKind::kWritesData || effect.kind == HazardKind::kRestoresAside;
    if (restores) acts.push_back(Act::kRestores);
    if (effect.kind == HazardKind::kPromotes) acts.push_back(Act::kPromotes);
    if (effect.kind == HazardKind::kSwitchesTraffic) acts.push_back(Act::kSwitchesTraffic);
  }
  copy_acts(invocation, text, acts);
  service_acts(invocation, text, acts);
  return acts;
}

namespace {

bool copies_by_program(const Invocation& invocation, const std::string& text) {
  const std::string& program = invocation.program;
  constexpr std::array<std::string_view, 8> kAlways = {"pg_dump",   "pg_dumpall", "pg_basebackup", "mysqldump",
                                                       "mongodump", "xtrabackup", "mariabackup",   "pg_back"};
  if (std::find(kAlways.begin(), kAlways.end(), program) != kAlways.end()) return true;
  if (program == "redis-cli") return contains(text, {" bgsave", " save", "--rdb"});
  if (program == "velero") return invocation.begins({"backup", "create"});
  if (program == "wal-g") return invocation.begins({"backup-push"});
  if (program == "holdfast" || program == "restic" || program == "pgbackrest" || program == "barman")
    return invocation.begins({"backup"});
  const bool moves = program == "rsync" || program == "tar" || program == "cp" || program == "scp" ||
                     program == "rclone" || program == "gsutil" || program == "aws" || program == "zfs" ||
                     program == "btrfs" || program == "gcloud" || program == "borg";
  return moves && contains(text, {"backup", "snapshot", "dump"}) &&
         !contains(text, {"verify", "check", " rm ", " delete", "prune", " ls", "list"});
}

// "backup-db.sh", "npm run backup:daily", "manage.py dbbackup".
bool copies_by_name(const Invocation& invocation) {
  constexpr std::array<std::string_view, 10> kRunners = {"npm", "yarn", "make", "python", "python3",
                                                         "php", "node", "ruby", "task",   "docker-compose"};
  const bool runner = std::find(kRunners.begin(), kRunners.end(), invocation.program) != kRunners.end();
  const std::vector<std::string> operands = invocation.operands();
  std::string name = lower(invocation.program);
  for (size_t index = 0; index < operands.size() && index < (runner ? 4u : 1u); index++)
    if (operands[index].find(' ') == std::string::npos && (runner || !operands[index].starts_with("/")))
      name += " " + lower(operands[index].substr(operands[index].rfind('/') + 1));
  for (const char* flag :
       {"--check", "--check-only", "--verify-only", "--validate-only", "--dry-run", "--list", "--status"})
    if (asks_for(invocation, flag)) return false;
  constexpr std::array<std::string_view, 22> kElse = {
      "check", "test",  "verif", "valid", "integr", "audit", "monitor", "status", "report", "list",  "prun",
      "clean", "rotat", "expir", "purg",  "delet",  "remov", "drill",   "restor", "notif",  "alert", "exporter"};
  const std::vector<std::string> words = words_of(name);
  const bool does_else = std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return word == "age" || word == "size" || word == "space" ||
           std::any_of(kElse.begin(), kElse.end(), [&](std::string_view stem) { return word.starts_with(stem); });
  });
  return !does_else && contains(name, {"backup", "snapshot", "dump"});
}

bool is_plain_tool(const std::string& program) {
  constexpr std::array<std::string_view, 20> kTools = {"find", "test", "[",    "ls",   "df",   "du",    "rm",
                                                       "curl", "wget", "mail", "echo", "grep", "cat",   "logger",
                                                       "stat", "cd",   "exit", "true", "date", "printf"};
  return std::find(kTools.begin(), kTools.end(), program) != kTools.end();
}

}  // namespace

bool makes_copies(const std::string& command_line) {
  const shell::Script script = shell::parse(command_line);
  const std::vector<Invocation> all = shell::invocations(script);
  return std::any_of(all.begin(), all.end(), [](const Invocation& invocation) {
    if (is_plain_tool(invocation.program)) return false;
    return copies_by_program(invocation, whole_of(invocation)) || copies_by_name(invocation);
  });
}

namespace {

// What a person is told to do: words of a title, and of bullets below it.
void manual_acts(const Step& step, size_t index, std::vector<Done>& done) {
  const std::string words = lower(step.title.text + " " + step.prose);
  if (contains(words, {"verify backup", "validate backup", "backup integrity", "confirm backup"}))
    done.push_back({Act::kValidatesCopy, index, step.range, step.title.text});
  if (contains(words, {"fence", "confirm the primary is down", "stop the primary"}))
    done.push_back({Act::kFences, index, step.range, step.title.text});
  std::vector<Text> told = step.details;
  told.push_back({step.title.text, step.range});
  for (const Text& each : told) {
    const std::string text = lower(each.text);
    if (contains(text, {"switch dns", "redirect dns", "update dns", "point dns", "change dns"}))
      done.push_back({Act::kSwitchesTraffic, index, each.range, each.text});
    if (text.starts_with("restore ") && contains(text, {"database", "data ", "backup"}))
      done.push_back({Act::kRestoresByHand, index, each.range, each.text});
  }
}

// "Promote the replica" above commands of which none is known to promote.
bool promotes_by_title(const Step& step, const std::vector<Done>& done) {
  return lower(step.title.text).starts_with("promote ") &&
         std::none_of(done.begin(), done.end(), [](const Done& each) { return each.act == Act::kPromotes; });
}

}  // namespace

std::vector<Done> acts_of(const Procedure& procedure) {
  std::vector<Done> all;
  for (size_t index = 0; index < procedure.steps.size(); index++) {
    const Step& step = procedure.steps[index];
    std::vector<Done> of_step;
    std::set<SourceRange> work_trees;  // commands of git, whose deletions are none of data
    for (const Invocation& invocation : invocations_of(step.script)) {
      if (invocation.program == "git") work_trees.insert(step.where(invocation.span));
      const std::string what = shortened(std::string_view(step.text).substr(
          std::min<size_t>(invocation.span.begin, step.text.size()), invocation.span.end - invocation.span.begin));
      for (const Act act : acts_of(invocation)) of_step.push_back({act, index, step.where(invocation.span), what});
    }
    // What a program is fed is not among the shell's own commands.
    for (const Hazard& hazard : step.hazards) {
      const bool known =
          work_trees.contains(hazard.range) ||
          std::any_of(of_step.begin(), of_step.end(), [&](const Done& done) { return done.range == hazard.range; });
      if (!known && hazard.kind == HazardKind::kDestroys)
        of_step.push_back({Act::kDestroys, index, hazard.range, hazard.reason});
      if (!known && hazard.kind == HazardKind::kPromotes)
        of_step.push_back({Act::kPromotes, index, hazard.range, hazard.reason});
    }
    if (step.kind == StepKind::kSql && looks_at_lag(lower(step.text)))
      of_step.push_back({Act::kChecksLag, index, step.range, step.title.text});
    for (const Piece& piece : step.pieces)
      if (piece.kind == Piece::Kind::kInput && looks_at_lag(lower(piece.text)))
        of_step.push_back({Act::kChecksLag, index, text_range(step, piece), piece.program});
    if (step.kind == StepKind::kManual) manual_acts(step, index, of_step);
    if (step.kind == StepKind::kShell && promotes_by_title(step, of_step))
      of_step.push_back({Act::kPromotes, index, step.range, step.title.text});
    if (!step.annotations.fence.empty())
      of_step.push_back({Act::kFences, index, step.annotations.range, step.annotations.fence});
    if (!step.annotations.verify.empty())
      of_step.push_back({Act::kVerifies, index, step.annotations.range, step.annotations.verify});
    std::stable_sort(of_step.begin(), of_step.end(),
                     [](const Done& a, const Done& b) { return a.range.begin < b.range.begin; });
    all.insert(all.end(), of_step.begin(), of_step.end());
  }
  return all;
}

namespace {

// The steps of two options of one group never run together.
bool run_together(const Procedure& procedure, const Done& a, const Done& b) {
  const std::optional<size_t> one = procedure.steps[a.step].option, other = procedure.steps[b.step].option;
  return !one || !other || *one == *other || procedure.options[*one].group != procedure.options[*other].group;
}

// Whether one of the acts was done before `until` in the list, in a step that runs together with it.
bool done_before(const Procedure& procedure, const std::vector<Done>& all, size_t until,
                 std::initializer_list<Act> acts) {
  for (size_t index = 0; index < until; index++) {
    if (!run_together(procedure, all[index], all[until])) continue;
    if (std::find(acts.begin(), acts.end(), all[index].act) != acts.end()) return true;
  }
  return false;
}

bool done_after(const Procedure& procedure, const std::vector<Done>& all, size_t from, Act act) {
  return std::any_of(all.begin() + static_cast<std::ptrdiff_t>(from) + 1, all.end(),
                     [&](const Done& done) { return done.act == act && run_together(procedure, done, all[from]); });
}

// Data that users are sent to is made of a copy. Where a standby is promoted instead, the fence is
// asked for there.
bool is_restored(const Procedure& procedure, const std::vector<Done>& all, const Done& moving) {
  const auto does = [&](Act act) {
    return std::any_of(all.begin(), all.end(),
                       [&](const Done& done) { return done.act == act && run_together(procedure, done, moving); });
  };
  return (does(Act::kRestores) || does(Act::kRestoresByHand)) && !does(Act::kPromotes);
}

}  // namespace

std::vector<OrderHazard> order_hazards(const Procedure& procedure) {
  std::vector<OrderHazard> hazards;
  const std::vector<Done> all = acts_of(procedure);
  std::set<std::pair<std::string, SourceRange>> known;
  const auto add = [&](const Done& done, const char* rule, std::string sentence) {
    if (known.insert({rule, done.range}).second) hazards.push_back({rule, std::move(sentence), done.range, done.step});
  };
  for (size_t index = 0; index < all.size(); index++) {
    const Done& done = all[index];
    const std::string where = "step '" + procedure.steps[done.step].title.text + "' ";
    const bool denied = procedure.steps[done.step].annotations.destructive == false;
    if (done.act == Act::kDestroys && !denied &&
        !done_before(procedure, all, index, {Act::kValidatesCopy, Act::kTakesCopy}))
      add(done, "destroys-before-backup-verified",
          where + "destroys data before any copy was proven to be whole: " + done.what);
    if (done.act == Act::kSwitchesTraffic &&
        (done_after(procedure, all, index, Act::kRestores) || done_after(procedure, all, index, Act::kRestoresByHand)))
      add(done, "traffic-before-data",
          where + "sends users to a place whose data is restored only afterwards: " + done.what);
    const bool moves = done.act == Act::kSwitchesTraffic && procedure.kind == ProcedureKind::kScenario;
    if (moves && is_restored(procedure, all, done) && !done_before(procedure, all, index, {Act::kFences}))
      add(done, "traffic-without-fence",
          where + "sends users to restored data while nothing proves that the old place takes no more writes: " +
              done.what);
    if (done.act == Act::kPromotes && !done_before(procedure, all, index, {Act::kFences}))
      add(done, "promotion-without-fence",
          where + "promotes a standby while nothing proves that the old primary has stopped: " + done.what);
    if (done.act == Act::kRestores &&
        !done_before(procedure, all, index, {Act::kStopsWriters, Act::kFences, Act::kDestroys}) &&
        procedure.kind == ProcedureKind::kScenario)
      add(done, "restore-while-writing", where + "restores while applications may still write: " + done.what);
    if (done.act == Act::kStartsService && procedure.kind == ProcedureKind::kScenario &&
        done_before(procedure, all, index, {Act::kSwitchesTraffic}) &&
        !done_before(procedure, all, index, {Act::kRestores}) && done_after(procedure, all, index, Act::kRestores))
      add(done, "service-before-data", where + "starts services before their data is there: " + done.what);
  }
  return hazards;
}

}  // namespace holdfast::runbook
