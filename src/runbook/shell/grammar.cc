#include "runbook/shell/grammar.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>

#include "runbook/shell/parser.h"

// The syntactic half: lists, pipelines, simple commands, and going on after an error.

namespace holdfast::shell {

namespace {

// Words that end a list where a command could begin.
constexpr std::array<std::string_view, 8> kClosingWords = {"then", "elif", "else", "fi", "do", "done", "esac", "}"};

bool is_closing(const Word& word) {
  return std::find(kClosingWords.begin(), kClosingWords.end(), word.raw) != kClosingWords.end();
}

bool is_redirection(std::string_view op) {
  return op.find_first_of("<>") != std::string_view::npos && op != "<(" && op != ">(";
}

bool is_assignment_name(std::string_view name) {
  if (name.empty() || !(std::isalpha(static_cast<unsigned char>(name[0])) != 0 || name[0] == '_')) return false;
  const size_t bracket = name.find('[');
  const std::string_view plain = name.substr(0, bracket);
  if (bracket != std::string_view::npos && name.back() != ']') return false;
  return std::all_of(plain.begin(), plain.end(),
                     [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; });
}

}  // namespace

Nesting::Nesting(Parser& parser) : parser_(parser) {
  allowed_ = ++parser_.depth_ <= kNestingLimit;
  if (allowed_ || parser_.panic_) return;
  parser_.error("nested too deeply to be read", parser_.span_from(parser_.position_));
  parser_.position_ = parser_.text_.size();  // reading on would take time without end
}

Nesting::~Nesting() { parser_.depth_--; }

Parser::Parser(std::string_view text, uint32_t base, int depth, Script& script)
    : text_(text), base_(base), depth_(depth), script_(script) {}

void Parser::run() {
  while (true) {
    list();
    if (panic_) {
      recover();
      continue;
    }
    if (peek().kind == Token::Kind::kEnd) break;
    unexpected();
    recover();
  }
}

void Parser::error(std::string message, Span span) {
  panic_ = true;
  if (script_.errors.size() < kErrorsLimit) script_.errors.push_back({std::move(message), span});
}

void Parser::unexpected() {
  const Token& token = peek();
  if (panic_) return;
  if (token.kind == Token::Kind::kEnd) {
    error("the text ends in the middle of a command", token.span);
  } else if (token.kind == Token::Kind::kNewline) {
    error("the line ends in the middle of a command", token.span);
  } else {
    const std::string_view text = text_.substr(token.span.begin - base_, token.span.end - token.span.begin);
    error("unexpected '" + std::string(text) + "'", token.span);
  }
}

// Goes on behind the line in which the error was seen.
void Parser::recover() {
  if (have_token_ && token_.kind == Token::Kind::kNewline) {
    // The line is behind us already.
  } else {
    position_ = std::min(text_.find('\n', position_), text_.size());
    if (!ended()) position_++;
  }
  have_token_ = false;
  panic_ = false;
  pending_.clear();
  stages_.clear();
  context_ = Context();
}

bool Parser::at_word(std::string_view text) {
  const Token& token = peek();
  return token.kind == Token::Kind::kWord && token.word.raw == text;
}

bool Parser::at_operator(std::string_view text) {
  const Token& token = peek();
  return token.kind == Token::Kind::kOperator && token.op == text && token.fd < 0;
}

bool Parser::expect_word(std::string_view text) {
  if (panic_) return false;
  if (!at_word(text)) {
    unexpected();
    if (!script_.errors.empty() && panic_)
      script_.errors.back().message += ", where '" + std::string(text) + "' should stand";
    return false;
  }
  next();
  return true;
}

bool Parser::expect_operator(std::string_view text) {
  if (panic_) return false;
  if (!at_operator(text)) {
    unexpected();
    return false;
  }
  next();
  return true;
}

void Parser::skip_newlines() {
  while (!panic_ && peek().kind == Token::Kind::kNewline) next();
}

bool Parser::at_list_end() {
  const Token& token = peek();
  if (panic_ || token.kind == Token::Kind::kEnd) return true;
  if (token.kind == Token::Kind::kOperator) return token.op == ")" || token.op.starts_with(";;") || token.op == ";&";
  return token.kind == Token::Kind::kWord && is_closing(token.word);
}

// and-or lists up to what ends them. True when there was at least one.
bool Parser::list() {
  bool any = false;
  skip_newlines();
  while (!panic_ && !at_list_end()) {
    const uint32_t begin = peek().span.begin;
    and_or();
    any = true;
    if (panic_) break;
    const Token& token = peek();
    if (depth_ == 0) script_.statements.push_back({begin, consumed_});
    if (token.kind == Token::Kind::kOperator && (token.op == ";" || token.op == "&")) {
      next();
    } else if (token.kind != Token::Kind::kNewline && !at_list_end()) {
      unexpected();
    }
    skip_newlines();
  }
  return any && !panic_;
}

void Parser::and_or() {
  const uint32_t number = ++lists_;
  std::string before;
  while (!panic_) {
    pipeline(before, number);
    if (panic_) return;
    const Token& token = peek();
    const bool more = token.kind == Token::Kind::kOperator && (token.op == "&&" || token.op == "||");
    const bool ends = token.kind == Token::Kind::kOperator && (token.op == ";" || token.op == "&");
    const std::string after = more || ends ? std::string(token.op) : "";
    for (const size_t command : stages_) script_.commands[command].after = after;
    if (!more) return;
    before = after;
    next();
    skip_newlines();
  }
}

void Parser::pipeline(const std::string& before, uint32_t list_number) {
  const uint32_t number = ++pipelines_;
  std::vector<size_t> commands;
  bool negated = false;
  while (at_word("!") || at_word("time")) {
    const bool timed = next().word.raw == "time";
    negated = negated != !timed;
    if (timed && at_word("-p")) next();
  }
  while (!panic_) {
    stages_.clear();
    stage();
    commands.insert(commands.end(), stages_.begin(), stages_.end());
    if (panic_ || !(at_operator("|") || at_operator("|&"))) break;
    next();
    skip_newlines();
  }
  for (size_t index = 0; index < commands.size(); index++) {
    Command& command = script_.commands[commands[index]];
    command.list = list_number;
    command.pipeline = number;
    command.stage = static_cast<uint32_t>(index);
    command.last_stage = index + 1 == commands.size();
    command.before = before;
    command.negated = negated;
  }
  stages_ = std::move(commands);
}

size_t Parser::begin_command() {
  Command command;
  command.span = peek().span;
  command.in_condition = context_.in_condition;
  command.in_loop = context_.in_loop;
  command.in_branch = context_.in_branch;
  command.in_subshell = context_.in_subshell;
  command.in_substitution = context_.in_substitution;
  command.function = context_.function;
  script_.commands.push_back(std::move(command));
  return script_.commands.size() - 1;
}

// One command of a pipeline, simple or compound, with the redirections behind it.
void Parser::stage() {
  const Nesting nesting(*this);
  if (!nesting || panic_) return;
  peek();
  if (panic_) return;
  const size_t index = begin_command();
  if (compound()) {
    if (panic_) return;
    script_.commands[index].compound = true;
    script_.commands[index].span.end = std::max(script_.commands[index].span.end, consumed_);
    redirections(index);
    stages_ = {index};
    return;
  }
  script_.commands.erase(script_.commands.begin() + static_cast<ptrdiff_t>(index));
  if (!panic_) simple_command();
}

void Parser::simple_command() {
  const size_t index = begin_command();
  bool any = false;
  while (!panic_) {
    const Token& token = peek();
    if (panic_) break;
    if (token.kind == Token::Kind::kWord) {
      if (!any && is_closing(token.word)) break;
      const Token word = next();
      script_.commands[index].span.end = word.span.end;
      if (!assignment(index, word)) script_.commands[index].words.push_back(word.word);
      if (script_.commands[index].words.size() == 1 && at_operator("(")) {
        const bool plain = script_.commands[index].assignments.empty() && script_.commands[index].redirections.empty();
        script_.commands.erase(script_.commands.begin() + static_cast<ptrdiff_t>(index));
        if (plain) return function_definition(word);
        return unexpected();
      }
    } else if (token.kind == Token::Kind::kOperator && is_redirection(token.op)) {
      redirection(index);
    } else {
      break;
    }
    any = true;
  }
  if (!any) unexpected();
  stages_ = {index};
}

bool Parser::assignment(size_t command, const Token& token) {
  if (!script_.commands[command].words.empty()) return false;
  const std::string& raw = token.word.raw;
  const size_t equals = raw.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  const bool append = raw[equals - 1] == '+';
  const std::string_view name = std::string_view(raw).substr(0, equals - (append ? 1 : 0));
  if (!is_assignment_name(name)) return false;
  Assignment assigned;
  assigned.name = std::string(name.substr(0, name.find('[')));
  assigned.append = append;
  assigned.span = token.span;
  assigned.value = token.word;
  assigned.value.raw = raw.substr(equals + 1);
  assigned.array = assigned.value.raw.starts_with("(");
  const size_t value = token.word.value.find('=');
  assigned.value.value = value == std::string::npos ? "" : token.word.value.substr(value + 1);
  assigned.value.span.begin += static_cast<uint32_t>(equals) + 1;
  script_.commands[command].assignments.push_back(std::move(assigned));
  return true;
}

void Parser::redirection(size_t command) {
  const Token op = next();
  Redirection redirection;
  redirection.op = std::string(op.op);
  redirection.fd = op.fd;
  if (peek().kind != Token::Kind::kWord) return unexpected();
  const Token target = next();
  redirection.target = target.word;
  redirection.span = {op.span.begin, target.span.end};
  redirection.here_document_quoted = target.word.quoted;
  script_.commands[command].span.end = target.span.end;
  const bool here = redirection.op == "<<" || redirection.op == "<<-";
  script_.commands[command].redirections.push_back(std::move(redirection));
  if (here) pending_.push_back({command, script_.commands[command].redirections.size() - 1});
}

void Parser::redirections(size_t command) {
  while (!panic_ && peek().kind == Token::Kind::kOperator && is_redirection(token_.op)) redirection(command);
}

Script parse(std::string_view text) {
  Script script;
  Parser(text, 0, 0, script).run();
  std::erase_if(script.commands, [](const Command& command) {
    const bool nothing = command.words.empty() && command.assignments.empty() && command.redirections.empty();
    return nothing && !(command.compound && (command.stage > 0 || !command.last_stage));
  });
  std::stable_sort(script.commands.begin(), script.commands.end(),
                   [](const Command& a, const Command& b) { return a.span.begin < b.span.begin; });
  return script;
}

}  // namespace holdfast::shell
