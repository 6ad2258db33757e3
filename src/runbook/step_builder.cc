#include "runbook/step_builder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <optional>
#include <set>

#include "runbook/clients.h"
#include "runbook/hazards.h"
#include "runbook/phrases.h"
#include "runbook/placeholders.h"
#include "runbook/shell/parser.h"
#include "runbook/vocabulary.h"

namespace holdfast::runbook {

using markdown::CodeLine;

namespace {

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

// What stands on one line of a shell text.
struct LineRole {
  size_t begin = 0, end = 0;                // offsets into the text
  bool inside = false;                      // goes on with what began on a line before, or ends it
  const shell::Comment* comment = nullptr;  // alone on the line, outside of any command
};

bool ends_with_backslash(const std::string& text, const LineRole& role, const shell::Script& script) {
  size_t first = role.end;
  while (first > role.begin && text[first - 1] == '\\') first--;
  if ((role.end - first) % 2 == 0) return false;
  const auto after = std::upper_bound(script.comments.begin(), script.comments.end(), role.end,
                                      [](size_t place, const shell::Comment& each) { return place < each.span.begin; });
  return after == script.comments.begin() || std::prev(after)->span.end < role.end;
}

std::vector<LineRole> roles_of(const std::string& text, const shell::Script& script) {
  std::vector<LineRole> roles;
  for (size_t begin = 0; begin < text.size();) {
    LineRole role;
    role.begin = begin;
    role.end = std::min(text.find('\n', begin), text.size());
    roles.push_back(role);
    begin = role.end + 1;
  }
  size_t statement = 0, comment = 0;
  for (LineRole& role : roles) {
    while (statement < script.statements.size() && script.statements[statement].end <= role.begin) statement++;
    role.inside = statement < script.statements.size() && script.statements[statement].begin < role.begin;
    while (comment < script.comments.size() && script.comments[comment].span.begin < role.begin) comment++;
    const bool here = comment < script.comments.size() && script.comments[comment].span.begin < role.end;
    // The line behind a "\\" is the rest of a command also where it is blank or a comment: that ends the command.
    role.inside = role.inside || (&role != roles.data() && ends_with_backslash(text, *(&role - 1), script));
    if (here && script.comments[comment].own_line && !role.inside) role.comment = &script.comments[comment];
  }
  return roles;
}

bool offers_alternative(const std::string& comment) {
  const std::vector<std::string> words = words_of(comment);
  return !words.empty() && (words[0] == "or" || words[0] == "alternatively" || words[0] == "alternative");
}

// "Option B: Point-in-time restore" -> 2.
int option_number(const std::string& comment) {
  const TitleParts parts = parse_title({comment, {}});
  if (parts.label != "option" && parts.label != "method") return 0;
  if (parts.number.size() != 1) return 0;
  const char c = parts.number[0];
  if (std::isdigit(static_cast<unsigned char>(c)) != 0) return c - '0';
  return std::toupper(static_cast<unsigned char>(c)) - 'A' + 1;
}

// Cuts a shell text into pieces.
class Cutter {
 public:
  Cutter(Step& step, const std::vector<LineRole>& roles) : step_(step), roles_(roles) {}

  void run() {
    for (size_t index = 0; index < roles_.size(); index++) {
      const LineRole& role = roles_[index];
      if (role.inside) {
        append(index);
      } else if (role.comment != nullptr) {
        comment(index, role.comment->text);
      } else if (is_blank(line(index))) {
        blank_ = true;
        commented_ = false;
      } else {
        command(index);
      }
    }
    flush();
    settle_groups();
  }

 private:
  std::string_view line(size_t index) const {
    return std::string_view(step_.text).substr(roles_[index].begin, roles_[index].end - roles_[index].begin);
  }

