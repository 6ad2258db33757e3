// Covers: what the two seed runbooks say is in the model, item by item: scenarios, symptoms,
// steps, options, windows, objectives, severities, contacts, schedules, files, metrics.

#include <gmock/gmock.h>

#include "documents.h"

namespace holdfast::runbook::test {
namespace {

using testing::ElementsAre;

std::vector<std::string> titles(const std::vector<Procedure>& procedures) {
  std::vector<std::string> result;
  for (const Procedure& each : procedures) result.push_back(each.number + " " + each.title.text);
  return result;
}

std::vector<std::string> steps_of(const Procedure& procedure) {
  std::vector<std::string> result;
  for (const Step& each : procedure.steps) result.push_back(each.id + "@" + std::to_string(each.range.begin.line));
  return result;
}

std::string window_of(const Step& step) {
  if (!step.budget) return "none";
  return std::string(step.budget->kind == Budget::Kind::kWindow ? "window " : "duration ") +
         format_duration(step.budget->least) + " to " + (step.budget->most ? format_duration(*step.budget->most) : "");
}

TEST(ClaudeCodeManager, Objectives) {
  DOCUMENT_OR_SKIP(document, "seeds", "000_");
  std::vector<std::string> found;
  for (const Objective& each : document.objectives)
    found.push_back(each.subject.text + " " + format_duration(*each.rto->most) + " " +
                    format_duration(*each.rpo->most) + " " + each.priority.text);
  EXPECT_THAT(found,
              ElementsAre("API Service 1 h 0 min 15 min 0 s Critical", "Task Database 2 h 0 min 5 min 0 s Critical",
                          "GitHub Integration 30 min 0 s 5 min 0 s High",
                          "Monitoring/Metrics 4 h 0 min 1 h 0 min Medium", "Documentation 1 d 0 h 1 d 0 h Low"));
}

TEST(ClaudeCodeManager, ScenariosAndSteps) {
  DOCUMENT_OR_SKIP(document, "seeds", "000_");
  EXPECT_THAT(titles(document.scenarios),
              ElementsAre("1 Complete System Failure", "2 Database Corruption/Loss", "3 GitHub API Integration Failure",
                          "4 Data Center/Cloud Provider Outage"));
  const Procedure& first = scenario(document, "1");
  EXPECT_THAT(texts(first.symptoms),
              ElementsAre("Application completely unresponsive", "All services down", "Infrastructure unavailable"));
  EXPECT_THAT(texts(first.impact),
              ElementsAre("Service downtime: Complete outage", "Data loss risk: High without proper backups",
                          "Business impact: Critical"));
  EXPECT_THAT(steps_of(first),
              ElementsAre("immediate-response@82", "infrastructure-recovery@95", "service-restoration@108"));
  EXPECT_EQ(window_of(first.steps[0]), "window 0.00 s to 15 min 0 s");
  EXPECT_EQ(window_of(first.steps[1]), "window 15 min 0 s to 45 min 0 s");
  EXPECT_EQ(window_of(first.steps[2]), "window 45 min 0 s to 1 h 0 min");
  EXPECT_TRUE(first.steps[1].destructive());
  EXPECT_THAT(texts(scenario(document, "2").symptoms),
              ElementsAre("Database connection errors", "Data inconsistency", "Database container failing to start"));
  EXPECT_THAT(steps_of(scenario(document, "2")),
              ElementsAre("stop-application-services@132", "assess-database-damage@137", "restore-database@146",
                          "verification@161"));
  EXPECT_THAT(texts(scenario(document, "3").symptoms),
              ElementsAre("Unable to create GitHub issues", "Authentication errors with GitHub",
                          "GitHub API rate limit exceeded"));
  EXPECT_THAT(steps_of(scenario(document, "3")),
              ElementsAre("check-github-status@179", "verify-credentials@185", "implement-fallback-procedures@194"));
  EXPECT_THAT(
      texts(scenario(document, "4").symptoms),
      ElementsAre("Complete infrastructure unavailable", "Network connectivity lost", "Cloud provider services down"));
  EXPECT_THAT(steps_of(scenario(document, "4")),
              ElementsAre("activate-secondary-region@213", "restore-data-in-backup-region@223"));
}

TEST(ClaudeCodeManager, ContactsAndEscalation) {
  DOCUMENT_OR_SKIP(document, "seeds", "000_");
  std::vector<std::string> roles, levels, links;
  for (const Contact& each : document.contacts) roles.push_back(each.role.text);
  for (const Escalation& each : document.escalations) levels.push_back(each.level.text + ": " + each.who.text);
  for (const Link& each : document.references) links.push_back(each.text.text);
  EXPECT_THAT(roles,
              ElementsAre("Primary On-Call", "Secondary On-Call", "Escalation Manager", "External Vendor Support",
                          "Cloud Provider Support", "DNS Provider", "Monitoring Service"));
  EXPECT_THAT(levels, ElementsAre("Level 1: On-call engineer", "Level 2: Technical lead",
                                  "Level 3: Engineering manager", "Level 4: CTO/VP Engineering"));
  EXPECT_THAT(links, ElementsAre("System Architecture Documentation", "Backup Strategy Documentation",
                                 "Incident Response Procedures", "Business Continuity Plan"));
  std::vector<std::string> placeholders, unknown;
  for (const Placeholder& each : document.placeholders)
    placeholders.push_back(std::to_string(each.range.begin.line) + " " + each.text);
  EXPECT_THAT(placeholders,
              ElementsAre("9 [Contact Information]", "10 [Contact Information]", "11 [Contact Information]",
                          "12 [Contact Information]", "423 [Support phone number]", "424 [Support contact]",
                          "425 [Support contact]"));
  for (const UnknownPart& each : document.unknown)
    unknown.push_back(std::to_string(each.range.begin.line) + " " + each.what + ": " + each.first_words);
  EXPECT_THAT(unknown, ElementsAre("408 list item: New Team Members: Disaster recovery orientation"));
}

TEST(ClaudeCodeManager, SchedulesFilesAndMetrics) {
  DOCUMENT_OR_SKIP(document, "seeds", "000_");
  std::vector<std::string> crons, words, files, metrics;
  for (const Schedule& each : document.schedules)
    (each.cron ? crons : words)
        .push_back(each.cron ? each.text.text + " " + each.command
                             : std::to_string(each.text.range.begin.line) + " " + format_duration(*each.interval));
  EXPECT_THAT(
      crons, ElementsAre("*/30 * * * * /scripts/check-backup-status.sh", "0 3 * * 0 /scripts/test-disaster-recovery.sh",
                         "*/15 * * * * /scripts/check-backup-disk-space.sh"));
  EXPECT_THAT(words,
              testing::IsSupersetOf({"28 1 d 0 h", "54 7 d 0 h", "402 30 d 0 h", "403 91 d 6 h", "404 365 d 0 h"}));
  for (const EmbeddedFile& each : document.embedded_files)
    files.push_back(each.path.text + "@" + std::to_string(each.range.begin.line));
  EXPECT_THAT(files, ElementsAre("/scripts/restore-full-system.sh@237", "/scripts/health-check.sh@283"));
  for (const EmbeddedFile& each : document.embedded_files) EXPECT_TRUE(each.script.ok());
  ASSERT_EQ(document.metrics.size(), 1u);
  for (const Metric& each : document.metrics[0].metrics) metrics.push_back(each.name.text);
  EXPECT_THAT(metrics, ElementsAre("Recovery Time", "Data Loss", "Service Availability", "Performance Impact"));
}

TEST(ClaudeCodeManager, OtherProcedures) {
  DOCUMENT_OR_SKIP(document, "seeds", "000_");
  EXPECT_THAT(steps_of(scenario(document, "automated-backups")),
              ElementsAre("database-backups@30", "application-data-backups@40", "configuration-backups@47"));
  EXPECT_THAT(steps_of(scenario(document, "backup-verification")), ElementsAre("test-database-backup-restoration@57"));
  EXPECT_THAT(steps_of(scenario(document, "post-recovery-procedures")),
              ElementsAre("verify-data-integrity@322", "check-recent-transactions@327",
                          "validate-github-integration@333", "monitor-system-resources@341",
                          "application-performance@349", "update-status-page@355", "notify-stakeholders@362"));
  EXPECT_THAT(texts(step(scenario(document, "post-recovery-procedures"), "update-status-page").details),
              ElementsAre("Update incident status", "Provide recovery timeline", "Document lessons learned"));
  EXPECT_THAT(steps_of(scenario(document, "post-incident-review")),
              ElementsAre("document-timeline@394", "identify-root-cause@395", "review-response-effectiveness@396",
                          "update-procedures@397", "plan-prevention-measures@398"));
}

TEST(ClickView, Facts) {
  DOCUMENT_OR_SKIP(document, "seeds", "001_");
  std::vector<std::string> objectives;
  for (const Objective& each : document.objectives)
    objectives.push_back(std::string(each.scope == Objective::Scope::kGlobal ? "global" : each.subject.text) + " " +
                         each.rto->text.text + ", " + each.rpo->text.text);
  EXPECT_THAT(objectives, ElementsAre("global < 4 hours, < 1 hour"));
  EXPECT_TRUE(document.unknown.empty());
  std::vector<std::string> severities, contacts, metrics, variables;
  for (const Severity& each : document.severities)
    severities.push_back(each.level.text + " " + each.response->text.text);
  for (const Contact& each : document.contacts)
    contacts.push_back(each.role.text + " " + each.fields.back().second.text);
  ASSERT_EQ(document.metrics.size(), 1u);
  EXPECT_TRUE(document.metrics[0].fillable);
  for (const Metric& each : document.metrics[0].metrics) metrics.push_back(each.name.text + " " + each.target.text);
  for (const VariableDefinition& each : document.variables) variables.push_back(each.name.text);
  EXPECT_THAT(severities, ElementsAre("SEV-1 Immediate", "SEV-2 15 minutes", "SEV-3 1 hour", "SEV-4 4 hours"));
  EXPECT_THAT(contacts, ElementsAre("On-Call Engineer PagerDuty", "Database Admin Slack #db-team",
                                    "Infrastructure Lead Slack #infra", "Security Team security@clickview.app",
                                    "AWS Support (800) xxx-xxxx", "PagerDuty https://clickview.pagerduty.com",
                                    "Status Page https://status.clickview.app"));
  EXPECT_THAT(metrics, ElementsAre("Time to Detection < 5 min", "Time to Acknowledgment < 10 min",
                                   "Time to Recovery < 4 hours", "Data Loss < 1 hour"));
  EXPECT_THAT(variables, ElementsAre("DB_HOST", "DB_PORT", "DB_NAME", "REDIS_HOST", "REDIS_PORT", "BACKUP_S3_BUCKET",
                                     "BACKUP_S3_REGION", "BACKUP_ENCRYPTION_KEY"));
}

TEST(ClickView, ScenariosAndSteps) {
  DOCUMENT_OR_SKIP(document, "seeds", "001_");
  EXPECT_THAT(titles(document.scenarios),
              ElementsAre("1 Database Failure", "2 Application Server Failure", "3 Redis Cache Failure",
                          "4 Data Corruption", "5 Security Breach", "6 Complete Infrastructure Failure"));
  EXPECT_THAT(texts(scenario(document, "1").symptoms),
              ElementsAre("Application errors: \"Connection refused\" or \"Database unavailable\"",
                          "Health check endpoint returns 503", "Monitoring alerts for database connectivity"));
  EXPECT_THAT(texts(scenario(document, "2").symptoms),
              ElementsAre("502/503 errors from load balancer", "Health checks failing",
                          "No response from application endpoints"));
  EXPECT_THAT(texts(scenario(document, "3").symptoms),
              ElementsAre("Increased response times", "Session errors", "Cache miss alerts"));
  EXPECT_THAT(texts(scenario(document, "4").symptoms),
              ElementsAre("Unexpected query results", "Constraint violation errors", "Data integrity check failures"));
  EXPECT_THAT(
      steps_of(scenario(document, "1")),
      ElementsAre("acknowledge-the-alert@39", "verify-the-issue@43", "check-database-logs@53", "restart-database@62",
                  "failover-to-replica@74", "point-in-time-recovery@87", "verify-all-services-are-healthy@98",
                  "check-data-integrity@99", "update-incident-ticket@100", "schedule-post-mortem@101"));
  EXPECT_THAT(steps_of(scenario(document, "2")),
              ElementsAre("check-application-health@116", "restart-affected-pods@130", "scale-up@142"));
  EXPECT_THAT(steps_of(scenario(document, "3")),
              ElementsAre("check-redis-connectivity@156", "restart-redis@167", "clear-and-rebuild-cache@174"));
  EXPECT_THAT(steps_of(scenario(document, "4")),
              ElementsAre("stop-writes-immediately@197", "identify-corruption-extent@203", "restore-from-backup@212",
                          "resume-service@230"));
  EXPECT_THAT(steps_of(scenario(document, "5")),
              ElementsAre("isolate-affected-systems@241", "invalidate-all-sessions@253", "audit-access@258",
                          "notify-security-team@263"));
  EXPECT_THAT(steps_of(scenario(document, "6")),
              ElementsAre("activate-secondary-region@273", "restore-from-cross-region-backup@281",
                          "scale-up-infrastructure@289"));
  EXPECT_EQ(step(scenario(document, "4"), "identify-corruption-extent").kind, StepKind::kSql);
  EXPECT_EQ(step(scenario(document, "2"), "scale-up").condition, "if capacity issue");
}

TEST(ClickView, OptionsAlternativesAndInput) {
  DOCUMENT_OR_SKIP(document, "seeds", "001_");
  const Procedure& first = scenario(document, "1");
  std::vector<std::string> options;
  for (const Option& each : first.options)
    options.push_back(each.letter + " " + each.title.text + " " + each.budget->text.text + " " +
                      std::to_string(each.range.begin.line));
  EXPECT_THAT(options, ElementsAre("A Restart Database 5-10 minutes 60", "B Failover to Replica 10-20 minutes 72",
                                   "C Point-in-Time Recovery 30-60 minutes 85"));
  EXPECT_EQ(first.phases[0].budget->kind, Budget::Kind::kWindow);
  EXPECT_EQ(first.phases[0].budget->most, Duration::seconds(15 * 60));
  EXPECT_EQ(step(first, "check-database-logs").alternatives(), (std::vector<int>{0, 2}));
  EXPECT_EQ(step(first, "restart-database").alternatives(), (std::vector<int>{0, 2}));
  const Step& clear = step(scenario(document, "3"), "clear-and-rebuild-cache");
  ASSERT_EQ(clear.pieces.size(), 3u);
  EXPECT_EQ(clear.pieces[1].kind, Piece::Kind::kInput);
  EXPECT_EQ(clear.pieces[1].program, "redis-cli -h $REDIS_HOST");
  EXPECT_EQ(clear.pieces[1].text, "FLUSHALL\n");
}

}  // namespace
}  // namespace holdfast::runbook::test
