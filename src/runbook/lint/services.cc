#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "runbook/clients.h"
#include "runbook/lint/context.h"
#include "runbook/phrases.h"

// Services, regions, and the order of what is done to them.

namespace holdfast::runbook::lint {

namespace {

void check_order(const Context& context, Report& report) {
  for (const Procedure& procedure : context.document.scenarios)
    for (const OrderHazard& hazard : order_hazards(procedure)) report.add(hazard.rule, hazard.range, hazard.sentence);
}

// Into a file: by a redirection, or as tee does.
bool stores_output(const Run& run) {
  const auto keeps = [](const std::string& path) { return path != "-" && !path.starts_with("/dev/"); };
  const auto& redirections = run.invocation.command->redirections;
  const std::vector<std::string> operands = run.invocation.operands();
  return std::any_of(redirections.begin(), redirections.end(),
                     [&](const auto& each) {
                       const bool writes = each.op == ">" || each.op == ">>" || each.op == ">|" || each.op == "&>";
                       return writes && each.fd != 2 && keeps(each.target.value);
                     }) ||
         (run.invocation.program == "tee" && std::any_of(operands.begin(), operands.end(), keeps));
}

// "docker-compose logs > incident.log", "docker logs x | gzip > x.gz": what was there is kept for
// later. In "docker logs x | tail" it is only looked at.
bool saves_logs(const Context& context, size_t index) {
  const Run& run = context.runs[index];
  if (!run.says(" logs") && !run.says("journalctl")) return false;
  constexpr size_t kStages = 16;
  for (size_t later = index; later < std::min(context.runs.size(), index + kStages); later++) {
    const Run& other = context.runs[later];
    if (other.step != run.step || other.invocation.command->pipeline != run.invocation.command->pipeline) return false;
    if (stores_output(other)) return true;
  }
  return false;
}

void check_evidence(const Context& context, Report& report) {
  const Procedure* saved = nullptr;
  for (size_t index = 0; index < context.runs.size(); index++) {
    const Run& run = context.runs[index];
    if (!run.in_scenario()) continue;
    if (saves_logs(context, index)) saved = run.procedure;
    const bool prunes =
        run.invocation.program == "docker" && (run.says("system prune") || run.says("container prune") ||
                                               run.says("volume prune") || run.invocation.begins({"rm"}));
    const bool removes = run.invocation.program == "docker-compose" && run.invocation.begins({"down"});
    const bool logs = run.says("journalctl --vacuum");
    if ((prunes || removes || logs) && saved != run.procedure)
      report.add("evidence-destroyed", run.range,
                 "what failed, and its logs, are gone before anybody has looked for the cause");
  }
}

void check_promotion(const Context& context, Report& report) {
  for (const Procedure& procedure : context.document.scenarios) {
    const std::vector<Done> all = acts_of(procedure);
    for (size_t index = 0; index < all.size(); index++) {
      if (all[index].act != Act::kPromotes) continue;
      const bool lag = std::any_of(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(index),
                                   [](const Done& done) { return done.act == Act::kChecksLag; });
      if (!lag)
        report.add("promotion-without-lag-check", all[index].range,
                   "nobody looks how far the standby is behind: that much is lost");
      const bool rebuilds = context.mentions("pg_rewind") || context.mentions("pg_basebackup") ||
                            context.mentions("reinit") || context.mentions("rebuild the replica");
      if (!rebuilds)
        report.add("promotion-without-rebuild", all[index].range,
                   "after this there is no standby, and nothing says how to make one");
    }
  }
}

void check_way_back(const Context& context, Report& report) {
  const bool way_back =
      contains_any(context.all_text, {"failback", "fail back", "fail-back", "switch back", "rollback", "roll back"});
  if (way_back) return;
  for (const Procedure& procedure : context.document.scenarios)
    for (const Step& step : procedure.steps)
      for (const Hazard& hazard : step.hazards)
        if (hazard.kind == HazardKind::kSwitchesTraffic || hazard.kind == HazardKind::kPromotes)
          report.add("no-way-back", hazard.range, "nothing in the document says how to return: " + hazard.reason);
}

// What has no undo, and of which nothing is moved aside or copied before.
void check_rollback(const Context& context, Report& report) {
  for (const Procedure& procedure : context.document.scenarios) {
    const std::vector<Done> all = acts_of(procedure);
    const auto kept_before = [&](Position place) {
      return std::any_of(all.begin(), all.end(),
                         [&](const Done& done) { return done.act == Act::kTakesCopy && done.range.begin < place; });
    };
    for (const Step& step : procedure.steps) {
      if (!step.annotations.compensate.empty() || step.annotations.destructive == false) continue;
      for (const Hazard& hazard : step.hazards)
        if (hazard.kind == HazardKind::kIrreversible && !kept_before(hazard.range.begin))
          report.add("no-rollback", hazard.range, "nothing is kept of what is there: " + hazard.reason);
    }
  }
}

// Restores and deletions after which nobody looks whether they have worked.
void check_outcome(const Context& context, Report& report) {
  for (const Procedure& procedure : context.document.scenarios) {
    const std::vector<Done> all = acts_of(procedure);
    for (size_t index = 0; index < all.size(); index++) {
      if (all[index].act != Act::kRestores) continue;
      const bool looked =
          std::any_of(all.begin() + static_cast<std::ptrdiff_t>(index) + 1, all.end(),
                      [](const Done& done) { return done.act == Act::kVerifies || done.act == Act::kValidatesCopy; });
      const bool manual = std::any_of(procedure.steps.begin() + static_cast<std::ptrdiff_t>(all[index].step),
                                      procedure.steps.end(), [](const Step& step) {
                                        return step.kind == StepKind::kManual &&
                                               contains_any(lower(step.title.text), {"verif", "check", "validat"});
                                      });
      if (!looked && !manual)
        report.add("step-without-verification", all[index].range, "nothing afterwards proves that this has worked");
    }
  }
}

void check_volumes(const Context& context, Report& report) {
  for (size_t index = 0; index < context.runs.size(); index++) {
    const Run& run = context.runs[index];
    if (run.invocation.program != "docker" || !run.says("volume rm") || run.procedure == nullptr) continue;
    for (size_t before = 0; before < index; before++) {
      const Run& other = context.runs[before];
      if (other.procedure != run.procedure || other.invocation.program != "docker-compose" ||
          !other.invocation.begins({"stop"}))
        continue;
      report.add("volume-in-use", run.range,
                 "the container that was stopped in line " + std::to_string(other.range.begin.line) +
                     " still exists: Docker refuses to remove its volume");
    }
  }
}

// A script of the document that starts what the next steps start again.
void check_double_start(const Context& context, Report& report) {
  const auto starts = [](const Run& run) {
    return run.invocation.program == "docker-compose" && run.invocation.begins({"up"});
  };
  std::set<std::string> scripts;
  for (const Run& run : context.runs)
    if (run.file != nullptr && !run.file->path.empty() && starts(run))
      scripts.insert(run.file->path.text.substr(run.file->path.text.rfind('/') + 1));
  const Run* call = nullptr;  // the first one of the scenario that starts services
  for (const Run& run : context.runs) {
    if (!run.in_scenario()) continue;
    if (call != nullptr && call->procedure != run.procedure) call = nullptr;
    if (call != nullptr && starts(run))
      report.add("services-started-twice", run.range,
                 call->invocation.program + " (line " + std::to_string(call->range.begin.line) +
                     ") has started these services already");
    if (call == nullptr && scripts.contains(run.invocation.program)) call = &run;
  }
}

void check_stateful(const Context& context, Report& report) {
  constexpr std::array<std::string_view, 6> kStateful = {"redis",    "mongo",         "mysql",
                                                         "rabbitmq", "elasticsearch", "minio"};
  std::set<std::string> reported;
  for (const Run& run : context.runs) {
    if (run.invocation.program != "docker-compose" || !run.invocation.begins({"up"})) continue;
    for (const std::string& operand : run.invocation.operands()) {
      const auto* known = std::find_if(kStateful.begin(), kStateful.end(),
                                       [&](std::string_view name) { return operand.find(name) != std::string::npos; });
      if (known == kStateful.end() || !reported.insert(std::string(*known)).second) continue;
      const bool saved = std::any_of(context.runs.begin(), context.runs.end(), [&](const Run& other) {
        return contains_any(other.small, {"backup", "bgsave", "dump", "snapshot", "s3 cp", "tar -c"}) &&
               other.says(*known);
      });
      if (!saved)
        report.add("stateful-service-without-backup", run.range,
                   operand + " holds state, and nothing in the document saves it");
    }
  }
}

void check_managed(const Context& context, Report& report) {
  bool database = false, cache = false;
  for (const VariableDefinition& each : context.document.variables) {
    const std::string value = lower(each.value.text);
    database = database || contains_any(value, {".rds.amazonaws.com", ".cloudsql", ".postgres.database.azure.com"});
    cache = cache || contains_any(value, {".cache.amazonaws.com", ".redis.cache.windows.net"});
  }
  for (const Run& run : context.runs) {
    if (run.procedure == nullptr) continue;
    const std::string& program = run.invocation.program;
    const bool own_server = program == "pg_ctl" ||
                            (program == "systemctl" && contains_any(run.small, {"postgres", "mysql", "mariadb"})) ||
                            run.says("/var/log/postgresql") || run.says("/var/lib/postgresql");
    const bool container = (program == "docker" || program == "docker-compose") &&
                           contains_any(run.small, {" db", "-db", "postgres", "mysql"});
    const bool redis = contains_any(run.small, {"redis"}) &&
                       (program == "docker" || program == "docker-compose" || program == "systemctl" ||
                        (program == "kubectl" && run.says("rollout restart")));
    const bool greps = program == "grep" && contains_any(run.small, {"postgres"}) && run.invocation.command->stage > 0;
    if (database && (own_server || container || greps))
      report.add("managed-service-host-command", run.range,
                 "the database is a managed service (by the document's own host names): there is no such process or "
                 "container to work on");
    if (cache && redis)
      report.add("managed-service-host-command", run.range,
                 "the cache is a managed service (by the document's own host names): there is no such process or "
                 "container to work on");
  }
}

std::string region_in(const std::string& text) {
  // xx-direction-N
  const std::string small = lower(text);
  for (size_t place = 0; place + 8 < small.size(); place++) {
    for (const std::string_view direction :
         {"-east-", "-west-", "-north-", "-south-", "-central-", "-northeast-", "-southeast-"}) {
      if (small.compare(place + 2, direction.size(), direction) != 0) continue;
      const size_t end = place + 2 + direction.size();
      if (end < small.size() && std::isdigit(static_cast<unsigned char>(small[end])) != 0)
        return small.substr(place, end + 1 - place);
    }
  }
  return "";
}

bool speaks_of_region(const Procedure& procedure) {
  std::string words = lower(procedure.title.text);
  for (const Phase& phase : procedure.phases) words += " " + lower(phase.title.text);
  for (const Step& step : procedure.steps) words += " " + lower(step.title.text);
  return contains_any(words, {"region", "data center", "datacenter", "infrastructure failure", "secondary"});
}

void check_regions(const Context& context, Report& report) {
  std::set<std::string> own;
  for (const VariableDefinition& each : context.document.variables)
    if (const std::string region = region_in(each.value.text); !region.empty()) own.insert(region);
  const bool switched =
      contains_any(context.all_text, {"use-context", "--context", "update-kubeconfig", "kubeconfig="});
  std::map<const Procedure*, bool> of_region;
  for (const Run& run : context.runs) {
    if (!run.in_scenario()) continue;
    const auto known = of_region.find(run.procedure);
    const bool speaks = known != of_region.end() ? known->second : speaks_of_region(*run.procedure);
    of_region.emplace(run.procedure, speaks);
    if (!speaks) continue;
    const std::string source = lower(run.invocation.option("--source-region"));
    if (own.contains(source))
      report.add("restore-from-failed-region", run.range,
                 "the copy is read from " + source + ", the region that is lost in this scenario");
    if (run.invocation.program == "kubectl" && !switched)
      report.add("context-not-switched", run.range,
                 "kubectl still talks to the cluster of the region that is lost: nothing switches its context");
  }
}

void check_clients(const Context& context, Report& report) {
  std::set<std::string> hosts;
  for (const VariableDefinition& each : context.document.variables) hosts.insert(each.name.text);
  for (const Run& run : context.runs) {
    const bool psql = run.invocation.program == "psql" && hosts.contains("DB_HOST") && !run.invocation.has("-h") &&
                      !run.invocation.has("--host") && !run.says("host=") && !run.says("://");
    const bool redis = run.invocation.program == "redis-cli" && hosts.contains("REDIS_HOST") &&
                       !run.invocation.has("-h") && !run.invocation.has("-u");
    if ((psql || redis) && !run.invocation.remote)
      report.add(
          "client-without-host", run.range,
          run.invocation.program + " without a host reaches this machine, not the server that the document names");
  }
}

void check_health(const Context& context, Report& report) {
  for (const Run& run : context.runs) {
    if (run.invocation.program != "grep" || run.invocation.command->stage == 0) continue;
    const std::vector<std::string> operands = run.invocation.operands();
    if (!operands.empty() && (operands[0] == "Up" || lower(operands[0]) == "running"))
      report.add(
          "health-by-grep", run.range,
          "'" + operands[0] + "' also stands in the line of a container that is unhealthy or starts over and over");
  }
}

void check_notification(const Context& context, Report& report) {
  for (const Run& run : context.runs)
    if ((run.invocation.program == "mail" || run.invocation.program == "sendmail") && run.procedure != nullptr &&
        run.in_scenario())
      report.add("notification-from-failed-host", run.range,
                 "mail is sent by the system that has failed: it may never leave");
}

void check_corruption(const Context& context, Report& report) {
  if (contains_any(context.all_text,
                   {"amcheck", "verify_heapam", "bt_index_check", "pg_checksums", "mysqlcheck", "dbcc"}))
    return;
  for (const Procedure& procedure : context.document.scenarios) {
    for (const Step& step : procedure.steps) {
      const bool asks = contains_any(lower(step.title.text + " " + procedure.title.text), {"corrupt", "integrity"});
      const std::vector<shell::Invocation> all = shell::invocations(step.script);
      const bool queries = step.kind == StepKind::kSql ||
                           std::any_of(all.begin(), all.end(), [](const auto& each) { return !sql_of(each).empty(); });
      const bool catalogs =
          queries && contains_any(lower(step.text), {"pg_stat_", "pg_index", "indisvalid", "pg_catalog"});
      if (asks && catalogs)
        report.add("corruption-check-too-weak", step.range,
                   "these queries read statistics and catalogs: they find neither a damaged page nor a damaged index");
    }
  }
}

}  // namespace

void check_services(const Context& context, Report& report) {
  check_order(context, report);
  check_evidence(context, report);
  check_promotion(context, report);
  check_way_back(context, report);
  check_rollback(context, report);
  check_outcome(context, report);
  check_volumes(context, report);
  check_double_start(context, report);
  check_stateful(context, report);
  check_managed(context, report);
  check_regions(context, report);
  check_clients(context, report);
  check_health(context, report);
  check_notification(context, report);
  check_corruption(context, report);
}

}  // namespace holdfast::runbook::lint