  void comment(size_t index, const std::string& text) {
    if (!piece_.text.empty()) flush();
    const bool run_on = commented_ && !piece_.title.empty();
    if (offers_alternative(text)) {
      // Right below another comment, what that comment says is the first alternative: to do nothing.
      const bool advice = run_on && piece_.text.empty();
      if (!piece_.title.empty()) flush(advice);
      piece_.title = text;
      mark_alternative(advice);
    } else if (const int number = option_number(text)) {
      if (!piece_.title.empty()) flush();
      piece_.title = text;
      mark_option(number);
    } else {
      // A comment behind a blank line begins anew; one right below another goes on with it.
      if (!run_on && !piece_.title.empty()) flush();
      piece_.title += (piece_.title.empty() ? "" : "; ") + text;
    }
    touch(index);
    commented_ = true;
    blank_ = false;
  }

  void command(size_t index) {
    if (blank_ && !piece_.text.empty()) flush();
    append(index);
    commented_ = false;
    blank_ = false;
  }

  void append(size_t index) {
    piece_.text += std::string(line(index)) + "\n";
    touch(index);
  }

  void touch(size_t index) {
    if (!piece_.range.known()) piece_.range = step_.lines[index];
    piece_.range.end = step_.lines[index].end;
  }

  void flush(bool even_empty = false) {
    if (!piece_.text.empty() || even_empty || !piece_.title.empty()) step_.pieces.push_back(std::move(piece_));
    piece_ = Piece();
  }

  // "or": this piece replaces the commands before it, or the advice right above.
  void mark_alternative(bool advice) {
    size_t place = step_.pieces.size();
    while (place > 0 && !advice && step_.pieces[place - 1].text.empty()) place--;
    if (place == 0) return;
    Piece& before = step_.pieces[place - 1];
    if (before.group == 0) {
      before.group = ++groups_;
      before.alternative = 1;
    }
    piece_.group = before.group;
    piece_.alternative = before.alternative + 1;
  }

  void mark_option(int number) {
    const bool goes_on = number > 1 && !step_.pieces.empty() && step_.pieces.back().group > 0;
    if (!goes_on) groups_++;
    piece_.group = goes_on ? step_.pieces.back().group : groups_;
    piece_.alternative = goes_on ? step_.pieces.back().alternative + 1 : 1;
  }

  // A group with one alternative is no choice.
  void settle_groups() {
    std::map<int, size_t> members;
    for (const Piece& piece : step_.pieces) members[piece.group]++;
    for (Piece& piece : step_.pieces)
      if (members[piece.group] < 2) piece.group = piece.alternative = 0;
  }

