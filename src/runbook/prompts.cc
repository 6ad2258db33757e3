#include "runbook/prompts.h"

#include <algorithm>
#include <cctype>

#include "runbook/clients.h"
#include "runbook/placeholders.h"
#include "runbook/shell/invocation.h"
#include "runbook/shell/parser.h"
#include "runbook/vocabulary.h"

namespace holdfast::runbook {

using markdown::CodeLine;

namespace {

constexpr size_t kLongestPrompt_bytes = 60;

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == std::string_view::npos; }

bool is_comment(std::string_view line) {
  const size_t begin = line.find_first_not_of(" \t");
  return begin != std::string_view::npos && line[begin] == '#';
}

bool consists_of(std::string_view text, std::string_view marks) {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || marks.find(c) != std::string_view::npos;
  });
}

// user@host, user@host:~/dir, and with a blank in brackets: user@host dir.
bool is_host(std::string_view text, bool in_brackets) {
  const size_t at = text.find('@');
  if (at == 0 || at == std::string_view::npos || !consists_of(text.substr(0, at), "_.-")) return false;
  return consists_of(text.substr(at + 1), in_brackets ? "_.:~/- " : "_.:~/-");
}

// "(env)": a name alone. "(cd /srv && ./x.sh)" is a command.
size_t environment_length(std::string_view text) {
  const size_t close = text.find(')');
  if (!text.starts_with("(") || close == std::string_view::npos || close < 2) return 0;
  return consists_of(text.substr(1, close - 1), "_.-") ? close + 1 : 0;
}

// Bytes of a prompt at the front, 0 for none. "# " behind a mere "(name)" may be a comment behind a subshell.
size_t prompt_length(std::string_view line, bool console) {
  const size_t begin = std::min(line.find_first_not_of(" \t"), line.size());
  const std::string_view rest = line.substr(begin);
  if (rest.starts_with("$ ")) return begin + 2;
  if (rest.starts_with("% ")) return is_known_program(rest.substr(2, rest.find(' ', 2) - 2)) ? begin + 2 : 0;
  const size_t mark = std::min(rest.find("$ "), rest.find("# "));
  if (mark == std::string_view::npos || mark > kLongestPrompt_bytes) return 0;
  std::string_view prompt = rest.substr(0, mark);
  if (prompt.ends_with(" ")) prompt.remove_suffix(1);
  const bool bracketed = prompt.starts_with("[") && prompt.ends_with("]");
  if (bracketed) return is_host(prompt.substr(1, prompt.size() - 2), true) ? begin + mark + 2 : 0;
  const size_t environment = environment_length(prompt);
  prompt.remove_prefix(std::min(environment, prompt.size()));
  if (environment > 0 && prompt.empty()) return rest[mark] == '$' || console ? begin + mark + 2 : 0;
  if (environment > 0 && prompt.starts_with(" ")) prompt.remove_prefix(1);
  return is_host(prompt, false) ? begin + mark + 2 : 0;
}

CodeLine cut(const CodeLine& line, size_t bytes) {
  CodeLine result = line;
  result.text.erase(0, bytes);
  result.column += static_cast<int64_t>(bytes);
  return result;
}

// Of so many lines, how many the commands take that begin on the first one. `open`: they want more.
size_t lines_taken(const std::vector<CodeLine>& lines, bool& open) {
  const std::string text = markdown::code_text(lines);
  const shell::Script script = shell::parse(without_angles(text));
  const auto line_of = [&](size_t place) {
    return static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(place), '\n'));
  };
  size_t last = 0;
  for (const shell::Span& statement : script.statements) {
    if (statement.end <= statement.begin) continue;
    if (line_of(statement.begin) > last) break;
    last = std::max(last, line_of(statement.end - 1));
  }
  // A here-document that is not ended yet.
  for (const shell::Command& command : script.commands) {
    if (line_of(command.span.begin) > last) break;
    for (const shell::Redirection& each : command.redirections)
      if (each.here_document_span.end > 0) last = std::max(last, line_of(each.here_document_span.end - 1));
  }
  last = std::min(last, lines.size() - 1);
  open = last + 1 == lines.size() && (!script.ok() || lines.back().text.ends_with("\\"));
  return last + 1;
}

size_t indentation_of(std::string_view line) { return std::min(line.find_first_not_of(" \t"), line.size()); }

// Bytes of the shell's "> " in front of a line that goes on with a command; 0 for none.
size_t continuation_length(std::string_view line, size_t indentation) {
  if (indentation_of(line) != indentation) return 0;
  const std::string_view rest = line.substr(indentation);
  if (rest == ">") return indentation + 1;
  return rest.starts_with("> ") ? indentation + 2 : 0;
}

