#include <algorithm>

#include "runbook/shell/grammar.h"

// Compound commands: groups, conditions, loops, case, [[ ]], (( )), functions.

namespace holdfast::shell {

// Reads a compound command if one begins here.
bool Parser::compound() {
  const Token& token = peek();
  if (token.kind == Token::Kind::kOperator && token.op == "(") {
    if (at(position_) == '(' && closing_arithmetic(position_ + 1) != std::string_view::npos) {
      arithmetic_command();
    } else {
      next();
      const Context outer = context_;
      context_.in_subshell = true;
      if (!list()) unexpected();
      expect_operator(")");
      context_ = outer;
    }
    return true;
  }
  if (token.kind != Token::Kind::kWord || token.word.quoted) return false;
  const std::string& word = token.word.raw;
  if (word == "{") {
    next();
    if (!list()) unexpected();
    expect_word("}");
  } else if (word == "if") {
    if_command();
  } else if (word == "while" || word == "until") {
    loop_command();
  } else if (word == "for" || word == "select") {
    for_command();
  } else if (word == "case") {
    case_command();
  } else if (word == "[[") {
    condition_command();
  } else if (word == "function") {
    next();
    if (peek().kind != Token::Kind::kWord) {
      unexpected();
      return true;
    }
    const Token name = next();
    if (at_operator("(")) {
      function_definition(name);
    } else {
      skip_newlines();
      Context inner = context_;
      inner.function = name.word.value;
      body("", "", inner);
      script_.functions.push_back(name.word.value);
    }
  } else {
    return false;
  }
  return true;
}

// first LIST last, in another context. Without words: a compound command.
void Parser::body(std::string_view first, std::string_view last, Context context) {
  if (panic_) return;
  const Context outer = context_;
  context_ = std::move(context);
  if (first.empty() && last.empty()) {
    const size_t index = begin_command();
    script_.commands[index].compound = true;
    if (!compound()) unexpected();
    if (!panic_) redirections(index);
  } else if (first.empty() || expect_word(first)) {
    if (!list()) unexpected();
    if (!last.empty()) expect_word(last);
  }
  context_ = outer;
}

// What runs when a condition holds, or does not.
void Parser::branch() {
  const Context outer = context_;
  context_.in_branch = true;
  if (!list()) unexpected();
  context_ = outer;
}

void Parser::if_command() {
  Context condition = context_;
  condition.in_condition = true;
  next();
  body("", "then", condition);
  while (!panic_) {
    branch();
    if (panic_) return;
    if (at_word("elif")) {
      next();
      body("", "then", condition);
      continue;
    }
    if (at_word("else")) {
      next();
      branch();
    }
    expect_word("fi");
    return;
  }
}

void Parser::loop_command() {
  Context condition = context_, inside = context_;
  condition.in_condition = true;
  inside.in_loop = true;
  next();
  body("", "do", condition);
  body("", "done", inside);
}

void Parser::for_command() {
  next();
  Context inside = context_;
  inside.in_loop = true;
  if (at_operator("(") && at(position_) == '(') {
    arithmetic_command();
  } else {
    if (peek().kind != Token::Kind::kWord) return unexpected();
    script_.loop_variables.push_back(next().word.value);
    skip_newlines();
    if (at_word("in")) {
      const size_t words = begin_command();
      next();
      // The words of the list may hold $( ) and variables: they are kept as arguments of "for".
      Word name;
      name.raw = name.value = "for";
      name.span = script_.commands[words].span;
      script_.commands[words].words.push_back(std::move(name));
      while (!panic_ && peek().kind == Token::Kind::kWord) {
        script_.commands[words].span.end = token_.span.end;
        Word word = next().word;
        script_.commands[words].words.push_back(std::move(word));
      }
      script_.commands[words].compound = true;
    }
  }
  if (panic_) return;
  if (at_operator(";")) next();
  skip_newlines();
  if (at_word("{")) return body("{", "}", inside);
  body("do", "done", inside);
}

void Parser::case_command() {
  next();
  if (peek().kind != Token::Kind::kWord) return unexpected();
  const size_t index = begin_command();
  Word name;
  name.raw = name.value = "case";
  name.span = script_.commands[index].span;
  script_.commands[index].compound = true;
  script_.commands[index].words.push_back(std::move(name));
  Word subject = next().word;
  script_.commands[index].words.push_back(std::move(subject));
  skip_newlines();
  if (!expect_word("in")) return;
  skip_newlines();
  const Context outer = context_;
  context_.in_branch = true;
  while (!panic_ && !at_word("esac")) case_item();
  context_ = outer;
  expect_word("esac");
}

void Parser::case_item() {
  if (at_operator("(")) next();
  while (!panic_) {
    if (peek().kind != Token::Kind::kWord) return unexpected();
    next();
    if (!at_operator("|")) break;
    next();
  }
  if (!expect_operator(")")) return;
  list();
  if (panic_) return;
  const Token& token = peek();
  if (token.kind == Token::Kind::kOperator && (token.op.starts_with(";;") || token.op == ";&")) {
    next();
    skip_newlines();
  } else if (!at_word("esac")) {
    unexpected();
  }
}

// [[ ... ]]: kept as one command whose words are what stands in it.
void Parser::condition_command() {
  const size_t index = begin_command();
  Word first = next().word;
  script_.commands[index].words.push_back(std::move(first));
  const size_t begin = position_;
  while (!panic_) {
    skip_blanks();
    if (at(position_) == '\n') {
      position_++;
    } else if (ended()) {
      error("[[ is never closed", {base_ + static_cast<uint32_t>(begin) - 2, base_ + static_cast<uint32_t>(begin)});
    } else if (at(position_) == ';') {
      position_++;
      error("unexpected ';' inside of [[ ]]", span_from(position_ - 1));
    } else {
      condition_word(index);
      if (script_.commands[index].words.back().raw == "]]") break;
    }
  }
  script_.commands[index].span.end = base_ + static_cast<uint32_t>(position_);
}

void Parser::condition_word(size_t index) {
  const std::string& previous = script_.commands[index].words.back().raw;
  const bool pattern = previous == "=~" || previous == "==" || previous == "=" || previous == "!=";
  if (!pattern) {
    for (const std::string_view op : {"&&", "||", "(", ")", "<", ">"}) {
      if (!text_.substr(position_).starts_with(op) || text_.substr(position_ + 1).starts_with("(")) continue;
      Word word;
      const size_t begin = position_;
      position_ += op.size();
      word.raw = word.value = std::string(op);
      word.span = span_from(begin);
      script_.commands[index].words.push_back(std::move(word));
      return;
    }
  }
  Word word = read_word(pattern);
  if (!panic_ && word.raw.empty()) {
    position_++;
    return error("unexpected '" + std::string(1, text_[position_ - 1]) + "' inside of [[ ]]", span_from(position_ - 1));
  }
  script_.commands[index].words.push_back(std::move(word));
}

// (( ... )): nothing in it is of interest but where it ends.
void Parser::arithmetic_command() {
  next();
  const size_t end = closing_arithmetic(position_ + 1);
  if (end == std::string_view::npos) return unexpected();
  position_ = end + 2;
  have_token_ = false;
}

void Parser::function_definition(const Token& name) {
  next();
  if (!expect_operator(")")) return;
  skip_newlines();
  Context inside = context_;
  inside.function = name.word.value;
  script_.functions.push_back(name.word.value);
  body("", "", inside);
  stages_.clear();
}

}  // namespace holdfast::shell
