#include "runbook/shell/options.h"

namespace holdfast::shell {

namespace {

struct Valued {
  std::string_view program, flags;
};

// Options that take a value in the next word, where it isn't attached.
constexpr Valued kValued[] = {
    {"sudo",
     " -u -g -h -p -C -D -R -r -t -T -U --user --group --host --prompt --chdir --chroot --close-from --role --type "
     "--command-timeout --other-user "},
    {"doas", " -u -C -a "},
    {"env", " -u -C -S --unset --chdir "},
    {"nice", " -n "},
    {"ionice", " -c -n -p --class --classdata "},
    {"stdbuf", " -i -o -e --input --output --error "},
    {"time", " -f -o --format --output "},
    {"exec", " -a "},
    {"timeout", " -k -s --signal --kill-after "},
    {"ssh", " -p -i -l -o -L -R -D -E -F -I -J -B -b -c -e -m -O -Q -S -W -w "},
    {"bash", " -o -O --rcfile --init-file "},
    {"sh", " -o "},
    {"python", " -W -X "},
    {"python3", " -W -X "},
    {"zsh", " -o "},
    {"su", " -c -s -g -G -w -T --command --session-command --shell --group --supp-group --whitelist-environment "},
    {"runuser",
     " -c -s -g -G -u -w -T --command --session-command --shell --group --supp-group --user --whitelist-environment "},
    {"docker", " -c --context -H --host -l --log-level --config --tlscacert --tlscert --tlskey "},
    {"docker exec", " -u -e -w --user --env --workdir --env-file --detach-keys "},
    {"docker run",
     " -u -e -w -v -p -h -l -m -c -a --user --env --workdir --env-file --detach-keys --volume --publish --hostname "
     "--label --memory --cpu-shares --attach --name --network --net --ip --entrypoint --mount --restart --link "
     "--add-host --cap-add --cap-drop --cgroup-parent --cidfile --cpus --cpuset-cpus --device --dns --dns-search "
     "--domainname --expose --gpus --group-add --health-cmd --health-interval --health-retries --health-timeout "
     "--ip6 --ipc --isolation --label-file --log-driver --log-opt --mac-address --memory-swap --network-alias "
     "--net-alias --pid --pids-limit --platform --pull --runtime --security-opt --shm-size --stop-signal "
     "--stop-timeout --storage-opt --sysctl --tmpfs --ulimit --userns --uts --volume-driver --volumes-from "},
    {"docker-compose",
     " -f --file -p --project-name --project-directory --env-file --profile --ansi --parallel --progress -u -e -w "
     "--user --env --workdir -H --host --context --scale "},
    {"docker-compose exec", " -u -e -w --user --env --workdir --index "},
    {"docker-compose run",
     " -u -e -w -v -p -l --user --env --workdir --volume --publish --label --name --entrypoint --env-from-file "
     "--cap-add --cap-drop --pull "},
    {"kubectl",
     " -n --namespace -c --container --context -l --selector -o --output -f --filename -v --v --kubeconfig --cluster "
     "--user --server -s --token --as --request-timeout --grace-period --timeout --field-selector --replicas "
     "--type -p --patch --sort-by --since --tail --image "},
    {"xargs", " -I -n -P -L -d -s -a -E --max-args --max-procs --max-lines --max-chars --delimiter --arg-file --eof "},
    {"watch", " -n --interval "},
    {"flock", " -w -E --timeout --conflict-exit-code "},
    {"chroot", " --userspec --groups "},
    {"holdfast", " --config --repository --passphrase --threads "},
    {"aws", " --region --profile --output --endpoint-url --query --ca-bundle --cli-read-timeout "},
    {"gcloud", " --project --account --configuration --format --region --zone "},
    {"az", " --subscription -o --output --query -g --resource-group -n --name -z --zone-name "},
    {"git", " -C -c --git-dir --work-tree "},
    {"helm", " -n --namespace --kube-context --kubeconfig "},
    {"velero", " -n --namespace --kubeconfig --kubecontext "},
    {"restic", " -r --repo -p --password-file --password-command -o --cache-dir --limit-download "},
    {"pgbackrest", " --stanza --config --repo --type --target --set --log-level-console "},
    {"patronictl", " -c --config-file -d --dcs --dcs-url -k "},
    {"repmgr", " -f --config-file -h --host -U -d -p -L --log-level "},
    {"stolonctl", " --cluster-name --store-backend --store-endpoints --kube-namespace "},
    {"pg_ctl", " -D --pgdata -l --log -o --options -p -t --timeout -m --mode "},
    {"pg_ctlcluster", " -m --mode -o --options "},
    {"pg_rewind", " -D --target-pgdata --source-pgdata --source-server --config-file "},
    {"pg_restore",
     " -d -f -F -h -I -j -L -n -N -O -P -p -S -t -T -U --dbname --file --format --host --index --jobs --use-list "
     "--schema --exclude-schema --function --port --superuser --table --trigger --username --role --section "},
    {"psql",
     " -c -d -f -F -h -L -o -p -P -R -T -U -v --command --dbname --file --field-separator --host --log-file --output "
     "--port --pset --record-separator --table-attr --username --set --variable "},
    {"systemctl", " -H --host -M --machine -t --type -p --property "},
    {"journalctl",
     " -u -n -o -p -S -U -t -g -D -M -F -c --unit --lines --output --priority --since --until --identifier --grep "
     "--directory --machine --field --cursor "},
    {"tail", " -n -c -s --lines --bytes --sleep-interval --pid "},
    {"ping", " -c -i -I -W -w -s -t -l -m -M -p -Q -S -F "},
    {"vault", " -address -namespace -ca-cert "},
    {"etcdctl",
     " -w --write-out --endpoints --cacert --cert --key --user --password --dial-timeout --command-timeout "},
    {"mysqladmin", " -u --user -h --host -P --port -S --socket "},
    {"gsutil", " -o -h -i -u "},
    {"mc", " -C --config-dir "},
    {"curl", " -o -X -H -d -u -m -w -A -b -c -e -F -T -x -K -E -r -D -C -Q -U -P -z "},
    {"truncate", " -s -r --size --reference "},
    {"cp", " -t -S --target-directory --suffix "},
    {"mv", " -t -S --target-directory --suffix "},
    {"rsync",
     " -e -f -T -B -M --exclude --include --filter --exclude-from --include-from --files-from --log-file "
     "--log-file-format --temp-dir --backup-dir --suffix --rsh --rsync-path --bwlimit --timeout --contimeout --port "
     "--password-file --chmod --chown --usermap --groupmap --compare-dest --copy-dest --link-dest --partial-dir "
     "--out-format --info --debug --max-size --min-size --max-delete --modify-window --block-size --compress-level "
     "--compress-choice --checksum-choice --skip-compress --sockopts --address --iconv --remote-option --stop-after "},
    {"tar",
     " -f -C -T -X -b -H -g -I -K -L -N -V --file --directory --files-from --exclude-from --exclude --format "
     "--use-compress-program --transform --strip-components --owner --group --mode --mtime "},
};

}  // namespace

std::string_view family_of(std::string_view program) {
  if (program == "podman" || program == "nerdctl") return "docker";
  if (program == "podman-compose") return "docker-compose";
  if (program == "oc") return "kubectl";
  if (program == "valkey-cli" || program == "keydb-cli") return "redis-cli";
  return program;
}

bool is_flag(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

bool is_short_group(const std::string& word) { return is_flag(word) && word[1] != '-'; }

namespace {

bool is_listed(std::string_view program, std::string_view flag) {
  for (const Valued& each : kValued)
    if (each.program == program) return each.flags.find(" " + std::string(flag) + " ") != std::string_view::npos;
  return false;
}

}  // namespace

std::string_view letters_of(std::string_view program, const std::string& word) {
  if (!is_short_group(word)) return {};
  const std::string_view letters = std::string_view(word).substr(1, word.find('=') - 1);
  for (size_t index = 0; index < letters.size(); index++) {
    const char flag[] = {'-', letters[index]};
    if (is_listed(program, std::string_view(flag, 2))) return letters.substr(0, index + 1);
  }
  return letters;
}

bool takes_value(std::string_view program, const std::string& word) {
  if (is_listed(program, word)) return true;
  const std::string_view letters = letters_of(program, word);
  if (letters.empty() || letters.size() + 1 != word.size()) return false;
  const char flag[] = {'-', letters.back()};
  return is_listed(program, std::string_view(flag, 2));
}

std::vector<Operand> operands_of(std::string_view program, const std::vector<std::string>& args) {
  std::vector<Operand> found;
  bool unknown = false;
  for (size_t index = 0; index < args.size(); index++) {
    const std::string& arg = args[index];
    if (!is_flag(arg)) {
      found.push_back({arg, unknown});
      unknown = false;
    } else if (takes_value(program, arg)) {
      index++;
      unknown = false;
    } else {
      unknown = arg.size() > 2 && arg[1] == '-' && arg.find('=') == std::string::npos;
    }
  }
  return found;
}

size_t end_of_words(const std::vector<Operand>& operands, size_t from, const std::vector<std::string>& wanted) {
  size_t matched = 0;
  for (size_t place = from; matched < wanted.size(); place++, from = place) {
    if (place >= operands.size()) return std::string::npos;
    if (operands[place].text == wanted[matched])
      matched++;
    else if (!operands[place].maybe_value)
      return std::string::npos;
  }
  return from;
}

}  // namespace holdfast::shell