// A command whose further lines have the shell's "> " in front.
struct Continued {
  std::vector<CodeLine> lines;  // without it; empty: there is no such command
  bool clear = true;            // the lines could not be redirections as well
};

// Behind a "\\" at the end of the line before "> x" may be a redirection: one there is, two are prompts.
Continued continued_at(const std::vector<CodeLine>& lines, size_t first, size_t prompt) {
  Continued found;
  bool open = false;
  found.lines.push_back(cut(lines[first], prompt));
  const size_t indentation = indentation_of(lines[first].text);
  for (size_t next = first + 1; next < lines.size(); next++) {
    const size_t bytes = continuation_length(lines[next].text, indentation);
    if (bytes == 0) break;
    if (next == first + 1) lines_taken(found.lines, open);
    if (!open) break;
    found.lines.push_back(cut(lines[next], bytes));
  }
  if (found.lines.size() == 1) return {};
  const bool backslash = found.lines.front().text.ends_with("\\");
  const size_t taken = lines_taken(found.lines, open);
  // Lines of a here-document may begin so.
  if (taken < 2 || (open && !backslash)) return {};
  found.lines.resize(taken);
  const std::string_view rest = found.lines[1].text;
  const bool redirects = found.lines.size() == 2 && rest.find_first_of("-<>|&;") != 0;
  found.clear = !open && !(backslash && redirects);
  if (!found.clear)
    for (size_t index = 1; index < found.lines.size(); index++) found.lines[index] = lines[first + index];
  return found;
}

// "sudo -i", "su - postgres": below it another shell has its prompts.
bool opens_root_shell(std::string_view command) {
  const std::vector<shell::Invocation> all = shell::invocations(shell::parse(command));
  return std::any_of(all.begin(), all.end(), [](const shell::Invocation& each) {
    return (each.program == "sudo" || each.program == "su") && opens_prompt(each);
  });
}

// "# systemctl stop app", and whatever has a "# " in front below "sudo -i".
bool may_be_typed_by_root(std::string_view line, bool root) {
  const std::string_view rest = line.substr(indentation_of(line));
  if (!rest.starts_with("# ")) return false;
  const std::string_view word = rest.substr(2, rest.find_first_of(" \t", 2) - 2);
  return root || (rest.size() > word.size() + 2 && is_known_program(word));
}

// Behind the last line of the commands that begin on line `first`. Looks at a few lines, then at more, so that
// the time goes with what the commands take.
size_t end_of_commands(const std::vector<CodeLine>& lines, size_t first, size_t prompt) {
  for (size_t window = 1;; window *= 4) {
    const size_t count = std::min(window, lines.size() - first);
    std::vector<CodeLine> ahead(lines.begin() + static_cast<std::ptrdiff_t>(first),
                                lines.begin() + static_cast<std::ptrdiff_t>(first + count));
    ahead.front() = cut(ahead.front(), prompt);
    bool open = false;
    const size_t taken = lines_taken(ahead, open);
    if (!open || first + count == lines.size()) return first + taken;
  }
}

}  // namespace

bool has_prompts(const std::vector<CodeLine>& lines, bool console) {
  const auto prompted = [&](const CodeLine& line) { return prompt_length(line.text, console) > 0; };
  if (console) return std::any_of(lines.begin(), lines.end(), prompted);
  const auto first = std::find_if(lines.begin(), lines.end(),
                                  [](const CodeLine& line) { return !is_blank(line.text) && !is_comment(line.text); });
  return first != lines.end() && prompted(*first);
}

bool take_prompts_off(const std::vector<CodeLine>& lines, bool console, std::vector<CodeLine>& commands,
                      std::vector<SourceRange>& output) {
  bool clear = true, root = false;
  for (size_t index = 0; index < lines.size();) {
    const CodeLine& line = lines[index];
    const size_t prompt = prompt_length(line.text, console);
    if (prompt > 0) {
      const Continued more = continued_at(lines, index, prompt);
      const size_t end = more.lines.empty() ? end_of_commands(lines, index, prompt) : index + more.lines.size();
      const size_t before = commands.size();
      commands.push_back(cut(line, prompt));
      commands.insert(commands.end(), lines.begin() + static_cast<std::ptrdiff_t>(index + 1),
                      lines.begin() + static_cast<std::ptrdiff_t>(end));
      std::copy(more.lines.begin(), more.lines.end(), commands.begin() + static_cast<std::ptrdiff_t>(before));
      clear = clear && more.clear;
      root = root || opens_root_shell(commands[before].text);
      index = end;
      continue;
    }
    if (is_blank(line.text) || is_comment(line.text))
      commands.push_back(line);
    else
      output.push_back(line.range());
    clear = clear && !(is_comment(line.text) && may_be_typed_by_root(line.text, root));
    index++;
  }
  return clear;
}

}  // namespace holdfast::runbook
