#include "runbook/shell/invocation.h"

#include <algorithm>
#include <array>

#include "runbook/shell/options.h"
#include "runbook/shell/parser.h"

namespace holdfast::shell {

namespace {

constexpr int kTextsDepth = 4;
// So many commands of a text may be the one that reads the input of the whole; of more nobody asks.
constexpr size_t kReadersOfInput = 4;

std::string base_name(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

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

// What "echo" or "printf" writes, as far as the text says it.
std::optional<std::string> written_by(const Command& command) {
  const bool echo = command.word(0) == "echo";
  if ((!echo && command.word(0) != "printf") || !command.redirections.empty()) return std::nullopt;
  std::string text;
  for (size_t index = 1; index < command.words.size(); index++) {
    const std::string& word = command.word(index);
    if (echo && text.empty() && (word == "-n" || word == "-e" || word == "-ne" || word == "-en")) continue;
    if (!echo && index == 1 && command.words.size() > 2) continue;  // the format
    text += (text.empty() ? "" : echo ? " " : "\n") + word;
  }
  std::string lines;
  for (size_t place = 0; place < text.size(); place++) {
    const bool escaped = text.compare(place, 2, "\\n") == 0;
    lines += escaped ? '\n' : text[place];
    if (escaped) place++;
  }
  return lines;
}

// A here-document, a here-string, or what is written into the pipe in front of it.
std::optional<std::string> input_of(const Script& script, size_t index) {
  const Command& command = script.commands[index];
  for (auto each = command.redirections.rbegin(); each != command.redirections.rend(); ++each) {
    if (each->fd > 0 || !each->op.starts_with("<")) continue;
    if (each->op == "<<" || each->op == "<<-") return each->here_document;
    return each->op == "<<<" ? std::optional(each->target.value) : std::nullopt;
  }
  if (command.stage == 0 || index == 0) return std::nullopt;
  const Command& writer = script.commands[index - 1];
  if (writer.pipeline != command.pipeline || writer.stage + 1 != command.stage || writer.compound) return std::nullopt;
  return written_by(writer);
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
  // A flag in front, alone or in a group.
  bool has(const std::string& program, size_t from, char letter, std::string_view name) const {
    return std::any_of(values.begin() + static_cast<std::ptrdiff_t>(from),
                       values.begin() + static_cast<std::ptrdiff_t>(place), [&](const std::string& flag) {
                         return letters_of(program, flag).find(letter) != std::string_view::npos || flag == name ||
                                flag == std::string(name) + "=true";
                       });
  }
  // -i, -it, --stdin, --interactive=true.
  bool passes_input(const std::string& program, size_t from) const {
    return has(program, from, 'i', "--stdin") || has(program, from, 'i', "--interactive");
  }
  // -it, -ti, -i -t, --stdin --tty: a person is to type.
  bool asks_for_terminal(const std::string& program, size_t from) const {
    return passes_input(program, from) && has(program, from, 't', "--tty");
  }
  // Of an option in front, the last one.
  std::string option(size_t from, const std::string& name) const {
    std::string value;
    for (size_t index = from; index < place; index++) {
      if (values[index] == name && index + 1 < place) value = values[index + 1];
      if (values[index].starts_with(name + "=")) value = values[index].substr(name.size() + 1);
    }
    return value;
  }
};

// Takes wrappers off one command.
bool may_be_passed(const Command& command) {
  return !command.unconditional() || command.after == "||" || command.negated;
}

class Unwrapper {
 public:
  Unwrapper(std::vector<Invocation>& found, int depth) : found_(found), depth_(depth) {}

  void add(Invocation invocation, Words words) {
    for (int wrappers = 0; wrappers < 8 && !words.done(); wrappers++) {
      invocation.path = words.front();
      invocation.program = family_of(base_name(invocation.path));
      words.place++;
      if (!unwrap(invocation, words)) break;
      invocation.nested = true;
    }
    if (finished_) return;
    invocation.args.assign(words.values.begin() + static_cast<std::ptrdiff_t>(words.place), words.values.end());
    Words global = words;
    if (invocation.program == "docker") global.skip_flags("docker");
    if (invocation.program == "docker" && !global.done() && global.front() == "compose") {
      invocation.program = "docker-compose";
      invocation.args.erase(invocation.args.begin() + static_cast<std::ptrdiff_t>(global.place - words.place));
    }
    found_.push_back(std::move(invocation));
  }

 private:
  // True when `words` now begins with the program that was wrapped.
  bool unwrap(Invocation& invocation, Words& words) {
    const std::string program = invocation.program;
    constexpr std::array<std::string_view, 11> kPlain = {"sudo", "doas",   "setsid", "nohup",   "env",   "nice",
                                                         "time", "ionice", "exec",   "command", "stdbuf"};
    // "command -v dropdb" only looks for the program.
    if (program == "command" && !words.done() && (words.front() == "-v" || words.front() == "-V")) return false;
    if (program == "watch") return watched(invocation, words);
    if (program == "ssh") return on_host(invocation, words);
    if (program == "sh" || program == "bash" || program == "zsh" || program == "ash" || program == "dash")
      return by_shell(invocation, words);
    if (program == "su" || program == "runuser") return by_account(invocation, words);
    if (program == "source" || program == ".") return runs_file(invocation, words, words);
    if (program == "python" || program == "python3" || program == "perl" || program == "ruby" || program == "php")
      return by_interpreter(invocation, words);
    if (program == "eval") return read_text(invocation, words, joined(words), false);
    if (program == "trap" && !words.done() && !is_flag(words.front()))
      return read_text(invocation, words, words.front(), false);
    if (program == "find") return by_find(invocation, words);
    if (program == "docker" || program == "docker-compose") return container(invocation, words);
    if (program == "kubectl") return pod(invocation, words);
    Words ahead = words;
    if (std::find(kPlain.begin(), kPlain.end(), program) != kPlain.end()) {
      ahead.skip_flags(program);
      while (program != "nice" && !ahead.done() && ahead.front().find('=') != std::string::npos &&
             !is_flag(ahead.front()))
        ahead.place++;
      const bool opens_shell = program == "sudo" || program == "doas";
      if (ahead.done() && opens_shell) read_input(invocation, words);
    } else if (program == "timeout" || program == "flock" || program == "chroot" || program == "gosu" ||
               program == "su-exec") {
      ahead.skip_flags(program);
      if (!ahead.done()) ahead.place++;
    } else if (program == "xargs") {
      ahead.skip_flags(program);
    } else {
      return false;
    }
    if (ahead.done()) return false;
    words = ahead;
    return true;
  }

  // docker exec [flags] CONTAINER program..., docker run [flags] IMAGE program...
  bool container(Invocation& invocation, Words& words) const {
    Words ahead = words;
    bool compose = invocation.program == "docker-compose";
    if (!compose) ahead.skip_flags("docker");
    if (!compose && !ahead.done() && (ahead.front() == "compose" || ahead.front() == "container")) {
      compose = ahead.front() == "compose";
      ahead.place++;
    }
    if (compose) ahead.skip_flags("docker-compose");
    if (ahead.done() || (ahead.front() != "exec" && ahead.front() != "run")) return false;
    const bool runs = ahead.front() == "run";
    const std::string program = std::string(compose ? "docker-compose " : "docker ") + ahead.front();
    ahead.place++;
    const size_t flags = ahead.place;
    ahead.skip_flags(program);
    // Nobody sits at the terminal of what runs by itself.
    const bool detached = runs && ahead.has(program, flags, 'd', "--detach");
    const bool terminal = ahead.asks_for_terminal(program, flags) && !detached;
    // "docker-compose exec" passes its input on by itself.
    const bool passes = compose || ahead.passes_input(program, flags);
    const std::string entry = runs ? ahead.option(flags, "--entrypoint") : "";
    if (!ahead.done()) ahead.place++;
    if (!entry.empty()) {
      ahead.values.erase(ahead.values.begin(), ahead.values.begin() + static_cast<std::ptrdiff_t>(ahead.place));
      ahead.values.insert(ahead.values.begin(), entry);
      ahead.place = 0;
    }
    // Without a command, or with arguments alone, an image's own program runs.
    if (ahead.done() || (runs && is_flag(ahead.front()))) {
      invocation.terminal = runs && terminal;
      return false;
    }
    into_container(invocation, terminal, passes);
    words = ahead;
    return true;
  }

  void into_container(Invocation& invocation, bool terminal, bool passes_input) const {
    invocation.remote = true;
    invocation.terminal = invocation.terminal || terminal;
    const Command& command = *invocation.command;
    invocation.loses_input = depth_ == 0 && !passes_input && (command.stage > 0 || reads_file(command));
  }

  // kubectl exec [flags] POD [flags] -- program..., and as it was once written, without the "--".
  // kubectl run|debug [flags] -- program...
  bool pod(Invocation& invocation, Words& words) const {
    Words ahead = words;
    ahead.skip_flags("kubectl");
    if (ahead.done()) return false;
    const std::string verb = ahead.front();
    ahead.place++;
    const size_t flags = ahead.place;
    const auto divider = std::find(ahead.values.begin() + static_cast<std::ptrdiff_t>(flags), ahead.values.end(), "--");
    const bool starts = verb == "run" || verb == "debug";
    if (starts || verb == "attach") {
      ahead.place = static_cast<size_t>(divider - ahead.values.begin());
      invocation.terminal = ahead.asks_for_terminal("kubectl", flags);
    }
    if (verb != "exec" && !starts) return false;
    // Without a command, or with arguments alone, an image's own program runs.
    const auto program = divider == ahead.values.end() ? divider : divider + 1;
    if (starts && (program == ahead.values.end() || is_flag(*program))) return false;
    if (divider != ahead.values.end()) {
      ahead.place = static_cast<size_t>(divider - ahead.values.begin()) + 1;
    } else {
      ahead.skip_flags("kubectl");
      if (!ahead.done()) ahead.place++;
      ahead.skip_flags("kubectl");
    }
    if (ahead.done()) return false;
    into_container(invocation, ahead.asks_for_terminal("kubectl", flags), ahead.passes_input("kubectl", flags));
    words = ahead;
    return true;
  }

  static std::string joined(const Words& words) {
    std::string text;
    for (size_t index = words.place; index < words.values.size(); index++)
      text += (text.empty() ? "" : " ") + words.values[index];
    return text;
  }

  bool watched(const Invocation& invocation, const Words& words) {
    Words ahead = words;
    ahead.skip_flags("watch");
    return read_text(invocation, words, joined(ahead), false);
  }

  // ssh HOST command...: the words are one text. Without a command the host's shell reads its input.
  bool on_host(Invocation& invocation, const Words& words) {
    Words ahead = words;
    ahead.skip_flags("ssh");
    if (ahead.done()) return false;
    ahead.place++;
    ahead.skip_flags("ssh");
    invocation.remote = true;
    const std::string text = joined(ahead);
    return text.empty() ? read_input(invocation, words) : read_text(invocation, words, text, false);
  }

  // bash -c TEXT, bash -euo pipefail -c TEXT; bash and bash -s read their input.
  bool by_shell(Invocation& invocation, Words& words) {
    Words ahead = words;
    bool text = false, input = false;
    while (!ahead.done() && is_flag(ahead.front()) && ahead.front() != "-") {
      const std::string flag = ahead.front();
      ahead.place++;
      if (flag == "--") break;
      text = text || (is_short_group(flag) && flag.find('c') != std::string::npos);
      input = input || flag == "-s";
      if (takes_value(invocation.program, flag) && !ahead.done()) ahead.place++;
    }
    if (text) return !ahead.done() && read_text(invocation, words, ahead.front(), false);
    if (ahead.done() || input || ahead.front() == "-") return read_input(invocation, words);
    return runs_file(invocation, words, ahead);
  }

  // bash restore.sh, source restore.sh: what is in the file is not known, its name is.
  static bool runs_file(Invocation& invocation, Words& words, const Words& file) {
    if (file.done() || file.front().find('(') != std::string::npos) return false;
    invocation.script = true;
    words = file;
    return true;
  }

  // python3 restore_db.py; not python3 -m x, python3 -c TEXT.
  static bool by_interpreter(Invocation& invocation, Words& words) {
    Words ahead = words;
    while (!ahead.done() && is_flag(ahead.front())) {
      if (ahead.front() == "-m" || ahead.front() == "-c" || ahead.front() == "-e" || ahead.front() == "-r")
        return false;
      const bool valued = takes_value(invocation.program, ahead.front());
      ahead.place += valued ? 2 : 1;
    }
    return runs_file(invocation, words, ahead);
  }

  // Where find begins: "." when it is not said, and when there are so many that nobody wrote them by hand.
  static std::vector<std::string> places_of_find(const Words& words) {
    constexpr size_t kPlacesLimit = 32;
    std::vector<std::string> places;
    for (size_t index = words.place; index < words.values.size() && places.size() <= kPlacesLimit; index++) {
      const std::string& word = words.values[index];
      const bool follows = word == "-H" || word == "-L" || word == "-P";
      if (follows && places.empty()) continue;
      if (is_flag(word) || word == "(" || word == "!") break;
      places.push_back(word);
    }
    if (places.empty() || places.size() > kPlacesLimit) return {"."};
    return places;
  }

  // find PATH... -exec program... {} +, and -execdir, -ok, -okdir.
  bool by_find(const Invocation& invocation, const Words& words) {
    if (depth_ >= kTextsDepth) return false;
    const std::vector<std::string> places = places_of_find(words);
    for (size_t index = words.place; index < words.values.size(); index++) {
      const std::string& flag = words.values[index];
      if (flag != "-exec" && flag != "-execdir" && flag != "-ok" && flag != "-okdir") continue;
      Words inside;
      for (index++; index < words.values.size() && words.values[index] != ";" && words.values[index] != "+"; index++) {
        const std::string& word = words.values[index];
        const size_t braces = word.find("{}");
        if (braces == std::string::npos) inside.values.push_back(word);
        for (const std::string& place : places)
          if (braces != std::string::npos) inside.values.push_back(std::string(word).replace(braces, 2, place));
      }
      if (inside.done()) continue;
      if (!finished_) add_outer(invocation, words);
      finished_ = true;
      Invocation inner = invocation;
      inner.nested = true;
      inner.conditional = true;
      Unwrapper(found_, depth_ + 1).add(std::move(inner), std::move(inside));
    }
    return false;
  }

  void add_outer(const Invocation& wrapper, const Words& words) {
    Invocation outer = wrapper;
    outer.args.assign(words.values.begin() + static_cast<std::ptrdiff_t>(words.place), words.values.end());
    found_.push_back(std::move(outer));
  }

  // su - postgres -c TEXT, runuser --command=TEXT postgres, runuser -u postgres -- program...
  bool by_account(const Invocation& invocation, Words& words) {
    const std::string& program = invocation.program;
    bool direct = false;
    for (size_t index = words.place; index < words.values.size(); index++) {
      const std::string& word = words.values[index];
      const std::string_view letters = letters_of(program, word);
      const bool command = letters.ends_with('c') || word == "--command" || word == "--session-command";
      if (command && takes_value(program, word))
        return index + 1 < words.values.size() && read_text(invocation, words, words.values[index + 1], false);
      if (command) return read_text(invocation, words, word.substr(letters.size() + 1), false);
      if (word.starts_with("--command=") || word.starts_with("--session-command="))
        return read_text(invocation, words, word.substr(word.find('=') + 1), false);
      direct = direct || letters.ends_with('u') || word == "--user" || word.starts_with("--user=");
      if (direct && (!is_flag(word) || word == "--")) break;
      if (takes_value(program, word)) index++;
    }
    if (!direct) return read_input(invocation, words);
    Words ahead = words;
    ahead.skip_flags(program);
    if (ahead.done()) return false;
    words = ahead;
    return true;
  }

  // What a shell is fed is a script, as far as the text says it.
  bool read_input(const Invocation& wrapper, const Words& words) {
    return wrapper.input && read_text(wrapper, words, *wrapper.input, true);
  }

  // False, always: what is in the text has been added.
  bool read_text(const Invocation& wrapper, const Words& words, const std::string& text, bool is_input) {
    if (text.empty() || depth_ >= kTextsDepth) return false;
    add_outer(wrapper, words);
    found_.back().text = text;
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
      invocation.conditional = wrapper.conditional || may_be_passed(command);
      invocation.has_input = wrapper.has_input || fed[index];
      if (fed[index])
        invocation.input = input_of(inner, index);
      else if (!is_input && inner.commands.size() <= kReadersOfInput)
        invocation.input = wrapper.input;
      Words inside;
      for (const Word& word : command.words) inside.values.push_back(word.value);
      Unwrapper(found_, depth_ + 1).add(std::move(invocation), std::move(inside));
    }
    finished_ = true;
    return false;
  }

  std::vector<Invocation>& found_;
  int depth_;
  bool finished_ = false;
};

}  // namespace

bool Invocation::has(std::string_view flag) const {
  const bool letter = flag.size() == 2 && flag[1] != '-';
  return std::any_of(args.begin(), args.end(), [&](std::string_view arg) {
    if (letter && letters_of(program, std::string(arg)).find(flag[1]) != std::string_view::npos) return true;
    // Programs whose long options have one dash take two as well.
    if (flag.size() > 2 && flag[1] != '-' && arg.starts_with("--")) arg.remove_prefix(1);
    return arg.starts_with(flag) && (arg.size() == flag.size() || arg[flag.size()] == '=');
  });
}

std::string Invocation::option(std::string_view name) const {
  const std::vector<std::string> values = options(name);
  return values.empty() ? "" : values.front();
}

std::vector<std::string> Invocation::options(std::string_view name) const {
  std::vector<std::string> values;
  for (size_t index = 0; index < args.size(); index++) {
    const std::string& arg = args[index];
    const std::string_view letters = letters_of(program, arg);
    const bool group = name.size() == 2 && letters.ends_with(name[1]);
    const bool last = arg == name || (group && letters.size() + 1 == arg.size());
    if (last) {
      values.push_back(index + 1 < args.size() ? args[index + 1] : "");
    } else if (arg.starts_with(name) && arg.size() > name.size() && arg[name.size()] == '=') {
      values.push_back(arg.substr(name.size() + 1));
    } else if (group && takes_value(program, std::string(name))) {
      values.push_back(arg.substr(letters.size() + 1));
    }
  }
  return values;
}

std::vector<std::string> Invocation::operands() const {
  std::vector<std::string> result;
  for (Operand& each : operands_of(program, args)) result.push_back(std::move(each.text));
  return result;
}

bool Invocation::begins(std::initializer_list<std::string_view> operands_expected) const {
  const std::vector<std::string> wanted(operands_expected.begin(), operands_expected.end());
  return end_of_words(operands_of(program, args), 0, wanted) != std::string::npos;
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
    invocation.conditional = may_be_passed(command);
    invocation.has_input = fed[index];
    invocation.input = input_of(script, index);
    Words words;
    for (const Word& word : command.words) words.values.push_back(word.value);
    Unwrapper(found, 0).add(std::move(invocation), std::move(words));
  }
  return found;
}

}  // namespace holdfast::shell
