#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "runbook/lint/context.h"
#include "runbook/phrases.h"

// Copies: how they are made, stored, named and used.

namespace holdfast::runbook::lint {

namespace {

// A bucket's folder and the name in it: "s3://b/postgres/", "postgres-$(date).sql.gz".
struct Object {
  std::string folder, name;
  const Run* run = nullptr;
};

// Substitutions become '*', so that names compare by their shape.
std::string shape_of(const std::string& text) {
  std::string shape;
  for (size_t place = 0; place < text.size(); place++) {
    if (text[place] != '$') {
      shape += text[place];
      continue;
    }
    size_t end = place + 1;
    if (end < text.size() && (text[end] == '(' || text[end] == '{')) {
      const char close = text[end] == '(' ? ')' : '}';
      end = std::min(text.find(close, end), text.size() - 1) + 1;
    } else {
      while (end < text.size() && (std::isalnum(static_cast<unsigned char>(text[end])) != 0 || text[end] == '_')) end++;
    }
    shape += '*';
    place = end - 1;
  }
  return shape;
}

Object object_of(const std::string& url, const Run& run) {
  const std::string shape = shape_of(url);
  const size_t slash = shape.rfind('/');
  return {shape.substr(0, slash + 1), shape.substr(slash + 1), &run};
}

bool is_remote(const std::string& path) { return path.starts_with("s3://") || path.starts_with("gs://"); }

// What copies from one place to another: the operands behind the verb, the target last.
std::vector<std::string> places_of(const shell::Invocation& invocation) {
  std::vector<std::string> operands = invocation.operands();
  size_t verb = 0;
  if (invocation.program == "aws" || (invocation.program == "gcloud" && invocation.begins({"storage"}))) verb = 1;
  const bool known = verb == 1 || invocation.program == "gsutil" || invocation.program == "s3cmd";
  if (!known || operands.size() < verb + 3) return {};
  constexpr std::array<std::string_view, 6> kVerbs = {"cp", "mv", "sync", "rsync", "put", "get"};
  if (std::find(kVerbs.begin(), kVerbs.end(), operands[verb]) == kVerbs.end()) return {};
  operands.erase(operands.begin(), operands.begin() + static_cast<std::ptrdiff_t>(verb) + 1);
  return operands;
}

// From a bucket to a bucket both is fetched and stored.
void objects_of(const Context& context, std::vector<Object>& stored, std::vector<Object>& fetched) {
  for (const Run& run : context.runs) {
    std::vector<std::string> places = places_of(run.invocation);
    if (places.empty()) {
      for (const std::string& arg : run.invocation.args)
        if (const size_t url = arg.find("s3://"); url != std::string::npos && run.invocation.program != "aws")
          fetched.push_back(object_of(arg.substr(url), run));
      continue;
    }
    const std::string to = places.back();
    places.pop_back();
    for (const std::string& from : places) {
      if (is_remote(from)) fetched.push_back(object_of(from, run));
      if (!is_remote(to)) continue;
      Object object = object_of(to, run);
      if (object.name.empty()) object.name = shape_of(from.substr(from.rfind('/') + 1));
      stored.push_back(std::move(object));
    }
  }
}

void check_objects(const Context& context, Report& report) {
  std::vector<Object> stored, fetched;
  objects_of(context, stored, fetched);
  std::map<std::string, std::set<std::string>> names;
  for (const Object& each : stored) names[each.folder].insert(each.name);
  for (const Object& each : fetched) {
    const auto folder = names.find(each.folder);
    const bool literal = each.name.find('*') == std::string::npos && !each.name.empty();
    if (folder != names.end() && literal && !folder->second.contains(each.name))
      report.add(
          "artefact-never-made", each.run->range,
          each.folder + each.name + " is fetched, but only " + *folder->second.begin() + " is ever stored there");
  }
  // A file's default, as in ${1:-latest}, is a name that has to exist.
  for (const EmbeddedFile& file : context.document.embedded_files)
    for (const shell::Command& command : file.script.commands)
      for (const shell::Assignment& assignment : command.assignments)
        if (assignment.value.raw.find(":-latest}") != std::string::npos && !names.empty())
          for (const Object& each : fetched)
            if (each.run->file == &file && names.contains(each.folder) && each.name.find('*') != std::string::npos)
              report.add("artefact-never-made", each.run->range,
                         "with its default this fetches a '-latest' name, which nothing in the document stores");
  std::map<const Procedure*, std::set<std::string>> used;
  std::map<const Procedure*, const Run*> first;
  for (const Object& each : fetched) {
    if (!each.run->in_scenario() || !names.contains(each.folder)) continue;
    used[each.run->procedure].insert(each.folder);
    first.try_emplace(each.run->procedure, each.run);
  }
  for (const auto& [procedure, folders] : used)
    for (const auto& [folder, kept] : names)
      if (folders.size() > 1 && !folders.contains(folder))
        report.add("copy-never-restored", first[procedure]->range,
                   "this scenario fetches " + std::to_string(folders.size()) + " of the copies, but not " + folder);
}

bool protects(const Run& run) {
  return contains_any(run.small, {"gpg", "age ", "openssl enc", "--sse", "kms", "restic", "holdfast"});
}

void check_storage(const Context& context, Report& report) {
  const bool retention = contains_any(context.all_text, {"retention", "lifecycle", "versioning"});
  const bool checksums = contains_any(context.all_text, {"sha256sum", "checksum", "md5sum"});
  const bool encrypted = std::any_of(context.runs.begin(), context.runs.end(), protects);
  for (const Run& run : context.runs) {
    const std::vector<std::string> operands = run.invocation.operands();
    const bool upload = run.invocation.program == "aws" && operands.size() >= 4 && operands[0] == "s3" &&
                        operands[3].starts_with("s3://") && !operands[2].starts_with("s3://");
    if (upload && !protects(run)) {
      std::string missing;
      for (const auto& [has, word] :
           {std::pair{encrypted, "encryption"}, {checksums, "checksum"}, {retention, "retention"}})
        if (!has) missing += (missing.empty() ? "" : ", ") + std::string(word);
      if (!missing.empty()) report.add("copy-unprotected", run.range, "the copy is stored without: " + missing);
    }
    const bool archives = run.invocation.program == "tar" || upload;
    if (!archives || encrypted) continue;
    for (const std::string& operand : operands)
      if (operand.ends_with("/.env") || operand == ".env" || operand.ends_with(".pem") || operand.ends_with(".key") ||
          operand.ends_with("/secrets"))
        report.add("secrets-in-copy", run.range, operand + " holds secrets and is stored as it is");
  }
}

// $(date ...) that stands for the copy's day.
void check_dates(const Context& context, Report& report) {
  bool utc = false;
  for (const Schedule& each : context.document.schedules) utc = utc || each.text.text.find("UTC") != std::string::npos;
  for (const Procedure* procedure : context.procedures) {
    for (const Step& step : procedure->steps) {
      std::map<std::string, int> dates;
      for (const shell::Command& command : step.script.commands) {
        std::vector<const shell::Word*> words;
        for (const shell::Word& word : command.words) words.push_back(&word);
        std::vector<const shell::Expansion*> expansions;
        for (const shell::Word* word : words)
          for (const shell::Expansion& expansion : word->expansions) expansions.push_back(&expansion);
        for (const shell::Redirection& redirection : command.redirections)
          for (const shell::Expansion& expansion : redirection.target.expansions) expansions.push_back(&expansion);
        for (const shell::Expansion* expansion : expansions) {
          if (expansion->kind != shell::Expansion::Kind::kCommand || !expansion->text.starts_with("date ")) continue;
          const SourceRange range = step.where(expansion->span);
          const bool file_name = expansion->text.find("%d") != std::string::npos;
          const bool relative =
              expansion->text.find("-d") != std::string::npos || expansion->text.find("--date") != std::string::npos;
          if (!file_name) continue;
          const bool restores = contains_any(lower(command.word(0) + " " + command.word(1)), {"restore"}) ||
                                procedure->kind == ProcedureKind::kScenario;
          const bool lists = command.word(0) == "ls" || command.word(0) == "du" || command.word(0) == "stat";
          const bool makes =
              lists || command.word(0) == "velero" || command.word(1) == "create" || !command.redirections.empty();
          if (restores && !relative && !makes)
            report.add("restores-todays-copy", range,
                       "$(" + expansion->text +
                           ") names today's copy: it is absent before the backup has run, and may be the damaged one");
          if (++dates[expansion->text] == 2)
            report.add("date-evaluated-twice", range,
                       "$(" + expansion->text + ") is computed again here: across midnight the names differ");
          if (utc && expansion->text.find("-u") == std::string::npos && dates[expansion->text] == 1)
            report.add("local-date-against-utc", range,
                       "the schedule is in UTC, $(" + expansion->text + ") is the local date");
        }
      }
    }
  }
}

// "20251104" alone or between other characters than digits.
bool has_compact_date(const std::string& text) {
  size_t digits = 0;
  for (size_t place = 0; place <= text.size(); place++) {
    if (place < text.size() && std::isdigit(static_cast<unsigned char>(text[place])) != 0) {
      digits++;
      continue;
    }
    if (digits == 8 && text.compare(place - 8, 2, "20") == 0) return true;
    digits = 0;
  }
  return false;
}

// "psql < backup_20251104.sql", "aws s3 sync s3://bucket/20251104/ /data": an old copy, whatever came since.
void check_dated_copies(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    if (!run.in_scenario() || run.step->kind != StepKind::kShell) continue;
    const std::vector<Act> acts = acts_of(run.invocation);
    const bool restores = std::find(acts.begin(), acts.end(), Act::kRestores) != acts.end();
    const std::vector<std::string> operands = run.invocation.operands();
    const bool fetches = run.invocation.program == "aws" && operands.size() >= 3 && operands[0] == "s3" &&
                         (operands[1] == "cp" || operands[1] == "sync") && operands[2].starts_with("s3://");
    if (!restores && !fetches) continue;
    std::vector<std::string> sources = fetches ? std::vector<std::string>{operands[2]} : operands;
    for (const shell::Redirection& redirection : run.invocation.command->redirections)
      if (redirection.op == "<") sources.push_back(redirection.target.value);
    for (const std::string& source : sources)
      if (has_compact_date(source))
        report.add("hardcoded-target-time", run.range, source + " is a copy of the past that somebody wrote down");
  }
}

void check_literals(const Context& context, Report& report) {
  check_dated_copies(context, report);
  const auto is_timestamp = [](const std::string& text) {
    size_t digits = 0;
    for (size_t place = 0; place < text.size(); place++) {
      digits = std::isdigit(static_cast<unsigned char>(text[place])) != 0 ? digits + 1 : 0;
      if (digits == 4 && text.compare(place + 1, 1, "-") == 0 && place + 6 < text.size() && text[place + 4] == '-' &&
          text.compare(place - 3, 2, "20") == 0)
        return true;
    }
    return false;
  };
  for (const Run& run : context.runs) {
    if (run.procedure == nullptr) continue;
    for (const char* name : {"--target-time", "--restore-time", "--recovery-target-time", "--db-snapshot-identifier",
                             "--snapshot-identifier"}) {
      if (!run.in_scenario() && std::string_view(name).ends_with("identifier")) continue;
      const std::string value = run.invocation.option(name);
      if (is_timestamp(value))
        report.add("hardcoded-target-time", run.range,
                   std::string(name) + "=" + value + " is an instant of the past that somebody wrote down");
    }
  }
  for (const Procedure* procedure : context.procedures)
    for (const Step& step : procedure->steps)
      for (const shell::Command& command : step.script.commands)
        for (const shell::Assignment& assignment : command.assignments)
          if (contains_any(lower(assignment.name), {"recovery_time", "target_time", "restore_time"}) &&
              is_timestamp(assignment.value.value))
            report.add(
                "hardcoded-target-time", step.where(assignment.span),
                assignment.name + "=" + assignment.value.value + " is an instant of the past that somebody wrote down");
}

void check_dumps(const Context& context, Report& report) {
  const bool globals =
      contains_any(context.all_text, {"pg_dumpall", "--globals-only", "pg_basebackup", "wal receive", "holdfast"});
  for (const Run& run : context.runs) {
    const std::string& program = run.invocation.program;
    if (program == "pg_dump" && !globals &&
        (run.procedure == nullptr || run.procedure->kind == ProcedureKind::kPreparation))
      report.add("roles-not-dumped", run.range,
                 "pg_dump leaves out roles, their passwords and tablespaces, and nothing else saves them");
    const bool loads =
        program == "psql" && run.invocation.has_input && !run.says("on_error_stop") && run.says(" -c ") == false;
    const bool literal = run.text.find("<<") != std::string::npos;
    if (loads && !literal && !run.invocation.has("-1") && !run.invocation.has("--single-transaction"))
      report.add("psql-no-stop-on-error", run.range,
                 "psql goes on after an error and exits 0: half a restore looks like a whole one");
  }
}

}  // namespace

void check_copies(const Context& context, Report& report) {
  check_objects(context, report);
  check_storage(context, report);
  check_dates(context, report);
  check_literals(context, report);
  check_dumps(context, report);
}

}  // namespace holdfast::runbook::lint
