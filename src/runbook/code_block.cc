#include "runbook/code_block.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "runbook/phrases.h"
#include "runbook/placeholders.h"
#include "runbook/prompts.h"
#include "runbook/shell/parser.h"
#include "runbook/vocabulary.h"

namespace holdfast::runbook {

using markdown::CodeLine;
using Kind = CodeReading::Kind;

namespace {

constexpr std::array<std::string_view, 10> kShells = {
    "bash", "sh", "shell", "zsh", "ksh", "console", "shell-session", "shellsession", "terminal", "bash-session"};
constexpr std::array<std::string_view, 5> kConsoles = {"console", "shell-session", "shellsession", "terminal",
                                                       "bash-session"};
constexpr std::array<std::string_view, 6> kSqls = {"sql", "psql", "postgresql", "postgres", "mysql", "plpgsql"};
constexpr std::array<std::string_view, 2> kRepls = {"redis", "redis-cli"};
constexpr std::array<std::string_view, 5> kOutputs = {"text", "txt", "output", "log", "plaintext"};

template <size_t N>
bool one_of(std::string_view word, const std::array<std::string_view, N>& list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string_view first_word(std::string_view line) {
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  line.remove_prefix(begin);
  return line.substr(0, std::min(line.find_first_of(" \t;|&<>"), line.size()));
}

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }
bool is_comment(std::string_view line) { return first_word(line).starts_with("#"); }

bool is_assignment(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == std::string_view::npos || equals == 0) return false;
  const std::string_view name = word.substr(0, equals);
  return std::isdigit(static_cast<unsigned char>(name[0])) == 0 && std::all_of(name.begin(), name.end(), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
         });
}

bool is_script_path(std::string_view word) {
  return word.starts_with("./") || word.starts_with("~/") || (word.starts_with("/") && word.size() > 1);
}

bool looks_like_command(std::string_view line) {
  const std::string_view word = first_word(line);
  return is_known_program(word) || is_script_path(word) || is_assignment(word);
}

// How the shell's grammar reads a line together with its neighbours.
struct LineExtent {
  bool goes_on = false;       // belongs to a command that began on a line before
  bool ends_command = false;  // the last line of a command, whole by the grammar
};

std::vector<LineExtent> extents_of(const std::vector<CodeLine>& lines) {
  std::vector<LineExtent> extents(lines.size());
  std::vector<size_t> ends;  // of each line in the text, its line break included
  size_t offset = 0;
  for (const CodeLine& line : lines) ends.push_back(offset += line.text.size() + 1);
  const shell::Script script = shell::parse(without_angles(markdown::code_text(lines)));
  const auto line_of = [&](size_t place) {
    return static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), place) - ends.begin());
  };
  for (const shell::Span& statement : script.statements) {
    if (statement.end <= statement.begin) continue;
    const size_t first = line_of(statement.begin), last = line_of(statement.end - 1);
    if (last >= lines.size()) continue;
    for (size_t line = first + 1; line <= last; line++) extents[line].goes_on = true;
    extents[last].ends_command = true;
  }
  return extents;
}

bool is_data_word(std::string_view line) {
  const std::string word = trim(line);
  if (word.empty() || word.find_first_of(" \t$'\"`;&|<>(){}=") != std::string::npos) return false;
  const std::string_view leaf =
      std::string_view(word).substr(word.rfind('/') == std::string::npos ? 0 : word.rfind('/') + 1);
  if (is_known_program(leaf) || word.starts_with("./")) return false;
  const size_t dot = leaf.rfind('.');
  const std::string_view extension = dot == std::string_view::npos ? "" : leaf.substr(dot);
  constexpr std::array<std::string_view, 7> kExecutable = {".sh", ".py", ".pl", ".rb", ".js", ".bash", ".php"};
  if (one_of(extension, kExecutable)) return false;
  const bool digits = std::any_of(leaf.begin(), leaf.end(), [](char c) { return c >= '0' && c <= '9'; });
  const bool structured = leaf.find_first_of("-.:_") != std::string_view::npos;
  return digits && structured;
}

bool is_table_line(std::string_view line) {
  const std::string text = trim(line);
  return text.starts_with("|") || text.starts_with("+-") || text.starts_with("+ ") || text.starts_with("---");
}

