#include "runbook/step_script.h"

#include <algorithm>
#include <string_view>

#include "runbook/clients.h"
#include "runbook/placeholders.h"
#include "runbook/shell/invocation.h"
#include "runbook/shell/parser.h"

namespace holdfast::runbook {

namespace {

constexpr std::string_view kInputEnd = "HOLDFAST_INPUT";

// "docker exec -it db psql": no terminal stands behind a here-document.
void drop_terminal(std::string& text, const std::vector<shell::Word>& words, size_t count) {
  for (size_t index = count; index > 0; index--) {
    const shell::Word& word = words[index - 1];
    const bool both = word.value == "-it" || word.value == "-ti";
    if (both || word.value == "-t" || word.value == "--tty")
      text.replace(word.span.begin, word.span.end - word.span.begin, both ? "-i" : "");
  }
}

// The command line that reads a piece of input, as a here-document of its program. psql
// goes on after a statement that failed unless it is told not to.
std::string opener_of(const Piece& piece) {
  const std::string here = " <<'" + std::string(kInputEnd) + "'";
  std::string opener = piece.program;
  const shell::Script script = shell::parse(without_angles(opener));
  for (const shell::Invocation& invocation : shell::invocations(script)) {
    if (!opens_prompt(invocation)) continue;
    const std::vector<shell::Word>& words = invocation.command->words;
    const size_t place = words.size() - std::min(words.size(), invocation.args.size() + 1);
    opener.insert(std::min<size_t>(invocation.span.end, opener.size()), here);
    if (words[place].value != invocation.path) return opener;
    if (invocation.program == "psql") opener.insert(words[place].span.end, " -v ON_ERROR_STOP=1");
    drop_terminal(opener, words, place);
    return opener;
  }
  return opener + here;
}

}  // namespace

std::string step_script(const Step& step, const std::map<int, int>& alternatives) {
  if (step.kind == StepKind::kSql || step.kind == StepKind::kManual || step.unclear) return step.text;
  std::string script;
  for (const Piece& piece : step.pieces) {
    if (piece.group > 0) {
      const auto chosen = alternatives.find(piece.group);
      if (chosen == alternatives.end() || chosen->second != piece.alternative) continue;
    }
    if (piece.kind == Piece::Kind::kCommands) {
      script += piece.text;
      continue;
    }
    script += opener_of(piece) + "\n" + piece.text + std::string(kInputEnd) + "\n";
  }
  return script;
}

std::string fill_command(std::string command, const std::map<std::string, std::string>& values) {
  const std::vector<FoundPlaceholder> found = placeholders_in_code(command);
  for (auto each = found.rbegin(); each != found.rend(); ++each) {
    const auto value = values.find(each->name);
    if (value != values.end()) command.replace(each->span.begin, each->span.end - each->span.begin, value->second);
  }
  return command;
}

std::string fill_placeholders(const Step& step, std::string text, const std::map<std::string, std::string>& values) {
  // Longest first: one may begin with another.
  std::vector<const Placeholder*> all;
  for (const Placeholder& each : step.placeholders) all.push_back(&each);
  std::stable_sort(all.begin(), all.end(),
                   [](const Placeholder* a, const Placeholder* b) { return a->text.size() > b->text.size(); });
  std::string result;
  size_t place = 0;
  while (place < text.size()) {
    const auto found = std::find_if(all.begin(), all.end(), [&](const Placeholder* each) {
      return values.contains(each->name) && text.compare(place, each->text.size(), each->text) == 0;
    });
    if (found == all.end()) {
      result += text[place++];
      continue;
    }
    result += values.at((*found)->name);
    place += (*found)->text.size();
  }
  return result;
}

}  // namespace holdfast::runbook
