#include <algorithm>
#include <cctype>

#include "runbook/shell/grammar.h"

// The lexical half: tokens, and words with their quotes and expansions.

namespace holdfast::shell {

namespace {

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_name_part(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }
bool is_meta(char c) {
  return is_blank(c) || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')' || c == '<' || c == '>';
}

// Longest first.
constexpr std::string_view kOperators[] = {";;&", "<<<", "<<-", "&>>", "&&", "||", ";;", ";&", "|&", "<<", ">>", "<&",
                                           ">&",  "<>",  ">|",  "&>",  ";",  "&",  "|",  "(",  ")",  "<",  ">"};

}  // namespace

Span Parser::span_from(size_t begin) const {
  return {base_ + static_cast<uint32_t>(begin), base_ + static_cast<uint32_t>(position_)};
}

void Parser::skip_blanks() {
  for (;;) {
    if (is_blank(at(position_))) {
      position_++;
    } else if (at(position_) == '\\' && at(position_ + 1) == '\n') {
      position_ += 2;
    } else {
      return;
    }
  }
}

void Parser::read_comment() {
  const size_t begin = position_;
  position_ = std::min(text_.find('\n', position_), text_.size());
  Comment comment;
  comment.span = span_from(begin);
  const size_t line = begin == 0 ? std::string_view::npos : text_.rfind('\n', begin - 1);
  const std::string_view before = text_.substr(line == std::string_view::npos ? 0 : line + 1,
                                               begin - (line == std::string_view::npos ? 0 : line + 1));
  comment.own_line = std::all_of(before.begin(), before.end(), is_blank);
  std::string_view words = text_.substr(begin, position_ - begin);
  while (!words.empty() && (words.front() == '#' || is_blank(words.front()))) words.remove_prefix(1);
  while (!words.empty() && is_blank(words.back())) words.remove_suffix(1);
  comment.text = std::string(words);
  script_.comments.push_back(std::move(comment));
}

const Token& Parser::peek() {
  if (!have_token_) {
    lex();
    have_token_ = true;
  }
  return token_;
}

Token Parser::next() {
  peek();
  have_token_ = false;
  if (token_.kind != Token::Kind::kNewline) consumed_ = std::max(consumed_, token_.span.end);
  return std::move(token_);
}

void Parser::lex() {
  token_ = Token();
  skip_blanks();
  if (at(position_) == '#') read_comment();
  const size_t begin = position_;
  if (ended()) {
    read_here_documents();
    token_.span = span_from(begin);
    return;
  }
  if (at(position_) == '\n') {
    position_++;
    token_.kind = Token::Kind::kNewline;
    token_.span = span_from(begin);
    read_here_documents();
    return;
  }
  if (lex_operator()) return;
  Word word = read_word();
  token_.kind = Token::Kind::kWord;
  token_.span = word.span;
  token_.word = std::move(word);
}

bool Parser::lex_operator() {
  const size_t begin = position_;
  size_t digits = position_;
  while (is_digit(at(digits)) && digits - position_ < 4) digits++;
  if (digits > position_ && at(digits) != '<' && at(digits) != '>') return false;
  const std::string_view rest = text_.substr(digits);
  const bool process = (rest.starts_with("<(") || rest.starts_with(">("));
  if (process) return false;  // a process substitution is a word
  const auto* op = std::find_if(std::begin(kOperators), std::end(kOperators),
                                [&](std::string_view candidate) { return rest.starts_with(candidate); });
  if (op == std::end(kOperators)) return false;
  if (digits > position_) token_.fd = std::stoi(std::string(text_.substr(position_, digits - position_)));
  position_ = digits + op->size();
  token_.kind = Token::Kind::kOperator;
  token_.op = *op;
  token_.span = span_from(begin);
  return true;
}

Word Parser::read_word(bool pattern) {
  Word word;
  const size_t begin = position_;
  bool any = false;
  while (!ended() && !panic_ && word_part(word, any, pattern)) any = true;
  word.span = span_from(begin);
  word.raw = std::string(text_.substr(begin, position_ - begin));
  return word;
}

// One character, quotation or expansion; false where the word ends. In a pattern of
// [[ ]] parentheses and bars belong to the word.
bool Parser::word_part(Word& word, bool& any, bool pattern) {
  const char c = at(position_);
  if (c == '\\' && at(position_ + 1) == '\n') {
    position_ += 2;
  } else if (c == '\\') {
    word.quoted = true;
    if (position_ + 1 < text_.size()) word.value += at(position_ + 1);
    position_ = std::min(position_ + 2, text_.size());
  } else if (c == '\'') {
    read_single_quotes(word);
  } else if (c == '"') {
    read_double_quotes(word);
  } else if (c == '$') {
    read_dollar(word, false);
  } else if (c == '`') {
    read_backquotes(word, false);
  } else if ((c == '<' || c == '>') && at(position_ + 1) == '(') {
    const size_t begin = position_;
    position_ += 2;
    read_command_substitution(word, false, begin, Expansion::Kind::kProcess);
  } else if (c == '(' && any && !word.value.empty() && word.value.back() == '=' && is_name_start(word.value.front()) &&
             !word.quoted) {
    read_array(word);
  } else if (pattern && (c == '(' || c == ')' || c == '|' || c == '<' || c == '>' || c == '&' || c == ';')) {
    word.value += c;
    position_++;
  } else if (is_meta(c)) {
    return false;
  } else {
    word.value += c;
    position_++;
  }
  return true;
}

void Parser::read_single_quotes(Word& word) {
  const size_t begin = position_;
  const size_t end = text_.find('\'', position_ + 1);
  word.quoted = true;
  if (end == std::string_view::npos) {
    position_ = text_.size();
    error("a single quote (') is never closed", {span_from(begin).begin, span_from(begin).begin + 1});
    return;
  }
  word.value += text_.substr(begin + 1, end - begin - 1);
  position_ = end + 1;
}

// $'...': the escapes stay as they are written.
void Parser::read_ansi_quotes(Word& word) {
  const size_t begin = position_;
  word.quoted = true;
  for (position_ += 2; !ended() && at(position_) != '\''; position_++) {
    if (at(position_) == '\\' && position_ + 1 < text_.size()) word.value += at(position_++);
    word.value += at(position_);
  }
  if (ended()) {
    error("a quotation $' is never closed", {span_from(begin).begin, span_from(begin).begin + 2});
    return;
  }
  position_++;
}

void Parser::read_double_quotes(Word& word) {
  const size_t begin = position_++;
  word.quoted = true;
  while (!ended() && !panic_) {
    const char c = at(position_);
    if (c == '"') {
      position_++;
      return;
    }
    if (c == '\\' && position_ + 1 < text_.size()) {
      const char escaped = at(position_ + 1);
      const bool special = escaped == '$' || escaped == '`' || escaped == '"' || escaped == '\\' || escaped == '\n';
      if (!special) word.value += c;
      if (escaped != '\n') word.value += escaped;
      position_ += 2;
    } else if (c == '$') {
      read_dollar(word, true);
    } else if (c == '`') {
      read_backquotes(word, true);
    } else {
      word.value += c;
      position_++;
    }
  }
  if (!panic_) error("a double quote (\") is never closed", {span_from(begin).begin, span_from(begin).begin + 1});
}

// name=( word ... ): its words may stand on several lines, with comments between.
void Parser::read_array(Word& word) {
  const size_t begin = position_++;
  const Nesting nesting(*this);
  if (!nesting) return;
  while (!panic_) {
    skip_blanks();
    if (at(position_) == '#') read_comment();
    if (ended()) {
      error("the parenthesis of an array is never closed", {span_from(begin).begin, span_from(begin).begin + 1});
      return;
    }
    const char c = at(position_);
    if (c == '\n') {
      position_++;
    } else if (c == ')') {
      position_++;
      break;
    } else {
      Word element = read_word();
      if (element.span.begin == element.span.end) {
        position_++;
        error("an operator does not belong into an array", span_from(position_ - 1));
        return;
      }
      for (Expansion& expansion : element.expansions) word.expansions.push_back(std::move(expansion));
    }
  }
  word.value += text_.substr(begin, position_ - begin);
}

void Parser::add_expansion(Word& word, Expansion expansion, size_t begin) {
  expansion.span = span_from(begin);
  word.value += text_.substr(begin, position_ - begin);
  word.expansions.push_back(std::move(expansion));
}

void Parser::read_dollar(Word& word, bool in_quotes) {
  const size_t begin = position_;
  const char c = at(position_ + 1);
  if (c == '(') {
    if (at(position_ + 2) == '(' && read_arithmetic(word, in_quotes, begin)) return;
    position_ = begin + 2;
    read_command_substitution(word, in_quotes, begin, Expansion::Kind::kCommand);
  } else if (c == '{') {
    read_braced(word, in_quotes, begin);
  } else if (c == '\'' && !in_quotes) {
    read_ansi_quotes(word);
  } else if (c == '"' && !in_quotes) {
    position_++;
    read_double_quotes(word);
  } else {
    read_parameter(word, in_quotes, begin);
  }
}

void Parser::read_parameter(Word& word, bool in_quotes, size_t begin) {
  position_++;
  Expansion expansion;
  expansion.in_quotes = in_quotes;
  if (is_name_start(at(position_))) {
    while (is_name_part(at(position_))) expansion.name += at(position_++);
  } else if (is_digit(at(position_)) ||
             (at(position_) != '\0' && std::string_view("@*#?-$!").find(at(position_)) != std::string_view::npos)) {
    expansion.name = at(position_++);
  } else {
    word.value += '$';
    return;
  }
  add_expansion(word, std::move(expansion), begin);
}

// ${NAME}, ${#NAME}, ${!NAME}, ${NAME[index]}, ${NAME:-word} and the like.
void Parser::read_braced(Word& word, bool in_quotes, size_t begin) {
  const Nesting nesting(*this);
  if (!nesting) return;
  position_ += 2;
  Expansion expansion;
  expansion.in_quotes = in_quotes;
  if ((at(position_) == '#' || at(position_) == '!') && at(position_ + 1) != '}') expansion.operation = at(position_++);
  if (is_name_start(at(position_)) || is_digit(at(position_))) {
    while (is_name_part(at(position_))) expansion.name += at(position_++);
  } else if (at(position_) != '}' && !ended()) {
    expansion.name = at(position_++);
  }
  const size_t operation = position_;
  Word operand;
  read_operand(operand, in_quotes);
  if (panic_) return;
  if (at(position_) != '}') {
    error("${ is never closed", {span_from(begin).begin, span_from(begin).begin + 2});
    return;
  }
  if (expansion.operation.empty()) {
    std::string_view rest = text_.substr(operation, position_ - operation);
    if (rest.starts_with("[")) rest.remove_prefix(std::min(rest.find(']') + 1, rest.size()));
    expansion.operation = std::string(rest.substr(0, rest.starts_with(":") ? 2 : 1));
  }
  const std::string& op = expansion.operation;
  expansion.has_default = op == ":-" || op == "-" || op == ":=" || op == "=" || op == ":+" || op == "+";
  position_++;
  add_expansion(word, std::move(expansion), begin);
  for (Expansion& inner : operand.expansions) word.expansions.push_back(std::move(inner));
}

// Up to the brace that closes ${ }.
void Parser::read_operand(Word& word, bool in_quotes) {
  while (!ended() && !panic_ && at(position_) != '}') {
    const char c = at(position_);
    if (c == '\\') {
      position_ = std::min(position_ + 2, text_.size());
    } else if (c == '\'' && !in_quotes) {
      read_single_quotes(word);
    } else if (c == '"') {
      read_double_quotes(word);
    } else if (c == '$') {
      read_dollar(word, in_quotes);
    } else if (c == '`') {
      read_backquotes(word, in_quotes);
    } else {
      position_++;
    }
  }
}

void Parser::read_command_substitution(Word& word, bool in_quotes, size_t begin, Expansion::Kind kind) {
  const Nesting nesting(*this);
  if (!nesting) return;
  const size_t inside = position_;
  const Context outer = context_;
  std::vector<PendingHereDocument> outer_pending;
  std::vector<size_t> outer_stages;
  Token outer_token = std::move(token_);
  outer_pending.swap(pending_);
  outer_stages.swap(stages_);
  context_.in_substitution = true;
  list();
  if (!panic_ && !at_operator(")"))
    error(peek().kind == Token::Kind::kEnd
              ? "$( is never closed"
              : "unexpected '" +
                    std::string(text_.substr(token_.span.begin - base_, token_.span.end - token_.span.begin)) +
                    "' inside of $( )",
          {base_ + static_cast<uint32_t>(begin), base_ + static_cast<uint32_t>(begin) + 2});
  have_token_ = false;
  context_ = outer;
  outer_pending.swap(pending_);
  outer_stages.swap(stages_);
  token_ = std::move(outer_token);
  if (panic_) return;
  Expansion expansion;
  expansion.kind = kind;
  expansion.in_quotes = in_quotes;
  expansion.text = std::string(text_.substr(inside, position_ - 1 - inside));
  add_expansion(word, std::move(expansion), begin);
}

// The place of the "))" that ends what begins at `from`; npos when a single one comes first,
// or none for so long that it is no arithmetic.
size_t Parser::closing_arithmetic(size_t from) const {
  constexpr size_t kLongest_bytes = 4096;
  int open = 0;
  const size_t end = std::min(text_.size(), from + kLongest_bytes);
  for (size_t place = from; place < end; place++) {
    const char c = text_[place];
    if (c == '\\') {
      place++;
    } else if (c == '\'' || c == '"') {
      place = std::min(text_.find(c, place + 1), text_.size());
    } else if (c == '(') {
      open++;
    } else if (c == ')' && open > 0) {
      open--;
    } else if (c == ')') {
      return place + 1 < text_.size() && text_[place + 1] == ')' ? place : std::string_view::npos;
    }
  }
  return std::string_view::npos;
}

bool Parser::read_arithmetic(Word& word, bool in_quotes, size_t begin) {
  const size_t end = closing_arithmetic(begin + 3);
  if (end == std::string_view::npos) return false;
  Expansion expansion;
  expansion.kind = Expansion::Kind::kArithmetic;
  expansion.in_quotes = in_quotes;
  expansion.text = std::string(text_.substr(begin + 3, end - begin - 3));
  position_ = end + 2;
  add_expansion(word, std::move(expansion), begin);
  return true;
}

// `command`: parsed as a text of its own. Backslashes in it shift its spans; they are
// rare enough to be left so.
void Parser::read_backquotes(Word& word, bool in_quotes) {
  const size_t begin = position_++;
  const Nesting nesting(*this);
  if (!nesting) return;
  std::string inside;
  while (!ended() && at(position_) != '`') {
    const char escaped = at(position_ + 1);
    if (at(position_) == '\\' && (escaped == '`' || escaped == '\\' || escaped == '$')) position_++;
    inside += at(position_++);
  }
  if (ended()) {
    error("a backquote (`) is never closed", {span_from(begin).begin, span_from(begin).begin + 1});
    return;
  }
  position_++;
  Script inner;
  Parser parser(inside, base_ + static_cast<uint32_t>(begin) + 1, depth_, inner);
  parser.run();
  for (Command& command : inner.commands) {
    command.in_substitution = true;
    command.list += lists_;
    command.pipeline += pipelines_;
    script_.commands.push_back(std::move(command));
  }
  lists_ += parser.lists_;
  pipelines_ += parser.pipelines_;
  for (SyntaxError& problem : inner.errors) error(problem.message, problem.span);
  Expansion expansion;
  expansion.kind = Expansion::Kind::kCommand;
  expansion.in_quotes = in_quotes;
  expansion.text = std::move(inside);
  add_expansion(word, std::move(expansion), begin);
}

void Parser::read_here_documents() {
  std::vector<PendingHereDocument> pending;
  pending.swap(pending_);
  for (const PendingHereDocument& each : pending) {
    if (panic_) return;
    // The body is read into a copy: parsing it may add commands and move the original.
    Redirection redirection = script_.commands[each.command].redirections[each.redirection];
    read_here_document(redirection);
    script_.commands[each.command].redirections[each.redirection] = std::move(redirection);
  }
}

void Parser::read_here_document(Redirection& redirection) {
  const size_t begin = position_;
  const bool strip = redirection.op == "<<-";
  bool found = false;
  while (!ended() && !found) {
    const size_t end = std::min(text_.find('\n', position_), text_.size());
    std::string_view line = text_.substr(position_, end - position_);
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (strip && line.starts_with('\t')) line.remove_prefix(1);
    found = line == redirection.target.value;
    if (!found) redirection.here_document += std::string(line) + "\n";
    if (found) redirection.here_document_span = span_from(begin);
    consumed_ = std::max(consumed_, base_ + static_cast<uint32_t>(end));
    position_ = std::min(end + 1, text_.size());
  }
  if (!found) {
    redirection.here_document_span = span_from(begin);
    error("the here-document is not ended by a line '" + redirection.target.value + "'", redirection.span);
    return;
  }
  if (!redirection.here_document_quoted) expand_here_document(redirection);
}

// Expansions of a here-document are found by reading it as if it stood in double quotes.
// What is not closed in it is no error before it runs.
void Parser::expand_here_document(Redirection& redirection) {
  const size_t after = position_;
  const size_t errors = script_.errors.size();
  const std::string_view whole = text_;
  text_ = whole.substr(0, redirection.here_document_span.end - base_);
  position_ = redirection.here_document_span.begin - base_;
  Word word;
  while (!ended() && !panic_) {
    if (at(position_) == '\\') {
      position_ = std::min(position_ + 2, text_.size());
    } else if (at(position_) == '$') {
      read_dollar(word, true);
    } else if (at(position_) == '`') {
      read_backquotes(word, true);
    } else {
      position_++;
    }
  }
  script_.errors.resize(errors);
  panic_ = false;
  text_ = whole;
  position_ = std::max(position_, after);
  redirection.here_document_expansions = std::move(word.expansions);
}

}  // namespace holdfast::shell
