// Covers: what rules must not say, and cases that the one example of a rule's page leaves out.

#include "runbook/lint/lint.h"

#include <gmock/gmock.h>

#include "runbook/lint/context.h"
#include "runbook/reader.h"

namespace holdfast::runbook::lint {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// "line message" of each finding of one rule.
std::vector<std::string> found(const std::string& text, std::string_view rule, const StackFacts* stack = nullptr) {
  const auto document = read_document(text, "r.md");
  EXPECT_TRUE(document.ok());
  std::vector<std::string> lines;
  for (const Finding& finding : lint(document.value(), stack).findings)
    if (finding.rule->id == rule) lines.push_back(std::to_string(finding.range.begin.line) + " " + finding.message);
  return lines;
}

std::string step_with(const std::string& commands) { return "## Scenario 1: X\n\n```bash\n" + commands + "```\n"; }

TEST(Interaction, InputOfLoopsAndGroupedOptions) {
  EXPECT_THAT(
      found(step_with("psql -Atc 'select 1'\nwhile read -r x; do echo $x; done < list\n"), "interactive-command"),
      IsEmpty());
  EXPECT_THAT(found(step_with("read -r x\n"), "interactive-command"), ElementsAre(HasSubstr("4 read waits")));
}

TEST(StatusPage, ReadByJqOrPostedTo) {
  const std::string page = "curl -fsS https://www.githubstatus.com/api/v2/status.json";
  constexpr const char* kRule = "status-page-proves-nothing";
  EXPECT_THAT(found(step_with(page + " | jq -e '.status.indicator == \"none\"'\n"), kRule), IsEmpty());
  EXPECT_THAT(found(step_with(page + " -o s.json\njq -e .ok s.json\n"), kRule), IsEmpty());
  EXPECT_THAT(found(step_with("curl -fsS -X POST -d @- https://api.statuspage.io/v1/pages/p/incidents\n"), kRule),
              IsEmpty());
  EXPECT_EQ(found(step_with(page + " | jq .status\n"), kRule).size(), 1u);
  EXPECT_EQ(found(step_with("jq -e .ok s.json\n" + page + "\n"), kRule).size(), 1u);
}

TEST(Objectives, OfScenariosDependOnNoComponent) {
  EXPECT_THAT(found("# R\n\n## Recovery Objectives\n\n| Component | RTO |\n|---|---|\n| Database | 2 hours |\n\n"
                    "## Scenario 1: Web server failure\n\n**RTO**: 30 minutes\n\n1. **Restart**\n   ```bash\n   docker "
                    "restart web\n   ```\n",
                    "rto-depends-on-slower"),
              IsEmpty());
}

TEST(Objectives, TheLogOfPostgresSpeaksForItAlone) {
  const std::string table =
      "# R\n\n## Recovery Objectives\n\n| Component | RTO | RPO |\n|---|---|---|\n| PostgreSQL | 2 hours | 5 minutes "
      "|\n"
      "| Task Database | 2 hours | 5 minutes |\n| API Service | 3 hours | 5 minutes |\n| Redis | 1 hour | 5 minutes |\n"
      "| MySQL database | 1 hour | 5 minutes |\n| Uploads | 1 hour | 5 minutes |\n\n"
      "## Automated Backups\n\n- Daily backup at 02:00 UTC\n";
  EXPECT_EQ(found(table, "backup-slower-than-rpo").size(), 6u);
  EXPECT_THAT(found(table + "\nWAL is kept by archive_command.\n", "backup-slower-than-rpo"),
              ElementsAre(HasSubstr("10 the RPO of Redis"), HasSubstr("11 the RPO of MySQL"),
                          HasSubstr("12 the RPO of Uploads")));
  EXPECT_THAT(found(table + "\nAll are continuously replicated.\n", "backup-slower-than-rpo"), IsEmpty());
  EXPECT_THAT(found("# R\n\nRTO: 4 hours, RPO: 15 minutes\n\nWAL is kept by archive_command.\n", "no-backup-schedule"),
              IsEmpty());
}

TEST(Copies, WhatIsStoredIsNotFetched) {
  constexpr const char* kRule = "artefact-never-made";
  const std::string stored = "aws s3 cp pg.gz s3://b/pg/pg-$(date +%F).gz\n";
  EXPECT_EQ(found(step_with(stored + "aws s3 cp s3://b/pg/pg-latest.gz .\n"), kRule).size(), 1u);
  EXPECT_THAT(found(step_with(stored + "aws s3 cp \"s3://b/pg/pg-$DAY.gz\" s3://b/pg/pg-latest.gz\n"
                                       "aws s3 cp s3://b/pg/pg-latest.gz .\n"),
                    kRule),
              IsEmpty());
  for (const char* put :
       {"gsutil -m cp pg.gz gs://b/pg/pg-latest.gz\n", "gcloud storage cp pg.gz gs://b/pg/pg-latest.gz\n"}) {
    const std::string dated = "gsutil cp pg.gz gs://b/pg/pg-$(date +%F).gz\n";
    EXPECT_THAT(found(step_with(dated + put + "gsutil cp gs://b/pg/pg-latest.gz .\n"), kRule), IsEmpty());
    EXPECT_EQ(found(step_with(dated + "gsutil cp gs://b/pg/pg-latest.gz .\n"), kRule).size(), 1u);
  }
  EXPECT_THAT(found(step_with(stored + "s3cmd put pg.gz s3://b/pg/pg-latest.gz\n"), kRule), IsEmpty());
}

TEST(Promotion, LagThatAClientIsFedACheckOf) {
  constexpr const char* kRule = "promotion-without-lag-check";
  const std::string promote = "pg_ctl promote -D /srv/pg\n", ask = "select pg_last_wal_replay_lsn();\n";
  EXPECT_EQ(found(step_with(promote), kRule).size(), 1u);
  EXPECT_THAT(found(step_with("psql -h standby <<EOF\n" + ask + "EOF\n" + promote), kRule), IsEmpty());
  EXPECT_THAT(found("## Scenario 1: X\n\n```sql\n" + ask + "```\n\n```bash\n" + promote + "```\n", kRule), IsEmpty());
  EXPECT_THAT(
      found("## Scenario 1: X\n\n```bash\npsql -h standby\n" + ask + "```\n\n```bash\n" + promote + "```\n", kRule),
      IsEmpty());
  EXPECT_EQ(found(step_with("mail -s late a@b <<EOF\n" + ask + "EOF\n" + promote), kRule).size(), 1u);
}

TEST(Promotion, AMachineThatIsGoneIsFenced) {
  constexpr const char* kRule = "promotion-without-fence";
  const std::string promote = "pg_ctl promote -D /srv/pg\n", gone = "aws ec2 terminate-instances --instance-ids i-1";
  EXPECT_EQ(found(step_with(promote), kRule).size(), 1u);
  EXPECT_THAT(found(step_with(gone + "\n" + promote), kRule), IsEmpty());
  EXPECT_EQ(found(step_with(gone + " --dry-run\n" + promote), kRule).size(), 1u);
  EXPECT_THAT(found(step_with("gcloud compute instances stop old\n" + promote), kRule), IsEmpty());
}

TEST(Runs, OfOneTextShareIt) {
  const auto document = read_document(step_with("ssh db 'systemctl stop api\nsystemctl stop web'\n"), "r.md");
  ASSERT_TRUE(document.ok());
  const std::string& text = document->scenarios[0].steps[0].text;
  const Context context(document.value(), nullptr);
  ASSERT_EQ(context.runs.size(), 3u);
  for (const auto& run : context.runs)
    EXPECT_EQ(run.text.data(), text.data()) << "a copy for each is the square of the text";
}

TEST(Responses, EachSeverityAgainstItsOwnMetric) {
  const std::string severities =
      "# R\n\n## Severity Levels\n\n| Level | Description | Response Time |\n|---|---|---|\n| SEV-1 | a | 10 minutes "
      "|\n"
      "| SEV-2 | b | 15 minutes |\n| SEV-3 | c | 1 hour |\n\n## Metrics\n\n| Metric | Target | Actual "
      "|\n|---|---|---|\n";
  EXPECT_THAT(found(severities + "| Acknowledgement (SEV-1) | < 5 min | |\n| Acknowledgement (SEV-2) | < 15 min | |\n"
                                 "| Acknowledgement (SEV-3) | < 1 hour | |\n",
                    "response-conflict"),
              ElementsAre(HasSubstr("7 SEV-1 may be answered after 10 minutes, while acknowledgement is due < 5 min")));
  EXPECT_THAT(found(severities + "| Acknowledgement | < 12 min | |\n| SEV-3 acknowledgement | < 2 hours | |\n",
                    "response-conflict"),
              ElementsAre(HasSubstr("8 SEV-2")));
}

TEST(Variables, OfAnotherStep) {
  const std::string text =
      "## Scenario 1: X\n\n1. **Set**\n   ```bash\n   X=1; echo $X\n   ```\n2. **Use**\n   ```bash\n   echo $X $Y\n   "
      "```\n";
  EXPECT_THAT(found(text, "variable-of-another-step"), ElementsAre(HasSubstr("9 $X is set by step 'Set' (line 5)")));
  EXPECT_THAT(found(text, "undefined-variable"), ElementsAre(HasSubstr("9 $Y")));
  EXPECT_THAT(found("## Environment\n\n```bash\nX=2\nY=3\n```\n\n" + text, "variable-of-another-step"), IsEmpty());
}

TEST(Variables, AFileThatIsReadMaySetThem) {
  EXPECT_THAT(found(step_with("source /etc/app.env\necho $X\n"), "undefined-variable"), IsEmpty());
  EXPECT_EQ(found(step_with("echo $X\nsource /etc/app.env\n"), "undefined-variable").size(), 1u);
}

TEST(Placeholders, OfAFormInAHereDocumentAreNone) {
  EXPECT_THAT(found(step_with("cat > report.md <<EOF\nCause: [Brief description]\nEOF\n"), "placeholder-in-command"),
              IsEmpty());
  EXPECT_EQ(found(step_with("./restore.sh [Backup name]\n"), "placeholder-in-command").size(), 1u);
}

TEST(Schedules, ComponentsWithoutAnyAreToldOnce) {
  const std::string table =
      "# R\n\n## Recovery Objectives\n\n| Component | RTO | RPO |\n|---|---|---|\n| Database | 1 hour | 5 minutes |\n| "
      "Files "
      "| 1 hour | 1 hour |\n";
  EXPECT_THAT(found(table, "no-backup-schedule"), ElementsAre(HasSubstr("7 an RPO of Database, 5 minutes,")));
  EXPECT_THAT(found(table + "\nThe standby is continuously synced.\n", "no-backup-schedule"), IsEmpty());
}

StackFacts stack_of(const std::vector<StackFacts::Component>& components) { return {components}; }

const StackFacts::Component kDatabase = {"tasks", "postgres", std::nullopt, std::nullopt, true};
const StackFacts::Component kUploads = {"uploads", "files", std::nullopt, std::nullopt, false};

TEST(Stack, ALogProtectsItsOwnComponentAlone) {
  const std::string table =
      "# R\n\n## Recovery Objectives\n\n| Component | RTO | RPO |\n|---|---|---|\n| Task Database | 1 hour | 5 minutes "
      "|\n| Uploads | 1 hour | 1 hour |\n| Mail Server | 1 hour | 1 hour |\n\n"
      "## Backup Schedule\n\n```cron\n0 2 * * * /srv/backup.sh\n```\n";
  constexpr const char* kRule = "backup-slower-than-rpo";
  EXPECT_EQ(found(table, kRule).size(), 3u);
  const StackFacts both = stack_of({kDatabase, kUploads});
  EXPECT_THAT(found(table, kRule, &both),
              ElementsAre(HasSubstr("8 the RPO of Uploads"), HasSubstr("9 the RPO of Mail Server")));
  const StackFacts files = stack_of({kUploads});
  EXPECT_EQ(found(table, kRule, &files).size(), 3u);
}

TEST(Stack, AnObjectiveOfTheWholeNeedsALogOfEachComponent) {
  const std::string text =
      "# R\n\n## Recovery Objectives\n\n- **RPO**: 1 hour\n\n## Backup Schedule\n\n```cron\n0 2 * * * "
      "/srv/backup.sh\n```\n";
  constexpr const char* kRule = "backup-slower-than-rpo";
  const StackFacts both = stack_of({kDatabase, kUploads}), database = stack_of({kDatabase});
  EXPECT_EQ(found(text, kRule).size(), 1u);
  EXPECT_EQ(found(text, kRule, &both).size(), 1u);
  EXPECT_THAT(found(text, kRule, &database), IsEmpty());
}

TEST(Stack, APointInTimeIsOfWhatItsScenarioNames) {
  const auto text = [](const std::string& title) {
    return "## Scenario 1: " + title + "\n\n1. **Restore**\n   ```bash\n   ./restore.sh --target-time=$T\n   ```\n";
  };
  constexpr const char* kRule = "pitr-without-log";
  const StackFacts both = stack_of({kDatabase, kUploads}), files = stack_of({kUploads});
  EXPECT_EQ(found(text("Database lost"), kRule).size(), 1u);
  EXPECT_THAT(found(text("Database lost"), kRule, &both), IsEmpty());
  EXPECT_THAT(found(text("All lost"), kRule, &both), IsEmpty());
  EXPECT_EQ(found(text("Uploads lost"), kRule, &both).size(), 1u);
  EXPECT_EQ(found(text("Database lost"), kRule, &files).size(), 1u);
}

TEST(Copies, OfThePastAndListsOfToday) {
  constexpr const char* kRule = "hardcoded-target-time";
  EXPECT_EQ(found(step_with("psql -1 shop < backup_20251104_120000.sql\n"), kRule).size(), 1u);
  EXPECT_EQ(found(step_with("aws s3 sync s3://b/files/20251104/ /app/\n"), kRule).size(), 1u);
  EXPECT_EQ(
      found(step_with("aws rds restore-db-instance-from-db-snapshot --db-snapshot-identifier rds:x-2026-02-16-03-00\n"),
            kRule)
          .size(),
      1u);
  EXPECT_THAT(found(step_with("psql -1 shop < backup_$DAY.sql\n"), kRule), IsEmpty());
  EXPECT_THAT(found(step_with("ls -l /backups/$(date +%Y-%m-%d)/\n"), "restores-todays-copy"), IsEmpty());
}

TEST(Order, TrafficMovedByHandBeforeARestore) {
  EXPECT_EQ(found("## Scenario 1: Outage\n\n1. **Fail over**\n   - Redirect DNS to the other site\n2. **Restore**\n   "
                  "- Restore "
                  "database from latest backup\n",
                  "traffic-before-data")
                .size(),
            1u);
}

TEST(Order, PromotionByTheTitleOfItsStep) {
  const std::string text =
      "## Scenario 1: Outage\n\n1. **Promote the replica**\n   ```bash\n   ./switch.sh replica\n   ```\n";
  EXPECT_EQ(found(text, "promotion-without-fence").size(), 1u);
}

TEST(Order, AnAnnotatedFenceIsOne) {
  const auto text = [](const std::string& annotation, const std::string& command) {
    return "## Scenario 1: X\n\n```bash" + annotation + "\n" + command + "\n```\n";
  };
  const std::string moves = "holdfast restore --to /srv\naws route53 change-resource-record-sets --hosted-zone-id Z";
  EXPECT_EQ(found(text("", "pg_ctl promote"), "promotion-without-fence").size(), 1u);
  EXPECT_THAT(found(text(" {fence=\"./fenced.sh\"}", "pg_ctl promote"), "promotion-without-fence"), IsEmpty());
  EXPECT_EQ(found(text("", moves), "traffic-without-fence").size(), 1u);
  EXPECT_THAT(found(text(" {fence=\"./fenced.sh\"}", moves), "traffic-without-fence"), IsEmpty());
  EXPECT_THAT(found(text("", "pg_ctl promote\n" + moves), "traffic-without-fence"), IsEmpty());
  EXPECT_THAT(found(step_with("aws route53 change-resource-record-sets --hosted-zone-id Z\n"), "traffic-without-fence"),
              IsEmpty());
}

TEST(Order, WhatAnotherOptionDoesIsNotDoneBefore) {
  const auto text = [](const std::string& other) {
    return "## Scenario 1: X\n\n### Recovery\n\n**Option A: By hand**\n```bash\n" + other +
           "\n```\n\n**Option B: Over there**\n```bash\nholdfast restore --to /srv\naws route53 "
           "change-resource-record-sets --hosted-zone-id Z\n```\n";
  };
  EXPECT_EQ(found(text("date"), "traffic-without-fence").size(), 1u);
  EXPECT_EQ(found(text("pg_ctl promote"), "traffic-without-fence").size(), 1u);
}

TEST(Targets, AnAnnotatedTargetAssertsThem) {
  EXPECT_EQ(found("## Scenario 1: X\n\n```bash\ndropdb shop\n```\n", "target-not-asserted").size(), 1u);
  EXPECT_THAT(found("## Scenario 1: X\n\n```bash {target=\"./is-db1.sh\"}\ndropdb shop\n```\n", "target-not-asserted"),
              IsEmpty());
}

TEST(Evidence, ContainersThatAreTakenDown) {
  constexpr const char* kRule = "evidence-destroyed";
  EXPECT_EQ(found(step_with("docker-compose down\n"), kRule).size(), 1u);
  EXPECT_EQ(found(step_with("docker-compose logs --tail=50\ndocker-compose down\n"), kRule).size(), 1u);
  EXPECT_THAT(found(step_with("docker-compose logs > /srv/incident.log\ndocker compose down\n"), kRule), IsEmpty());
  EXPECT_THAT(found(step_with("docker-compose stop\n"), kRule), IsEmpty());
  for (const char* looks : {"docker logs x | tail -50", "docker logs x > /dev/null", "docker logs x | tee /dev/stderr",
                            "docker logs x 2> /srv/errors", "docker logs x | tail; date > /srv/y"})
    EXPECT_EQ(found(step_with(looks + std::string("\ndocker-compose down\n")), kRule).size(), 1u) << looks;
  for (const char* keeps : {"docker logs x | gzip > /srv/x.gz", "docker logs x 2>&1 | tee /srv/x.log",
                            "journalctl -u x | grep error | tee -a x.log | tail", "docker logs x &> x.log",
                            "ssh web 'docker logs x' > x.log"})
    EXPECT_THAT(found(step_with(keeps + std::string("\ndocker-compose down\n")), kRule), IsEmpty()) << keeps;
}

TEST(Rollback, WhatIsKeptOrUndone) {
  constexpr const char* kRule = "no-rollback";
  EXPECT_EQ(found(step_with("docker volume rm shop_data\n"), kRule).size(), 1u);
  EXPECT_THAT(found(step_with("pg_dump shop > /srv/aside.sql\ndropdb shop\n"), kRule), IsEmpty());
  EXPECT_THAT(found("## Scenario 1: X\n\n```bash {compensate=\"./back.sh\"}\ndropdb shop\n```\n", kRule), IsEmpty());
}

TEST(Order, AWorkTreeOfGitIsNoData) {
  EXPECT_THAT(found(step_with("git reset --hard HEAD~1\n"), "destroys-before-backup-verified"), IsEmpty());
  constexpr const char* kRule = "destroys-before-backup-verified";
  EXPECT_EQ(found("## Scenario 1: X\n\n```bash\nredis-cli unlink cache\n```\n", kRule).size(), 1u);
  EXPECT_THAT(found("## Scenario 1: X\n\n```bash {destructive=no}\nredis-cli unlink cache\n```\n", kRule), IsEmpty());
}

TEST(Keys, ANewAgeKeyOverTheOldOne) {
  EXPECT_EQ(found(step_with("age-keygen -o keys.txt\n"), "encryption-key-replaced").size(), 1u);
  EXPECT_THAT(found(step_with("cp keys.txt keys.old\nage-keygen -o keys.txt\n"), "encryption-key-replaced"), IsEmpty());
}

TEST(Restores, BehindOptionsAndInRehearsals) {
  EXPECT_EQ(found(step_with("holdfast --config /etc/h.yaml restore --at latest\n"), "step-without-verification").size(),
            1u);
  EXPECT_THAT(found(step_with("holdfast restore --validate-only --at latest\n"), "restore-while-writing"), IsEmpty());
}

}  // namespace
}  // namespace holdfast::runbook::lint
