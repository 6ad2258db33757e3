// Covers: what programs do beyond looking: prompts that they open or do not, rehearsals,
// options in front of the verb, names of secrets.

#include "runbook/hazards.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "runbook/reader.h"
#include "runbook/shell/parser.h"

namespace holdfast::runbook {
namespace {

bool does(const std::string& text, HazardKind kind) {
  const shell::Script script = shell::parse(text);
  const std::vector<shell::Invocation> all = shell::invocations(script);
  return std::any_of(all.begin(), all.end(), [&](const shell::Invocation& invocation) {
    const std::vector<Effect> effects = effects_of(invocation);
    return std::any_of(effects.begin(), effects.end(), [&](const Effect& effect) { return effect.kind == kind; });
  });
}

TEST(Prompts, OfClientsWithoutACommand) {
  for (const char* text : {"psql",
                           "psql -h db -U u",
                           "psql -h db -U u shop",
                           "psql -At shop",
                           "mysql",
                           "mysql -uroot -psecret shop",
                           "redis-cli",
                           "redis-cli -s /run/redis/redis.sock",
                           "redis-cli -u redis://cache:6379/1",
                           "redis-cli -h cache --no-auth-warning --raw",
                           "mongosh mongodb://db/shop",
                           "docker exec -it db bash",
                           "docker exec -it db psql -U u",
                           "docker run -it --rm -v /a:/a postgres:15 psql",
                           "kubectl exec -it db-0 -- bash",
                           "kubectl exec -it db-0 -c postgres bash",
                           "kubectl -n shop run -it --rm look --image=busybox",
                           "kubectl debug -it node/n1 --image=busybox",
                           "su - postgres",
                           "sudo -i",
                           "sudo -u postgres -i",
                           "read -r x",
                           "while true; do read x; done",
                           "{ read x; } > y"})
    EXPECT_TRUE(does(text, HazardKind::kInteractive)) << text;
}

TEST(Prompts, NotWithACommandOrInput) {
  for (const char* text : {"psql -Atc 'select 1'",
                           "psql -XAtqc 'select 1' shop",
                           "psql -c'select 1'",
                           "psql -Atf check.sql",
                           "mysql -Nse 'select 1'",
                           "mysql -uroot -psecret -e 'select 1'",
                           "while read -r x; do echo $x; done < list",
                           "redis-cli -s /run/redis/redis.sock PING",
                           "redis-cli -u redis://cache:6379/1 INFO",
                           "redis-cli --bigkeys",
                           "redis-cli --rdb /tmp/x.rdb",
                           "mongosh --eval 'db.stats()'",
                           "mongosh shop check.js",
                           "docker run -dit nginx",
                           "docker exec db psql -c 'select 1'",
                           "kubectl exec db-0 -- ls",
                           "kubectl exec db-0 ls",
                           "su - postgres -c 'pg_ctl status'",
                           "sudo -u postgres psql -c 'select 1'",
                           "sudo systemctl status x",
                           "cat list | while read x; do echo $x; done",
                           "for x in a; do read y; done <<EOF\n1\nEOF\n",
                           "while read x; do if a; then read y; fi; done < <(b)",
                           "bash -c 'cat l | while read x; do a; done'"})
    EXPECT_FALSE(does(text, HazardKind::kInteractive)) << text;
  EXPECT_TRUE(does("while read x; do a; done < list; read y", HazardKind::kInteractive));
}

TEST(Effects, OfSqlInGroupedOptions) {
  EXPECT_TRUE(does("psql -Atc 'drop table x'", HazardKind::kDestroys));
  EXPECT_TRUE(does("psql -c 'select 1' -c 'drop table x'", HazardKind::kDestroys));
  EXPECT_FALSE(does("mysql -usecret -pdrop -e 'select 1'", HazardKind::kDestroys));
}

TEST(Effects, RehearsalsChangeNothing) {
  for (const char* text :
       {"holdfast restore --validate-only --at latest", "holdfast restore --dry-run", "./restore.sh --dry-run",
        "npm run backup:restore -- --validate-only", "restic restore latest --dry-run"})
    EXPECT_FALSE(does(text, HazardKind::kWritesData)) << text;
  EXPECT_TRUE(does("holdfast restore --at latest", HazardKind::kRestoresAside));
  EXPECT_TRUE(does("kubectl create secret generic s --dry-run=client -o yaml", HazardKind::kRotatesSecret));
}

TEST(Effects, WithGlobalOptionsInFrontOfTheVerb) {
  EXPECT_TRUE(does("holdfast --config /etc/h.yaml --repository /r -q restore", HazardKind::kRestoresAside));
  EXPECT_TRUE(does("sudo holdfast --threads 2 --json restore --delta", HazardKind::kWritesData));
  EXPECT_TRUE(does("holdfast restore --database shop --replace", HazardKind::kWritesData));
  EXPECT_FALSE(does("holdfast restore --database shop --target-database shop_then", HazardKind::kWritesData));
  EXPECT_TRUE(does("aws --region us-west-2 s3 rm s3://b/x", HazardKind::kDestroys));
  EXPECT_TRUE(does("pg_ctl -D /data promote", HazardKind::kPromotes));
  EXPECT_TRUE(does("restic -r /r restore latest", HazardKind::kWritesData));
}

TEST(Effects, BehindWhatOnlyWraps) {
  EXPECT_TRUE(does("su - postgres -c 'pg_ctl -D /data promote'", HazardKind::kPromotes));
  EXPECT_TRUE(does("su postgres --command 'dropdb shop'", HazardKind::kDestroys));
  EXPECT_TRUE(does("kubectl exec db-0 -c postgres dropdb shop", HazardKind::kDestroys));
  EXPECT_FALSE(does("command -v dropdb", HazardKind::kDestroys));
}

TEST(Effects, OfWhatLosesNothing) {
  EXPECT_FALSE(does("psql -c 'create table t (id int); drop table t'", HazardKind::kDestroys));
  EXPECT_TRUE(does("psql -c 'create table t (id int); drop table u'", HazardKind::kDestroys));
  EXPECT_FALSE(does("kubectl delete node n1", HazardKind::kDestroys));
  EXPECT_FALSE(does("restic -r /r restore latest --target /tmp/look", HazardKind::kWritesData));
  EXPECT_TRUE(does("/usr/share/doc/csm/restore_postgres.sh", HazardKind::kWritesData));
  EXPECT_FALSE(does("/usr/bin/restorecon /etc", HazardKind::kWritesData));
}

TEST(Effects, OnTemporaryFilesByVariable) {
  const auto destroys = [](const std::string& text) {
    const auto document = read_document("## Scenario 1: X\n\n```bash\n" + text + "\n```\n", "r.md");
    return document.ok() && document.value().scenarios[0].steps[0].destructive();
  };
  for (const char* text : {"tmp=$(mktemp); rm -f $tmp", "d=$(mktemp -d)\nls\nrm -rf \"${d}/x\"", "d=/tmp/x; rm $d",
                           "d=\"$(mktemp -d -t look 2>/dev/null)\" && rm -rf \"$d\"",
                           "d=`mktemp`\ntrap 'rm -f $d' EXIT\nls", "d=$(mktemp)\nif a; then rm \"$d\"; fi"})
    EXPECT_FALSE(destroys(text)) << text;
  for (const char* text :
       {"tmp=$(mktemp); tmp=/data; rm -f $tmp", "d=$(mktemp -d); rm -rf $d/../data",
        "d=$(mktemp -d); read d; rm -rf $d", "d=$(mktemp); rm $data",
        "if [ -z \"${d:-}\" ]; then d=/tmp/x; fi\nrm -rf \"$d\"", "[ -n \"$d\" ] || d=$(mktemp -d)\nrm -rf \"$d\"",
        "rm -rf \"$d\"\nd=/tmp/x", "d=/tmp/x ls\nrm -rf $d", "(d=/tmp/x)\nrm -rf $d", "f() { d=/tmp/x; }\nrm -rf $d",
        "d=/tmp/x\nsource ./env\nrm -rf $d", "d=/tmp/x\neval \"$y\"\nrm -rf $d", "d=$(mktemp -d)/../data\nrm -rf $d",
        "d=$(mktemp -d || echo /data)\nrm -rf $d", "d=$(mktemp -d; echo)$(pwd)\nrm -rf $d",
        "for x in a; do d=/tmp/x; done\nrm -rf $d", "d=/tmp/x | ls\nrm -rf $d", "d=/tmp/x\nssh db 'rm -rf $d'"})
    EXPECT_TRUE(destroys(text)) << text;
}

TEST(Effects, OfWhatWasMovedAsideBefore) {
  const auto destroys = [](const std::string& text) {
    const auto document = read_document("## Scenario 1: X\n\n```bash\n" + text + "\n```\n", "r.md");
    return document.ok() && document.value().scenarios[0].steps[0].destructive();
  };
  const std::string path = "/var/lib/redis/dump.rdb";
  EXPECT_FALSE(destroys("ssh c \"mv -T " + path + " " + path + ".old-1 && install -m 660 x.rdb " + path + "\""));
  EXPECT_FALSE(destroys("mv " + path + " " + path + ".old\ncp x " + path));
  EXPECT_FALSE(destroys("docker exec c mv " + path + " /old\ndocker exec c cp x " + path));
  EXPECT_TRUE(destroys("install -m 660 x.rdb " + path));
  EXPECT_TRUE(destroys("mv " + path + " /old\nssh db2 'cp x " + path + "'"));
  EXPECT_TRUE(destroys("ssh db1 mv " + path + " /old\nssh db2 cp x " + path));
  EXPECT_TRUE(destroys("ssh -o 'A b' db1 'mv " + path + " /old'\nssh -o 'A b' db2 'cp x " + path + "'"));
  for (const std::string moves : {"test -e y && mv F /old; ", "mv F /old || true; ", "if a; then mv F /old; fi; ",
                                  "(mv F /old) & ", "find . -exec mv F /old \\; ; "}) {
    std::string text = moves + "cp x F";
    for (size_t at; (at = text.find('F')) != std::string::npos;) text.replace(at, 1, path);
    EXPECT_TRUE(destroys(text)) << text;
    if (text.find('\\') != std::string::npos) continue;
    EXPECT_TRUE(destroys("ssh c \"" + text + "\"")) << text;
  }
}

TEST(Secrets, ByName) {
  for (const char* name : {"REDISCLI_AUTH", "PGPASSWORD", "MYSQL_PWD", "GITHUB_TOKEN", "ENCRYPTION_KEY", "DB_PASS",
                           "DB_PW", "GITHUB_PAT", "SLACK_WEBHOOK_URL"})
    EXPECT_TRUE(is_secret_name(name)) << name;
  for (const char* name : {"PWD", "KEY", "PW", "PAT", "AUTHOR", "DB_HOST", "TOKENS_PER_DAY"})
    EXPECT_FALSE(is_secret_name(name)) << name;
}

}  // namespace
}  // namespace holdfast::runbook
