#include "runbook/step_builder.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
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
  bool inside = false;                      // goes on with what began on a line before
  const shell::Comment* comment = nullptr;  // alone on the line, outside of any command
};

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

bool is_sql_word(std::string word) {
  for (char& c : word) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  constexpr std::array<std::string_view, 14> kWords = {"SELECT",  "INSERT", "UPDATE",   "DELETE", "DROP",
                                                       "CREATE",  "ALTER",  "TRUNCATE", "VACUUM", "REINDEX",
                                                       "ANALYZE", "GRANT",  "SHOW",     "WITH"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

// A piece is input for a program when its first word is one of that program's commands and no
// program of the machine.
bool is_input_for(const std::string& program, const std::string& text) {
  std::string word = text.substr(0, text.find_first_of(" \t\n;("));
  if (is_known_program(word)) return false;
  const bool whole_upper =
      std::all_of(word.begin(), word.end(), [](char c) { return std::isupper(static_cast<unsigned char>(c)) != 0; });
  if (program == "redis-cli") return whole_upper && is_redis_command(word);
  if (program == "psql" || program == "mysql" || program == "sqlite3")
    return is_sql_word(word) || text.starts_with("\\");
  return false;
}

// The piece's last command, when it opens a prompt; it is then taken out of the piece.
std::string take_opener(Piece& piece, std::string& program) {
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

// Text below "redis-cli" that only redis-cli understands belongs to it.
void join_input(Step& step) {
  for (size_t index = 0; index + 1 < step.pieces.size(); index++) {
    Piece& opening = step.pieces[index];
    Piece& next = step.pieces[index + 1];
    if (opening.kind != Piece::Kind::kCommands || opening.text.empty()) continue;
    std::string program;
    const std::string opener = take_opener(opening, program);
    if (opener.empty() || !is_input_for(program, next.text)) continue;
    next.kind = Piece::Kind::kInput;
    next.program = opener;
    opening.text.erase(opening.text.rfind(opener));
  }
}

// The lines of a piece's text are the last of its range: the second of two takes as many as it has.
void part_ranges(const Step& step, Piece& head, Piece& rest) {
  const auto last = std::find_if(step.lines.begin(), step.lines.end(),
                                 [&](const SourceRange& line) { return line.end == rest.range.end; });
  const auto count = std::count(rest.text.begin(), rest.text.end(), '\n');
  if (last == step.lines.end() || last - step.lines.begin() < count) return;
  rest.range.begin = (last - (count - 1))->begin;
  head.range.end = (last - count)->end;
}

// Within one piece: "redis-cli" and on the next line "FLUSHALL".
void split_input(Step& step) {
  std::vector<Piece> pieces;
  for (Piece& piece : step.pieces) {
    size_t place = piece.text.find('\n');
    std::string program;
    while (place != std::string::npos && place + 1 < piece.text.size() && pieces.size() < 500) {
      const size_t begin = place + 1;
      const std::string word = piece.text.substr(begin, piece.text.find_first_of(" \t\n;(", begin) - begin);
      const size_t above = place == 0 ? std::string::npos : piece.text.rfind('\n', place - 1);
      Piece opening;
      const size_t from = above == std::string::npos ? 0 : above + 1;
      opening.text = piece.text.substr(from, begin - from);
      const bool input = (is_redis_command(word) || is_sql_word(word) || word.starts_with('\\')) &&
                         !take_opener(opening, program).empty() && is_input_for(program, word);
      if (input) {
        Piece head = piece;
        head.text = piece.text.substr(0, begin);
        piece.text = piece.text.substr(begin);
        part_ranges(step, head, piece);
        pieces.push_back(std::move(head));
        piece.title.clear();
        break;
      }
      place = piece.text.find('\n', place + 1);
    }
    pieces.push_back(std::move(piece));
  }
  step.pieces = std::move(pieces);
}

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
    split_input(step);
    join_input(step);
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