  Step& step_;
  const std::vector<LineRole>& roles_;
  Piece piece_;
  int groups_ = 0;
  bool commented_ = false, blank_ = false;
};

bool is_redis_command(const std::string& word) {
  constexpr std::array<std::string_view, 22> kCommands = {
      "FLUSHALL",  "FLUSHDB", "GET",     "SET",    "DEL",  "KEYS",    "INFO",     "PING",
      "CONFIG",    "SELECT",  "DBSIZE",  "BGSAVE", "SAVE", "MONITOR", "SHUTDOWN", "SLAVEOF",
      "REPLICAOF", "LLEN",    "HGETALL", "SCAN",   "AUTH", "CLUSTER"};
  return std::find(kCommands.begin(), kCommands.end(), word) != kCommands.end();
}

bool is_upper(std::string_view word) {
  return std::all_of(word.begin(), word.end(), [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; });
}

bool is_sql_word(std::string word) {
  for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  constexpr std::array<std::string_view, 24> kWords = {
      "SELECT",   "INSERT",  "UPDATE",  "DELETE", "DROP",    "CREATE", "ALTER",      "TRUNCATE",
      "VACUUM",   "REINDEX", "ANALYZE", "GRANT",  "SHOW",    "WITH",   "BEGIN",      "COMMIT",
      "ROLLBACK", "EXPLAIN", "COPY",    "REVOKE", "COMMENT", "SET",    "CHECKPOINT", "REFRESH"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// A piece is input for a program when its first word is one of that program's commands and no
// program of the machine.
bool is_input_for(const std::string& program, const std::string& text) {
  std::string word = text.substr(0, text.find_first_of(" \t\n;("));
  if (is_known_program(word)) return false;
  if (program == "redis-cli") return is_redis_command(word);
  if (program == "psql" || program == "mysql" || program == "sqlite3")
    return is_sql_word(word) || text.starts_with("\\");
  return false;
}

// The piece's last command, when it opens a prompt.
std::string take_opener(const Piece& piece, std::string& program) {
  const shell::Script script = shell::parse(without_angles(piece.text));
  if (script.statements.empty()) return "";
  const shell::Span last = script.statements.back();
  const std::vector<shell::Invocation> all = shell::invocations(script);
  const auto found = std::find_if(all.begin(), all.end(), [&](const shell::Invocation& each) {
    return each.span.begin >= last.begin && opens_prompt(each);
  });
  if (found == all.end()) return "";
  program = found->program;
  const std::string opener = piece.text.substr(last.begin, last.end - last.begin);
  return opener;
}

// Where the input in `text` ends: behind it stand commands of the shell again.
struct InputEnd {
  size_t input = 0;      // bytes that the program reads
  size_t commands = 0;   // where the shell's commands begin
  bool certain = false;  // each statement is known to be one of the two
};

std::string_view first_word_of(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  return line.substr(0, std::min(line.find_first_of(" \t\n;("), line.size()));
}

bool leaves_prompt(std::string_view word) {
  constexpr std::array<std::string_view, 6> kWords = {"exit", "quit", "EXIT", "QUIT", "\\q", "exit;"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

bool begins_command(std::string_view word) {
  return is_known_program(word) || word.starts_with("./") || word.starts_with("/") || word.starts_with("~/");
}

// A line that begins with a program's name and may be a client's all the same: "source dump.sql", "kill 12;".
bool may_be_clients(const std::string& program, const std::string& line) {
  if (program == "redis-cli") return false;
  constexpr std::array<std::string_view, 8> kMysqls = {"source", "kill",   "tee",  "edit",
                                                       "clear",  "system", "help", "use"};
  return trim(line).ends_with(";") ||
         (program == "mysql" && std::find(kMysqls.begin(), kMysqls.end(), first_word_of(line)) != kMysqls.end());
}

// Lines of SQL belong to one statement up to a semicolon.
bool ends_statement(const std::string& program, const std::string& line) {
  if (program == "redis-cli") return true;
  const std::string text = trim(line);
  return text.empty() || text.ends_with(";") || text.starts_with("\\") || text.starts_with("--");
}

InputEnd end_of_input(const std::string& program, const std::string& text) {
  InputEnd end{text.size(), text.size(), true};
  bool begins = true;
  for (size_t place = 0; place < text.size();) {
    const size_t stop = std::min(text.find('\n', place), text.size() - 1) + 1;
    const std::string line = text.substr(place, stop - place - 1);
    const std::string_view word = first_word_of(line);
    if (begins && leaves_prompt(word)) return {place, stop, end.certain};
    const bool understood = word.empty() || word.starts_with("--") || word.starts_with("#") ||
                            (program == "redis-cli" && is_upper(word)) || is_input_for(program, std::string(word));
    if (begins && !understood && begins_command(word))
      return {place, place, end.certain && !may_be_clients(program, line)};
    end.certain = end.certain && (!begins || understood);
    begins = ends_statement(program, line);
    place = stop;
  }
  return end;
}

// The lines of a text are the last of its range: `text` of `piece`, cut at `begin` and at `end`.
Piece part_of(const Step& step, const Piece& piece, size_t begin, size_t end) {
  Piece part;
  part.group = piece.group;
  part.alternative = piece.alternative;
  part.text = piece.text.substr(begin, end - begin);
  part.range = piece.range;
  const auto lines_in = [&](size_t from, size_t to) {
    return std::count(piece.text.begin() + static_cast<std::ptrdiff_t>(from),
                      piece.text.begin() + static_cast<std::ptrdiff_t>(to), '\n');
  };
  const auto last = std::find_if(step.lines.begin(), step.lines.end(),
                                 [&](const SourceRange& line) { return line.end == piece.range.end; });
  const auto all = lines_in(0, piece.text.size());
  if (part.text.empty() || last == step.lines.end() || last - step.lines.begin() + 1 < all) return part;
  if (begin > 0) part.range.begin = (last - (all - 1) + lines_in(0, begin))->begin;
  if (end < piece.text.size()) part.range.end = (last - lines_in(end, piece.text.size()))->end;
  return part;
}

// Takes pieces apart where a program's input begins and ends: "redis-cli", on the next line or behind a blank
// one "FLUSHALL", and below it commands of the shell.
class InputReader {
 public:
  explicit InputReader(Step& step) : step_(step) {}

  // False when a line below a prompt may be the program's or the shell's.
  bool run() {
    for (Piece& piece : step_.pieces) {
      // Behind a blank line: to the same prompt, or to one of its own?
      const std::string line = piece.text.substr(0, piece.text.find('\n'));
      if (open_ && (is_input_for(program_, piece.text) || may_be_clients(program_, line))) certain_ = false;
      open_ = false;
      if (!done_.empty() && opens_for(done_.back(), piece.text))
        commands(input(piece, std::move(piece.title)));
      else
        commands(std::move(piece));
    }
    step_.pieces = std::move(done_);
    return certain_;
  }

 private:
  // The last command of `opening` opens a prompt that understands `text`.
  bool opens_for(const Piece& opening, const std::string& text) {
    if (opening.kind != Piece::Kind::kCommands || opening.text.empty()) return false;
    std::string program;
    const std::string opener = take_opener(opening, program);
    if (opener.empty() || !is_input_for(program, text)) return false;
    program_ = program;
    opener_ = opener;
    return true;
  }

  // Ends behind the first line whose program's input stands below.
  size_t end_of_commands(const std::string& text) {
    for (size_t place = text.find('\n'); place != std::string::npos && place + 1 < text.size();
         place = text.find('\n', place + 1)) {
      const std::string word(
          first_word_of(std::string_view(text).substr(place + 1, text.find('\n', place + 1) - place)));
      if (!is_redis_command(word) && !is_sql_word(word) && !word.starts_with('\\')) continue;
      const size_t above = place == 0 ? std::string::npos : text.rfind('\n', place - 1);
      Piece opening;
      opening.text = text.substr(above == std::string::npos ? 0 : above + 1, place - above);
      if (opens_for(opening, word)) return place + 1;
    }
    return text.size();
  }

  void commands(std::optional<Piece> piece) {
    while (piece) {
      const size_t end = end_of_commands(piece->text);
      if (end == piece->text.size()) return done_.push_back(std::move(*piece));
      Piece head = part_of(step_, *piece, 0, end);
      head.title = piece->title;
      done_.push_back(std::move(head));
      piece = input(part_of(step_, *piece, end, piece->text.size()), "");
    }
  }

  // What stands behind the input.
  std::optional<Piece> input(const Piece& piece, std::string title) {
    const InputEnd end = end_of_input(program_, piece.text);
    certain_ = certain_ && end.certain;
    Piece& opening = done_.back();
    opening.text.erase(opening.text.rfind(opener_));
    Piece input = part_of(step_, piece, 0, end.input);
    input.kind = Piece::Kind::kInput;
    input.title = std::move(title);
    input.program = opener_;
    done_.push_back(std::move(input));
    open_ = end.input == piece.text.size();
    if (end.commands == piece.text.size()) return std::nullopt;
    return part_of(step_, piece, end.commands, piece.text.size());
  }

  Step& step_;
  std::vector<Piece> done_;
  std::string program_, opener_;  // of the prompt that was found last
  bool open_ = false;             // the piece before is its input, to the end
  bool certain_ = true;
};

bool is_identifier(const std::string& name) {
  return !name.empty() && (std::isalpha(static_cast<unsigned char>(name[0])) != 0 || name[0] == '_');
}

// Names that a command sets: X=..., export X, read X, local X.
void note_assigned(const shell::Command& command, std::set<std::string>& assigned, std::vector<std::string>& order) {
  const auto set = [&](const std::string& name) {
    if (is_identifier(name) && assigned.insert(name).second) order.push_back(name);
  };
  for (const shell::Assignment& assignment : command.assignments)
    if (command.words.empty()) set(assignment.name);
  const std::string& program = command.word(0);
  const bool declares = program == "export" || program == "declare" || program == "local" || program == "readonly" ||
                        program == "typeset";
  const bool reads = program == "read" || program == "mapfile" || program == "readarray";
  for (size_t index = 1; index < command.words.size(); index++) {
    const std::string& word = command.words[index].value;
    if (declares && word.find('=') != std::string::npos) set(word.substr(0, word.find('=')));
    if (reads && !word.starts_with("-")) set(word);
  }
}

// What bash sets by itself (its manual, "Shell Variables"), and what every session has.
bool is_shells_own(const std::string& name) {
  constexpr std::string_view kShellsOwn[] = {
      "BASH",          "BASHOPTS",      "BASHPID",      "BASH_COMMAND", "BASH_LINENO", "BASH_REMATCH",  "BASH_SOURCE",
      "BASH_SUBSHELL", "BASH_VERSINFO", "BASH_VERSION", "COLUMNS",      "DIRSTACK",    "EPOCHREALTIME", "EPOCHSECONDS",
      "EUID",          "FUNCNAME",      "GROUPS",       "HOME",         "HOSTNAME",    "HOSTTYPE",      "IFS",
      "LANG",          "LINENO",        "LINES",        "LOGNAME",      "MACHTYPE",    "MAPFILE",       "OLDPWD",
      "OPTARG",        "OPTIND",        "OSTYPE",       "PATH",         "PIPESTATUS",  "PPID",          "PWD",
      "RANDOM",        "REPLY",         "SECONDS",      "SHELL",        "SHELLOPTS",   "SHLVL",         "SRANDOM",
      "TERM",          "TMPDIR",        "UID",          "USER"};
  return std::find(std::begin(kShellsOwn), std::end(kShellsOwn), name) != std::end(kShellsOwn);
}

struct UnsetVariable {
  shell::Expansion expansion;
  bool sourced = false;  // a file was read before that may set anything
};

// What a script uses before it sets it; `order` gets the names that it sets.
std::vector<UnsetVariable> unset_variables(const shell::Script& script, std::vector<std::string>& order) {
  std::set<std::string> assigned(script.loop_variables.begin(), script.loop_variables.end());
  std::set<std::string> seen;
  std::vector<UnsetVariable> found;
  bool sourced = false;
  const auto use = [&](const std::vector<shell::Expansion>& expansions) {
    for (const shell::Expansion& expansion : expansions) {
      if (expansion.kind != shell::Expansion::Kind::kVariable || !is_identifier(expansion.name)) continue;
      if (assigned.contains(expansion.name) || is_shells_own(expansion.name)) continue;
      if (seen.insert(expansion.name).second) found.push_back({expansion, sourced});
    }
  };
  for (const shell::Command& command : script.commands) {
    for (const shell::Assignment& assignment : command.assignments) use(assignment.value.expansions);
    for (const shell::Word& word : command.words) use(word.expansions);
    for (const shell::Redirection& redirection : command.redirections) {
      use(redirection.target.expansions);
      use(redirection.here_document_expansions);
    }
    note_assigned(command, assigned, order);
    sourced = sourced || command.word(0) == "source" || command.word(0) == ".";
  }
  return found;
}

void find_variables(Step& step) {
  for (const auto& [use, sourced] : unset_variables(step.script, step.assigned))
    step.variables.push_back({use.name, use.has_default, step.where(use.span), sourced});
}

bool is_in_document(const shell::Command& command, shell::Span span) {
  return std::any_of(command.redirections.begin(), command.redirections.end(), [&](const auto& redirection) {
    return redirection.here_document_span.begin <= span.begin && span.begin < redirection.here_document_span.end;
  });
}

void find_step_placeholders(Step& step) {
  for (FoundPlaceholder& found : placeholders_in_code(step.text)) {
    const SourceRange range = step.where(found.span);
    const bool in_comment =
        std::any_of(step.script.comments.begin(), step.script.comments.end(), [&](const shell::Comment& comment) {
          return comment.span.begin <= found.span.begin && found.span.begin < comment.span.end;
        });
    // "[Brief description]" in a here-document is a form that is filled in afterwards.
    const bool in_form =
        found.text.starts_with("[") &&
        std::any_of(step.script.commands.begin(), step.script.commands.end(),
                    [&](const shell::Command& command) { return is_in_document(command, found.span); });
    if (!in_comment && !in_form) step.placeholders.push_back({std::move(found.text), std::move(found.name), range});
  }
}

// Of a Step or an EmbeddedFile.
template <typename Code>
void take_lines(Code& code, const std::vector<CodeLine>& lines) {
  code.text = markdown::code_text(lines);
  code.lines.clear();
  code.line_offsets.clear();
  size_t offset = 0;
  for (const CodeLine& line : lines) {
    code.lines.push_back(line.range());
    code.line_offsets.push_back(offset);
    offset += line.text.size() + 1;
  }
}

}  // namespace

SourceRange locate(const std::string& text, const std::vector<SourceRange>& lines, const std::vector<size_t>& offsets,
                   shell::Span span) {
  if (lines.empty()) return {};
  const auto at = [&](size_t offset) {
    if (offset >= text.size()) return lines.back().end;
    const auto after = std::upper_bound(offsets.begin(), offsets.end(), offset);
    const auto line = static_cast<size_t>(after - offsets.begin()) - 1;
    return Position{lines[line].begin.line, lines[line].begin.column + static_cast<uint32_t>(offset - offsets[line])};
  };
  SourceRange range{at(span.begin), at(span.end)};
  // An end at the front of a line is the end of the line before.
  if (span.end > span.begin && span.end <= text.size() && text[span.end - 1] == '\n') {
    range.end = at(span.end - 1);
  }
  return range;
}

SourceRange text_range(const Step& step, const Piece& piece) {
  const auto last = std::lower_bound(step.lines.begin(), step.lines.end(), piece.range.end,
                                     [](const SourceRange& line, Position end) { return line.end < end; });
  const auto count = std::count(piece.text.begin(), piece.text.end(), '\n');
  if (last == step.lines.end() || last->end != piece.range.end || count == 0 || last - step.lines.begin() + 1 < count)
    return piece.range;
  return {(last - (count - 1))->begin, piece.range.end};
}

std::vector<VariableUse> variables_of(const std::string& command, SourceRange range) {
  std::vector<std::string> assigned;
  std::vector<VariableUse> uses;
  for (const auto& [use, sourced] : unset_variables(shell::parse(without_angles(command)), assigned))
    uses.push_back({use.name, use.has_default, range, sourced});
  return uses;
}

void fill_step(Step& step, const std::vector<CodeLine>& lines) {
  take_lines(step, lines);
  if (!lines.empty()) step.range = {lines.front().at(0), lines.back().range().end};
  if (step.kind == StepKind::kShell) {
    step.script = shell::parse(without_angles(step.text));
    Cutter(step, roles_of(step.text, step.script)).run();
    step.unclear = !InputReader(step).run();
    find_variables(step);
  } else {
    Piece piece;
    piece.text = step.text;
    piece.range = step.range;
    if (step.kind == StepKind::kRepl) {
      piece.kind = Piece::Kind::kInput;
      piece.program = "redis-cli";
    }
    step.pieces.push_back(std::move(piece));
  }
  find_step_placeholders(step);
  find_hazards(step);
}

void fill_file(EmbeddedFile& file, const std::vector<CodeLine>& lines) {
  take_lines(file, lines);
  file.script = shell::parse(file.text);
  if (!lines.empty()) file.range = {lines.front().at(0), lines.back().range().end};
}

}  // namespace holdfast::runbook