// "echo $X" and below it what that prints. Only directly after a command that is whole: a line
// that the grammar reads as part of a quoted text, a here-document or a pipeline stays.
void take_output_out(CodeReading& reading) {
  const bool any = std::any_of(reading.lines.begin(), reading.lines.end(), [](const CodeLine& line) {
    return is_data_word(line.text) || is_table_line(line.text);
  });
  if (!any) return;
  const std::vector<LineExtent> extents = extents_of(reading.lines);
  std::vector<CodeLine> kept;
  bool after_command = false;
  for (size_t index = 0; index < reading.lines.size(); index++) {
    const CodeLine& line = reading.lines[index];
    if (after_command && !extents[index].goes_on && (is_data_word(line.text) || is_table_line(line.text))) {
      reading.sample_output.push_back(line.range());
      continue;
    }
    after_command = extents[index].ends_command;
    kept.push_back(line);
  }
  reading.lines = std::move(kept);
}

struct Count {
  size_t lines = 0, comments = 0, commands = 0, assignments = 0, cron = 0, bullets = 0;
};

Count count(const std::vector<CodeLine>& lines) {
  Count result;
  for (const CodeLine& line : lines) {
    if (is_blank(line.text)) continue;
    result.lines++;
    const std::string text = trim(line.text);
    if (is_comment(line.text)) {
      result.comments++;
    } else if (parse_cron(text)) {
      result.cron++;
    } else if (is_assignment(first_word(text))) {
      result.assignments++;
    } else if (looks_like_command(text)) {
      result.commands++;
    }
    if (text.starts_with("- ") || text.starts_with("* ") || text.starts_with("\xE2\x80\xA2")) result.bullets++;
  }
  return result;
}

// What a lead says before "output": "Example output", "you should see the following output".
bool is_sample_word(const std::string& word) {
  constexpr std::array<std::string_view, 22> kWords = {
      "example", "expected", "sample",   "typical", "similar",  "successful", "healthy", "the",
      "an",      "a",        "this",     "its",     "and",      "following",  "you",     "should",
      "see",     "shows",    "produces", "prints",  "displays", "returns"};
  return one_of(word, kWords);
}

// Of "Expected output is `OK`. Now delete it:" the second.
std::string_view last_sentence(std::string_view text) {
  for (size_t stop = text.rfind(". "); stop != std::string_view::npos && stop > 1; stop = text.rfind(". ", stop - 1)) {
    const bool shortened = text[stop - 2] == '.';  // "e.g. "
    if (!shortened && stop + 2 < text.size()) return text.substr(stop + 2);
  }
  return text;
}

// The text that follows is what a command prints: "Expected output:", "The output looks like this:". Not
// "Run this and save the output:".
bool announces_output(const std::string& lead) {
  constexpr std::array<std::string_view, 6> kLikens = {"looks", "look", "similar", "resembles", "like", "following"};
  constexpr size_t kWords_most = 14;
  const std::vector<std::string> words = words_of(last_sentence(lead));
  const auto output = std::find(words.begin(), words.end(), "output");
  if (output == words.end() || words.size() >= kWords_most) return false;
  if (!std::all_of(words.begin(), output, is_sample_word)) return false;
  const bool bare = output == words.begin() || std::any_of(words.begin(), output, [](const std::string& word) {
                      return word.size() > 4 && is_sample_word(word);
                    });
  return bare || std::any_of(output, words.end(), [&](const std::string& word) { return one_of(word, kLikens); });
}

// The value of an environment block stands alone on its line.
bool plain_assignments(const std::vector<CodeLine>& lines) {
  return std::all_of(lines.begin(), lines.end(), [](const CodeLine& line) {
    if (is_blank(line.text) || is_comment(line.text)) return true;
    const std::string text = trim(line.text);
    return is_assignment(first_word(text)) && text.find("$(") == std::string::npos &&
           text.find('`') == std::string::npos;
  });
}

Kind kind_of(const std::string& language, const Count& counted, const std::vector<CodeLine>& lines,
             const std::string& lead) {
  const std::string_view first = lines.empty() ? "" : std::string_view(lines.front().text);
  const bool shell = one_of(language, kShells);
  if (!shell && announces_output(lead)) return Kind::kOutput;
  if (counted.cron > 0 && counted.cron + counted.comments == counted.lines) return Kind::kSchedule;
  if (one_of(language, kSqls)) return Kind::kSql;
  if (one_of(language, kRepls)) return Kind::kRepl;
  if (shell && first.starts_with("#!")) return Kind::kFile;
  if (counted.lines == 0) return shell ? Kind::kComments : Kind::kProse;
  if ((shell || language.empty()) && counted.assignments > 1 &&
      counted.assignments + counted.comments == counted.lines && plain_assignments(lines))
    return Kind::kEnvironment;
  if (shell) return counted.comments == counted.lines ? Kind::kComments : Kind::kShell;
  if (!language.empty()) return one_of(language, kOutputs) ? Kind::kOutput : Kind::kFile;
  if (counted.bullets * 2 >= counted.lines) return Kind::kProse;
  const auto begins = std::find_if(lines.begin(), lines.end(),
                                   [](const CodeLine& line) { return !is_blank(line.text) && !is_comment(line.text); });
  const bool command_first = begins != lines.end() && (looks_like_command(begins->text) || has_prompts(lines, false));
  return command_first ? Kind::kShell : Kind::kProse;
}

}  // namespace

