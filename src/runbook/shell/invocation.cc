#include "runbook/shell/invocation.h"

#include <algorithm>
#include <array>

#include "runbook/shell/parser.h"

namespace holdfast::shell {

namespace {

constexpr int kTextsDepth = 4;

std::string base_name(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool is_flag(const std::string& word) { return word.size() > 1 && word[0] == '-'; }

bool reads_file(const Command& command) {
  return std::any_of(command.redirections.begin(), command.redirections.end(),
                     [](const Redirection& redirection) { return redirection.op.starts_with("<"); });
}

// Of each command, whether its standard input is no terminal: a file, a pipe, or that of a loop
// or group around it ("done < list").
std::vector<bool> fed_commands(const Script& script) {
  std::vector<bool> fed;
  uint32_t fed_until = 0;
  for (const Command& command : script.commands) {
    const bool own = command.stage > 0 || reads_file(command);
    fed.push_back(own || command.span.begin < fed_until);
    if (own && command.compound) fed_until = std::max(fed_until, command.span.end);
  }
  return fed;
}

// Short flags of wrappers that take a value in the next word.
bool takes_value(const std::string& program, const std::string& flag) {
  struct Flags {
    std::string_view program, flags;
  };
  constexpr Flags kFlags[] = {
      {"sudo", " -u -g -h -p -C -r -t -U --user --group "},
      {"env", " -u -C -S --unset --chdir "},
      {"nice", " -n "},
      {"ionice", " -c -n -p "},
      {"timeout", " -k -s --signal --kill-after "},
      {"ssh", " -p -i -l -o -L -R -D -F -J -b -c -e -m -O -Q -S -W -w "},
      {"docker",
       " -u -e -w --user --env --workdir --env-file -c --context -H --host -f --file -p --project-name --log-level "},
      {"docker-compose",
       " -f --file -p --project-name --project-directory --env-file --profile --ansi -u -e -w --user --env --workdir "},
      {"kubectl",
       " -n --namespace -c --container --context -l --selector -o --output -f --filename --kubeconfig --cluster "
       "--user --server -s --token --as --request-timeout "},
      {"xargs", " -I -n -P -L -d -s -a "},
      {"watch", " -n --interval "},
      {"su", " -s -g "},
      {"flock", " -w -E "},
      {"chroot", " "},
      {"holdfast", " --config --repository --passphrase --threads "},
      {"aws", " --region --profile --output --endpoint-url --query --ca-bundle --cli-read-timeout "},
      {"gcloud", " --project --account --configuration --format --region --zone "},
      {"az", " --subscription -o --output --query "},
      {"git", " -C -c --git-dir --work-tree "},
      {"helm", " -n --namespace --kube-context --kubeconfig "},
      {"velero", " -n --namespace --kubeconfig --kubecontext "},
      {"restic", " -r --repo -p --password-file --password-command -o --cache-dir --limit-download "},
      {"pgbackrest", " --stanza --config --repo --type --target --set --log-level-console "},
      {"patronictl", " -c --config-file -d --dcs-url -k "},
      {"repmgr", " -f --config-file -h --host -U -d -p "},
      {"pg_ctl", " -D --pgdata -l --log -o --options -p -t --timeout -m --mode "},
      {"systemctl", " -H --host -M --machine -t --type -p --property "},
      {"vault", " -address -namespace -ca-cert "},
      {"etcdctl", " --endpoints --cacert --cert --key --user --password --dial-timeout --command-timeout "},
      {"mysqladmin", " -u --user -h --host -P --port -S --socket "},
      {"gsutil", " -o -h -i -u "},
      {"mc", " -C --config-dir "},
  };
  for (const Flags& each : kFlags)
    if (each.program == program) return each.flags.find(" " + flag + " ") != std::string_view::npos;
  return false;
}

struct Words {
  std::vector<std::string> values;
  size_t place = 0;
  bool done() const { return place >= values.size(); }
  const std::string& front() const { return values[place]; }
  // Moves behind the flags of `program`.
  void skip_flags(const std::string& program) {
    while (!done() && is_flag(front())) {
      const std::string flag = front();
      place++;
      if (flag == "--") break;
      if (takes_value(program, flag) && !done()) place++;
    }
  }
  // -i, -it, --stdin, --interactive=true, between two places.
  bool passes_input(size_t from, size_t to) const {
    return std::any_of(values.begin() + static_cast<std::ptrdiff_t>(from),
                       values.begin() + static_cast<std::ptrdiff_t>(to), [](const std::string& flag) {
                         const bool short_flags = is_flag(flag) && flag[1] != '-' && flag.size() <= 4;
                         return (short_flags && flag.find('i') != std::string::npos) || flag.starts_with("--stdin") ||
                                flag.starts_with("--interactive");
                       });
  }
  // -it, -ti, -i -t, --stdin --tty, between two places: a person is to type.
  bool asks_for_terminal(size_t from, size_t to) const {
    bool input = false, terminal = false;
    for (size_t index = from; index < to; index++) {
      const std::string& flag = values[index];
      if (!is_flag(flag)) continue;
      const bool short_flags = flag[1] != '-' && flag.size() <= 4;
      input =
          input || (short_flags && flag.find('i') != std::string::npos) || flag == "--stdin" || flag == "--interactive";
      terminal = terminal || (short_flags && flag.find('t') != std::string::npos) || flag == "--tty";
    }
    return input && terminal;
  }
};

// Takes wrappers off one command.
class Unwrapper {
 public:
  Unwrapper(std::vector<Invocation>& found, int depth) : found_(found), depth_(depth) {}

  void add(Invocation invocation, Words words) {
    for (int wrappers = 0; wrappers < 8 && !words.done(); wrappers++) {
      invocation.path = words.front();
      invocation.program = base_name(invocation.path);
      words.place++;
      if (!unwrap(invocation, words)) break;
      invocation.nested = true;
    }
    if (finished_) return;
    invocation.args.assign(words.values.begin() + static_cast<std::ptrdiff_t>(words.place), words.values.end());
    if (invocation.program == "docker" && !words.done() && words.front() == "compose") {
      invocation.program = "docker-compose";
      invocation.args.erase(invocation.args.begin());
    }
    found_.push_back(std::move(invocation));
  }

 private:
  // True when `words` now begins with the program that was wrapped.
  bool unwrap(Invocation& invocation, Words& words) {
    const std::string program = invocation.program;
    constexpr std::array<std::string_view, 9> kPlain = {"sudo", "nohup", "env",     "nice",  "ionice",
                                                        "time", "exec",  "command", "stdbuf"};
    Words ahead = words;
    // "command -v dropdb" only looks for the program.
    if (program == "command" && !words.done() && (words.front() == "-v" || words.front() == "-V")) return false;
    if (std::find(kPlain.begin(), kPlain.end(), program) != kPlain.end()) {
      ahead.skip_flags(program);
      while (program != "nice" && !ahead.done() && ahead.front().find('=') != std::string::npos &&
             !is_flag(ahead.front()))
        ahead.place++;
    } else if (program == "timeout" || program == "flock" || program == "chroot") {
      ahead.skip_flags(program);
      if (!ahead.done()) ahead.place++;
    } else if (program == "xargs") {
      ahead.skip_flags(program);
    } else if (program == "watch" || program == "ssh" || program == "sh" || program == "bash" || program == "zsh" ||
               program == "su") {
      return texts(invocation, words);
    } else if (program == "docker" || program == "docker-compose" || program == "podman") {
      return container(invocation, words);
    } else if (program == "kubectl" || program == "oc") {
      return pod(invocation, words);
    } else {
      return false;
    }
    if (ahead.done()) return false;
    words = ahead;
    return true;
  }

  // docker exec [flags] CONTAINER program...
  bool container(Invocation& invocation, Words& words) const {
    Words ahead = words;
    const bool compose = invocation.program == "docker-compose" || (!ahead.done() && ahead.front() == "compose");
    if (!ahead.done() && ahead.front() == "compose") ahead.place++;
    ahead.skip_flags(invocation.program);
    if (ahead.done() || (ahead.front() != "exec" && ahead.front() != "run")) return false;
    const bool runs = ahead.front() == "run";
    ahead.place++;
    if (runs) {
      invocation.terminal = ahead.asks_for_terminal(ahead.place, ahead.values.size()) && !detaches(ahead);
      return false;
    }
    const size_t flags = ahead.place;
    ahead.skip_flags("docker");
    const bool terminal = ahead.asks_for_terminal(flags, ahead.place);
    // "docker-compose exec" passes its input on by itself.
    const bool passes = compose || ahead.passes_input(flags, ahead.place);
    if (ahead.done()) return false;
    ahead.place++;
    if (ahead.done()) return false;
    into_container(invocation, terminal, passes);
    words = ahead;
    return true;
  }

  // docker run -d, -dit: nobody sits at its terminal.
  static bool detaches(const Words& words) {
    return std::any_of(words.values.begin() + static_cast<std::ptrdiff_t>(words.place), words.values.end(),
                       [](const std::string& flag) {
                         const bool short_flags = is_flag(flag) && flag[1] != '-' && flag.size() <= 4;
                         return flag == "--detach" || (short_flags && flag.find('d') != std::string::npos);
                       });
  }

  void into_container(Invocation& invocation, bool terminal, bool passes_input) const {
    invocation.remote = true;
    invocation.terminal = invocation.terminal || terminal;
    const Command& command = *invocation.command;
    invocation.loses_input = depth_ == 0 && !passes_input && (command.stage > 0 || reads_file(command));
  }

  // kubectl exec [flags] POD [flags] -- program..., and as it was once written, without the "--".
  bool pod(Invocation& invocation, Words& words) const {
    Words ahead = words;
    ahead.skip_flags("kubectl");
    if (ahead.done()) return false;
    const size_t verb = ahead.place;
    const auto first = ahead.values.begin() + static_cast<std::ptrdiff_t>(verb);
    const auto divider = std::find(first, ahead.values.end(), "--");
    ahead.place++;
    if (*first == "run" || *first == "attach" || *first == "debug")
      invocation.terminal = ahead.asks_for_terminal(verb, static_cast<size_t>(divider - ahead.values.begin()));
    if (*first != "exec") return false;
    if (divider != ahead.values.end()) {
      ahead.place = static_cast<size_t>(divider - ahead.values.begin()) + 1;
    } else {
      ahead.skip_flags("kubectl");
      if (!ahead.done()) ahead.place++;
      ahead.skip_flags("kubectl");
    }
    if (ahead.done()) return false;
    into_container(invocation, ahead.asks_for_terminal(verb, ahead.place), ahead.passes_input(verb, ahead.place));
    words = ahead;
    return true;
  }

  // Programs whose argument is a shell text.
  bool texts(Invocation& invocation, Words& words) {
    Words ahead = words;
    const std::string& program = invocation.program;
    std::string text;
    if (program == "ssh") {
      ahead.skip_flags(program);
      if (ahead.done()) return false;
      ahead.place++;
      while (!ahead.done()) {
        text += (text.empty() ? "" : " ") + ahead.front();
        ahead.place++;
      }
      invocation.remote = true;
      if (text.empty()) text = here_document(invocation);
    } else if (program == "watch") {
      ahead.skip_flags(program);
      while (!ahead.done()) {
        text += (text.empty() ? "" : " ") + ahead.front();
        ahead.place++;
      }
    } else {
      // "su - postgres -c ...": the account stands in front.
      const auto before = [&] { return is_flag(ahead.front()) ? !ahead.front().ends_with("c") : program == "su"; };
      while (!ahead.done() && ahead.front() != "--command" && before()) ahead.place++;
      if (ahead.done() || !is_flag(ahead.front())) return false;
      ahead.place++;
      if (ahead.done()) return false;
      text = ahead.front();
    }
    if (text.empty() || depth_ >= kTextsDepth) return false;
    read_text(invocation, words, text);
    return false;
  }

  static std::string here_document(const Invocation& invocation) {
    for (const Redirection& redirection : invocation.command->redirections)
      if (redirection.op == "<<" || redirection.op == "<<-") return redirection.here_document;
    return "";
  }

  void read_text(const Invocation& wrapper, const Words& words, const std::string& text) {
    Invocation outer = wrapper;
    outer.args.assign(words.values.begin() + static_cast<std::ptrdiff_t>(words.place), words.values.end());
    found_.push_back(outer);
    const Script inner = parse(text);
    const std::vector<bool> fed = fed_commands(inner);
    for (size_t index = 0; index < inner.commands.size(); index++) {
      const Command& command = inner.commands[index];
      if (command.words.empty() || command.compound) continue;
      Invocation invocation;
      invocation.command = wrapper.command;
      invocation.span = wrapper.span;
      invocation.word_span = wrapper.span;
      invocation.remote = wrapper.remote;
      invocation.terminal = wrapper.terminal;
      invocation.nested = true;
      invocation.has_input = wrapper.has_input || fed[index];
      Words inside;
      for (const Word& word : command.words) inside.values.push_back(word.value);
      Unwrapper(found_, depth_ + 1).add(std::move(invocation), std::move(inside));
    }
    finished_ = true;
  }

  std::vector<Invocation>& found_;
  int depth_;
  bool finished_ = false;
};

}  // namespace

bool Invocation::has(std::string_view flag) const {
  const bool short_flag = flag.size() == 2 && flag[0] == '-' && flag[1] != '-';
  return std::any_of(args.begin(), args.end(), [&](const std::string& arg) {
    if (arg == flag) return true;
    if (arg.size() > flag.size() && arg.starts_with(flag) && arg[flag.size()] == '=') return true;
    return short_flag && is_flag(arg) && arg[1] != '-' && arg.find('=') == std::string::npos &&
           arg.find(flag[1], 1) != std::string::npos && arg.size() <= 6;
  });
}

std::string Invocation::option(std::string_view name) const {
  for (size_t index = 0; index < args.size(); index++) {
    if (args[index] == name) return index + 1 < args.size() ? args[index + 1] : "";
    if (args[index].starts_with(name) && args[index].size() > name.size() && args[index][name.size()] == '=')
      return args[index].substr(name.size() + 1);
  }
  return "";
}

std::vector<std::string> Invocation::operands() const {
  std::vector<std::string> result;
  for (size_t index = 0; index < args.size(); index++) {
    if (!is_flag(args[index])) {
      result.push_back(args[index]);
    } else if (takes_value(program, args[index])) {
      index++;
    }
  }
  return result;
}

bool Invocation::begins(std::initializer_list<std::string_view> operands_expected) const {
  const std::vector<std::string> given = operands();
  return given.size() >= operands_expected.size() &&
         std::equal(operands_expected.begin(), operands_expected.end(), given.begin());
}

std::vector<Invocation> invocations(const Script& script) {
  std::vector<Invocation> found;
  const std::vector<bool> fed = fed_commands(script);
  for (size_t index = 0; index < script.commands.size(); index++) {
    const Command& command = script.commands[index];
    if (command.words.empty() || command.compound) continue;
    Invocation invocation;
    invocation.command = &command;
    invocation.span = command.span;
    invocation.word_span = command.words.front().span;
    invocation.has_input = fed[index];
    Words words;
    for (const Word& word : command.words) words.values.push_back(word.value);
    Unwrapper(found, 0).add(std::move(invocation), std::move(words));
  }
  return found;
}

}  // namespace holdfast::shell
