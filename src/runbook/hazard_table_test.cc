// Covers: what each row of the table of programs, and each program that the table can't
// describe, is taken for; what looks alike and changes nothing.

#include "runbook/hazard_table.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>

#include "runbook/hazards.h"
#include "runbook/reader.h"
#include "runbook/shell/parser.h"

namespace holdfast::runbook {
namespace {

struct Case {
  const char* command;
  const char* kinds;  // in the order of HazardKind; "" : none
};

constexpr Case kCases[] = {
    // What deletes.
    {"docker system prune -af", "destroys"},
    {"docker system prune -af --volumes", "destroys irreversible"},
    {"docker system df", ""},
    {"docker volume prune -f", "destroys irreversible"},
    {"docker volume rm shop_data", "destroys irreversible"},
    {"docker volume ls", ""},
    {"docker rm -f shop", "destroys"},
    {"docker container prune", "destroys"},
    {"docker-compose down -v", "destroys stops"},
    {"docker compose down --volumes", "destroys stops"},
    {"docker compose rm -sf api", "destroys"},
    {"kubectl replace --force -f x.yaml", "destroys"},
    {"kubectl delete pvc data-0", "destroys irreversible"},
    {"kubectl delete --help", ""},
    {"journalctl --vacuum-time=1d", "destroys"},
    {"journalctl --vacuum-size 1G", "destroys"},
    {"journalctl -u postgresql --since today", ""},
    {"dropdb shop", "destroys irreversible"},
    {"dropdb --help", ""},
    {"command -v dropdb", ""},
    {"pg_dropcluster 15 main --stop", "destroys irreversible"},
    {"pg_lsclusters", ""},
    {"mysqladmin -u root -psecret drop shop", "destroys irreversible"},
    {"mysqladmin -u root status", ""},
    {"mysqladmin shutdown", "stops"},
    {"redis-cli -h cache -a \"$REDIS_PASSWORD\" FLUSHALL", "destroys irreversible"},
    {"redis-cli -n 2 flushdb async", "destroys irreversible"},
    {"redis-cli SHUTDOWN NOSAVE", "destroys stops"},
    {"redis-cli shutdown", "stops"},
    {"redis-cli set flushall 1", ""},
    {"redis-cli -a flushall ping", ""},
    {"echo FLUSHALL", ""},
    {"etcdctl --endpoints https://etcd:2379 del /app --prefix", "destroys"},
    {"etcdctl get /app --prefix", ""},
    {"mongosh shop --eval 'db.dropDatabase()'", "destroys irreversible"},
    {"mongosh shop --eval 'db.carts.drop()'", "destroys"},
    {"mongosh shop --eval 'db.carts.deleteMany({})'", "destroys"},
    {"mongosh shop --eval 'db.stats()'", ""},
    {"mkfs -t ext4 /dev/sdb1", "destroys"},
    {"mkfs.xfs /dev/sdb1", "destroys"},
    {"wipefs -a /dev/sdb", "destroys"},
    {"zfs destroy tank/db", "destroys"},
    {"zfs destroy -nv tank/db", ""},
    {"zfs rollback -r tank/db@daily", "destroys"},
    {"zfs list -t snapshot", ""},
    {"zpool destroy tank", "destroys"},
    {"zpool status", ""},
    {"lvremove vg/db", "destroys"},
    {"lvs", ""},
    {"shred -u /srv/key", "destroys irreversible"},
    {"truncate -s 0 /var/log/app.log", "destroys"},
    {"truncate --size=0 /srv/queue", "destroys"},
    {"truncate -s +1G /srv/reserve", ""},
    {"truncate -s 0 /tmp/x", ""},
    {": > /var/lib/app/state", "destroys"},
    {"> /var/lib/app/state", "destroys"},
    {"cat /dev/null > /srv/queue", "destroys"},
    {": > /tmp/report", ""},
    {": > \"$REPORT\"", ""},
    {": > /dev/null", ""},
    {": >> /srv/log", ""},
    {"date > /srv/last", ""},
    {"rsync -a --delete /new/ /srv/app/", "destroys"},
    {"rsync -a --delete-after /new/ web:/srv/app/", "destroys"},
    {"rsync -a /new/ /srv/app/", ""},
    {"rsync -an --delete /new/ /srv/app/", ""},
    {"rsync -a --dry-run --delete /new/ /srv/app/", ""},
    {"rsync -a --delete /new/ /tmp/look/", ""},
    {"terraform destroy -auto-approve", "destroys irreversible"},
    {"terraform apply -auto-approve -replace=aws_instance.db", "destroys"},
    {"terraform plan -destroy", ""},
    {"aws s3 rm s3://b/x --recursive", "destroys"},
    {"aws s3 rm s3://b/x --dryrun", ""},
    {"aws s3 rb s3://b --force", "destroys"},
    {"aws s3 sync a s3://b --delete", "destroys"},
    {"aws s3 ls s3://b", ""},
    {"aws rds delete-db-instance --db-instance-identifier x", "destroys"},
    {"aws rds delete-db-cluster --db-cluster-identifier x", "destroys"},
    {"aws rds delete-db-snapshot --db-snapshot-identifier x", "destroys"},
    {"aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier x", "destroys"},
    {"aws rds describe-db-clusters", ""},
    {"aws ec2 terminate-instances --instance-ids i-1", "destroys irreversible"},
    {"aws ec2 terminate-instances --dry-run --instance-ids i-1", ""},
    {"aws ec2 describe-instances", ""},
    {"aws ec2 delete-volume --volume-id v", "destroys irreversible"},
    {"aws ec2 delete-snapshot --snapshot-id s", "destroys"},
    {"aws s3api delete-object --bucket b --key k", "destroys"},
    {"aws s3api delete-objects --bucket b --delete file://k", "destroys"},
    {"aws s3api delete-bucket --bucket b", "destroys"},
    {"aws s3api head-object --bucket b --key k", ""},
    {"gcloud sql instances delete db", "destroys"},
    {"gcloud sql databases delete shop --instance db", "destroys"},
    {"gcloud sql instances describe db", ""},
    {"gcloud compute instances delete vm", "destroys"},
    {"gcloud compute disks delete d", "destroys"},
    {"gcloud storage rm -r gs://b", "destroys"},
    {"gcloud storage ls gs://b", ""},
    {"az postgres flexible-server delete --name db", "destroys"},
    {"az postgres flexible-server list", ""},
    {"gsutil -m rm -r gs://b/x", "destroys"},
    {"gsutil rb gs://b", "destroys"},
    {"gsutil ls gs://b", ""},
    {"mc rm --recursive --force minio/b", "destroys"},
    {"mc rb minio/b", "destroys"},
    {"mc ls minio/b", ""},
    {"helm uninstall -n shop api", "destroys"},
    {"helm delete api", "destroys"},
    {"helm list", ""},
    {"helm uninstall api --dry-run", ""},
    {"curl -X DELETE http://es:9200/orders", "destroys"},
    {"curl -sfXDELETE http://es:9200/orders", "destroys"},
    {"curl --request DELETE http://es:9200/orders", "destroys"},
    {"curl -X GET http://es:9200/delete", ""},
    {"curl -f http://api/health", ""},
    {"git reset --hard origin/main", "destroys"},
    {"git clean -fd", "destroys"},
    {"git clean -n -fd", ""},
    {"celery -A app purge -f", "destroys"},
    {"celery -A app inspect active", ""},
    {"pg_resetwal -f /data", "destroys"},
    {"pg_rewind -D /data --source-server='host=b'", "destroys"},
    {"pg_rewind --target-pgdata=/data --source-pgdata=/b", "destroys"},
    {"pg_rewind -n -D /data --source-server='host=b'", ""},
    {"echo pg_rewind -D /data", ""},
    {"vault operator raft snapshot restore x.snap", "destroys"},
    {"vault operator raft list-peers", ""},
    // What writes.
    {"pg_restore -d shop x.dump", "writes"},
    {"pg_restore --clean -d shop x.dump", "destroys writes"},
    {"pg_restore -l x.dump", ""},
    {"velero restore create --from-backup x", "writes"},
    {"velero backup describe x", ""},
    {"restic restore latest --target /srv", "writes"},
    {"restic snapshots", ""},
    {"mongorestore dump/", "writes"},
    {"mongorestore --drop dump/", "destroys writes"},
    {"holdfast restore --to /new", "aside"},
    {"holdfast restore --delta --to /data", "writes aside"},
    {"holdfast restore --database shop --replace", "writes aside"},
    {"holdfast restore --validate-only", ""},
    {"aws rds restore-db-instance-from-db-snapshot --db-instance-identifier x", "aside"},
    {"aws rds restore-db-instance-to-point-in-time --target-db-instance-identifier x", "aside"},
    {"cp -a /restore/. /var/lib/postgresql/15/main/", "writes"},
    {"cp dump.rdb /var/lib/redis/dump.rdb", "writes"},
    {"rsync -a /restore/ db:/var/lib/pgsql/data/", "writes"},
    {"mv /restore/data ${PGDATA}", "writes"},
    {"tar xzf base.tar.gz -C /var/lib/postgresql/15/main", "writes"},
    {"tar -C / -xzf etc.tar.gz", "writes"},
    {"tar xzf etc.tar.gz -C /restore", ""},
    {"tar tzf etc.tar.gz -C /", ""},
    {"tar --exclude=/proc -czf all.tar.gz -C / .", ""},
    {"cp postgresql.conf /var/lib/postgresql/15/main/", ""},
    {"cp -a /var/lib/postgresql/15/main /backup/", ""},
    {"mv /var/lib/postgresql/15/main /var/lib/postgresql/15/main.old", ""},
    {"cp -a /var/lib/postgresql/15/main /var/lib/postgresql/15/main-backup", ""},
    {"tar czf /backup/x.tar.gz -C /var/lib/postgresql/15/main .", ""},
    {"cp --help", ""},
    {"pg_basebackup -D /data -R", ""},  // refuses a directory that holds anything
    {"pg_basebackup --help", ""},
    // What makes another server the primary.
    {"pg_ctl -D /data promote", "promotes"},
    {"pg_ctlcluster 15 main promote", "promotes"},
    {"pg_ctlcluster 15 main status", ""},
    {"psql -c 'select pg_promote()'", "promotes"},
    {"patronictl failover", "promotes"},
    {"patronictl -c /etc/p.yml switchover", "promotes"},
    {"patronictl list", ""},
    {"repmgr -f /etc/repmgr.conf standby promote", "promotes"},
    {"repmgr standby switchover", "promotes"},
    {"repmgr standby switchover --dry-run", ""},
    {"repmgr cluster show", ""},
    {"pg_autoctl perform failover", "promotes"},
    {"pg_autoctl perform switchover", "promotes"},
    {"pg_autoctl perform promotion", "promotes"},
    {"pg_autoctl show state", ""},
    {"stolonctl failkeeper k1", "promotes"},
    {"kubectl cnpg promote shop shop-2", "promotes"},
    {"kubectl-cnpg promote shop shop-2", "promotes"},
    {"kubectl cnpg status shop", ""},
    {"redis-cli -h b REPLICAOF NO ONE", "promotes"},
    {"redis-cli slaveof no one", "promotes"},
    {"redis-cli FAILOVER", "promotes"},
    {"redis-cli CLUSTER FAILOVER", "promotes"},
    {"redis-cli -p 26379 SENTINEL failover shop", "promotes"},
    {"redis-cli -p 26379 SENTINEL masters", ""},
    {"redis-cli CLUSTER INFO", ""},
    {"aws rds promote-read-replica --db-instance-identifier x", "promotes"},
    {"aws rds promote-read-replica-db-cluster --db-cluster-identifier x", "promotes"},
    {"aws rds failover-db-cluster --db-cluster-identifier x", "promotes"},
    {"aws rds failover-global-cluster --global-cluster-identifier x", "promotes"},
    {"aws rds switchover-global-cluster --global-cluster-identifier x", "promotes"},
    {"gcloud sql instances promote-replica db", "promotes"},
    {"gcloud sql instances failover db", "promotes"},
    {"az postgres flexible-server replica promote --name db", "promotes"},
    {"az postgres flexible-server replica stop-replication --name db", "promotes"},
    {"az mysql flexible-server replica stop-replication --name db", "promotes"},
    {"az postgres flexible-server replica list --name db", ""},
    {"az sql failover-group set-primary --name g", "promotes"},
    // What stops, turns or replaces.
    {"docker stop api", "stops"},
    {"docker kill api", "stops"},
    {"docker ps", ""},
    {"docker-compose down", "stops"},
    {"docker-compose stop api", "stops"},
    {"docker compose kill api", "stops"},
    {"systemctl stop postgresql", "stops"},
    {"systemctl status postgresql", ""},
    {"pg_ctl stop -m fast", "stops"},
    {"pg_ctlcluster 15 main stop", "stops"},
    {"kubectl drain node-1", "stops"},
    {"kubectl scale deploy/api --replicas=0", "stops"},
    {"aws route53 change-resource-record-sets --hosted-zone-id z", "traffic"},
    {"aws route53 list-resource-record-sets --hosted-zone-id z", ""},
    {"gcloud dns record-sets update www --zone z", "traffic"},
    {"gcloud dns record-sets list --zone z", ""},
    {"az network dns record-set a update -n www", "traffic"},
    {"az network dns record-set list", ""},
    {"kubectl patch ingress web -p x", "traffic"},
    {"kubectl patch service web -p x", "traffic"},
    {"kubectl create secret generic s", "rotates"},
    {"kubectl get secret s", ""},
    {"age-keygen -o key.txt", "rotates"},
    {"aws secretsmanager put-secret-value --secret-id s", "rotates"},
    {"aws secretsmanager get-secret-value --secret-id s", ""},
    // What waits for a person, or for ever.
    {"kubectl edit deploy api", "interactive"},
    {"top", "interactive"},
    {"htop", "interactive"},
    {"less x", "interactive"},
    {"vi x", "interactive"},
    {"vim x", "interactive"},
    {"nano x", "interactive"},
    {"emacs x", "interactive"},
    {"visudo", "interactive"},
    {"passwd root", "interactive"},
    {"crontab -e", "interactive"},
    {"crontab -l", ""},
    {"aws configure", "interactive"},
    {"aws configure list", ""},
    {"kubectl port-forward svc/db 5432", "never-ends"},
    {"kubectl proxy", "never-ends"},
    {"kubectl logs -f api", "never-ends"},
    {"kubectl logs api", ""},
    {"kubectl get pods -w", "never-ends"},
    {"docker logs --follow api", "never-ends"},
    {"docker-compose logs -f", "never-ends"},
    {"journalctl -fu api", "never-ends"},
    {"tail -F x", "never-ends"},
    {"tail -n 5 x", ""},
    {"watch -n 5 df", "never-ends"},
};

constexpr std::array<const char*, 12> kNames = {"destroys",    "irreversible", "stops",        "traffic",
                                                "promotes",    "rotates",      "writes",       "aside",
                                                "interactive", "never-ends",   "needs-secret", "remote"};

std::vector<Effect> effects_of_text(const std::string& text) {
  const shell::Script script = shell::parse(text);
  std::vector<Effect> effects;
  const auto take = [&](std::vector<Effect> more) { effects.insert(effects.end(), more.begin(), more.end()); };
  for (const shell::Invocation& invocation : shell::invocations(script)) take(effects_of(invocation));
  for (const shell::Command& command : script.commands) take(effects_of_redirections(command));
  return effects;
}

std::string kinds_of(const std::vector<Effect>& effects) {
  std::set<HazardKind> kinds;
  for (const Effect& effect : effects) kinds.insert(effect.kind);
  std::string text;
  for (const HazardKind kind : kinds)
    text += (text.empty() ? "" : " ") + std::string(kNames[static_cast<size_t>(kind)]);
  return text;
}

TEST(HazardTable, ACommandIsTakenForWhatItDoes) {
  for (const Case& each : kCases) EXPECT_EQ(kinds_of(effects_of_text(each.command)), each.kinds) << each.command;
}

TEST(HazardTable, NoRowIsWithoutACase) {
  std::string reasons;
  for (const Case& each : kCases)
    for (const Effect& effect : effects_of_text(each.command))
      reasons += std::to_string(static_cast<int>(effect.kind)) + " " + effect.reason + "\n";
  for (const KnownEffect& row : known_effects()) {
    std::string_view operands = row.operands;
    if (operands.starts_with("* ")) operands.remove_prefix(2);
    const std::string begin = std::to_string(static_cast<int>(row.kind)) + " " + std::string(row.program) +
                              (operands.empty() ? "" : " " + std::string(operands)) + " ";
    const size_t found = reasons.find(begin);
    ASSERT_NE(found, std::string::npos) << begin;
    EXPECT_NE(reasons.find(std::string(row.reason) + "\n", found), std::string::npos) << begin << row.reason;
  }
}

std::string kinds_of_step(const std::string& block) {
  const auto document = read_document("## Scenario 1: X\n\n1. **Do**\n```bash\n" + block + "```\n", "r.md");
  EXPECT_TRUE(document.ok());
  std::vector<Effect> effects;
  for (const Hazard& hazard : document.value().scenarios.at(0).steps.at(0).hazards)
    effects.push_back({hazard.kind, hazard.reason});
  return kinds_of(effects);
}

TEST(HazardTable, OfTheLinesThatAProgramIsFed) {
  EXPECT_EQ(kinds_of_step("redis-cli -h cache\nPING\nFLUSHALL\n"), "destroys irreversible");
  EXPECT_EQ(kinds_of_step("redis-cli -h cache\nINFO\nREPLICAOF NO ONE\n"), "promotes");
  EXPECT_EQ(kinds_of_step("redis-cli -h cache\nINFO\nPING\n"), "");
  EXPECT_EQ(kinds_of_step("psql shop\nSELECT 1;\nDROP TABLE carts;\n"), "destroys");
}

TEST(HazardTable, OfRedirectionsInAStep) { EXPECT_EQ(kinds_of_step("ls\n: > /srv/queue\n"), "destroys"); }

}  // namespace
}  // namespace holdfast::runbook