CodeReading read_code(const markdown::Block& block, const std::string& lead) {
  CodeReading reading;
  reading.language = lower(block.info.substr(0, std::min(block.info.find_first_of(" \t{,:"), block.info.size())));
  const Count counted = count(block.lines);
  reading.announced = announces_output(lead);
  reading.kind = kind_of(reading.language, counted, block.lines, lead);
  if (reading.kind != Kind::kShell) {
    reading.lines = block.lines;
    return reading;
  }
  const bool console = one_of(reading.language, kConsoles);
  if (has_prompts(block.lines, console)) {
    reading.clear = take_prompts_off(block.lines, console, reading.lines, reading.sample_output);
  } else {
    reading.lines = block.lines;
    take_output_out(reading);
  }
  return reading;
}

namespace {

// "1. Check the pods" -> "1"; "3a) Stop" -> "3a".
std::string comment_number(const std::string& comment, std::string& title) {
  size_t end = 0;
  while (end < comment.size() && end < 3 && std::isdigit(static_cast<unsigned char>(comment[end])) != 0) end++;
  if (end == 0) return "";
  const size_t letter = end < comment.size() && std::islower(static_cast<unsigned char>(comment[end])) != 0 ? 1 : 0;
  const size_t stop = end + letter;
  if (stop + 1 >= comment.size() || (comment[stop] != '.' && comment[stop] != ')' && comment[stop] != ':') ||
      comment[stop + 1] != ' ')
    return "";
  title = trim(std::string_view(comment).substr(stop + 1));
  return comment.substr(0, stop);
}

}  // namespace

std::vector<CodePart> split_numbered(const std::vector<CodeLine>& lines) {
  const std::string text = markdown::code_text(lines);
  const shell::Script script = shell::parse(without_angles(text));
  std::vector<size_t> starts;
  size_t offset = 0;
  for (const CodeLine& line : lines) {
    starts.push_back(offset);
    offset += line.text.size() + 1;
  }
  const auto inside = [&](shell::Span comment) {
    const auto after = std::upper_bound(script.statements.begin(), script.statements.end(), comment.begin,
                                        [](size_t place, const shell::Span& each) { return place < each.begin; });
    return after != script.statements.begin() && comment.begin < std::prev(after)->end;
  };
  std::vector<CodePart> parts(1);
  size_t next_line = 0;
  for (const shell::Comment& comment : script.comments) {
    const auto line =
        static_cast<size_t>(std::upper_bound(starts.begin(), starts.end(), comment.span.begin) - starts.begin()) - 1;
    std::string title;
    const std::string number = comment.own_line && !inside(comment.span) && lines[line].text.starts_with("#")
                                   ? comment_number(comment.text, title)
                                   : "";
    if (number.empty() || (parts.size() == 1 && parts[0].number.empty() && number != "1")) continue;
    parts.back().lines.insert(parts.back().lines.end(), lines.begin() + static_cast<std::ptrdiff_t>(next_line),
                              lines.begin() + static_cast<std::ptrdiff_t>(line));
    next_line = line;
    CodePart part;
    part.number = number;
    part.title = {title, lines[line].range()};
    const bool nothing_before = std::all_of(parts.back().lines.begin(), parts.back().lines.end(),
                                            [](const CodeLine& each) { return is_blank(each.text); });
    if (parts.size() == 1 && parts[0].number.empty() && nothing_before) parts.clear();
    parts.push_back(std::move(part));
  }
  parts.back().lines.insert(parts.back().lines.end(), lines.begin() + static_cast<std::ptrdiff_t>(next_line),
                            lines.end());
  if (parts.size() < 2) return {{"", {}, lines}};
  return parts;
}

}  // namespace holdfast::runbook
