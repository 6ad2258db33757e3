#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runbook/shell/syntax.h"

namespace holdfast::shell {

// A word, an operator, or the end of a line or of the text.
struct Token {
  enum class Kind { kEnd, kNewline, kOperator, kWord };
  Kind kind = Kind::kEnd;
  std::string_view op;
  Word word;
  int fd = -1;  // number in front of a redirection
  Span span;
};

// The parser behind parse(). One object reads one text; words.cc has its lexical half,
// grammar.cc and compounds.cc the syntactic one. The two can't be separated: the
// length of a word that contains $( ) is known only after the commands in it were parsed.
class Parser {
 public:
  Parser(std::string_view text, uint32_t base, int depth, Script& script);
  void run();

 private:
  friend class Nesting;
  struct Context {
    bool in_condition = false, in_loop = false, in_branch = false;
    bool in_subshell = false, in_substitution = false;
    std::string function;
  };
  struct PendingHereDocument {
    size_t command = 0, redirection = 0;
  };

  // words.cc
  char at(size_t offset) const { return offset < text_.size() ? text_[offset] : '\0'; }
  bool ended() const { return position_ >= text_.size(); }
  Span span_from(size_t begin) const;
  void skip_blanks();
  void read_comment();
  const Token& peek();
  Token next();
  void lex();
  bool lex_operator();
  Word read_word(bool pattern = false);
  bool word_part(Word& word, bool& any, bool pattern);
  void read_single_quotes(Word& word);
  void read_ansi_quotes(Word& word);
  void read_double_quotes(Word& word);
  void read_array(Word& word);
  void read_dollar(Word& word, bool in_quotes);
  void read_parameter(Word& word, bool in_quotes, size_t begin);
  void read_braced(Word& word, bool in_quotes, size_t begin);
  void read_operand(Word& word, bool in_quotes);
  void read_command_substitution(Word& word, bool in_quotes, size_t begin, Expansion::Kind kind);
  bool read_arithmetic(Word& word, bool in_quotes, size_t begin);
  void read_backquotes(Word& word, bool in_quotes);
  void add_expansion(Word& word, Expansion expansion, size_t begin);
  void read_here_documents();
  void read_here_document(Redirection& redirection);
  void expand_here_document(Redirection& redirection);
  size_t closing_arithmetic(size_t from) const;

  // grammar.cc
  bool list();
  void and_or();
  void pipeline(const std::string& before, uint32_t list_number);
  void stage();
  size_t begin_command();
  void simple_command();
  bool assignment(size_t command, const Token& token);
  void redirection(size_t command);
  void redirections(size_t command);
  bool at_word(std::string_view text);
  bool at_operator(std::string_view text);
  bool at_list_end();
  bool expect_word(std::string_view text);
  bool expect_operator(std::string_view text);
  void skip_newlines();
  void error(std::string message, Span span);
  void unexpected();
  void recover();

  // compounds.cc
  bool compound();
  void branch();
  void body(std::string_view first, std::string_view last, Context context);
  void if_command();
  void loop_command();
  void for_command();
  void case_command();
  void case_item();
  void condition_command();
  void condition_word(size_t command);
  void arithmetic_command();
  void function_definition(const Token& name);

  std::string_view text_;
  uint32_t base_;  // of the text's first byte in the whole script
  int depth_;
  Script& script_;
  size_t position_ = 0;
  uint32_t consumed_ = 0;  // end of the last token or here-document that was taken
  Token token_;
  bool have_token_ = false;
  bool panic_ = false;
  Context context_;
  std::vector<PendingHereDocument> pending_;
  std::vector<size_t> stages_;  // commands of the pipeline that is being read
  uint32_t lists_ = 0, pipelines_ = 0;
};

// Counts one level of nesting; false when there are too many.
class Nesting {
 public:
  explicit Nesting(Parser& parser);
  ~Nesting();
  explicit operator bool() const { return allowed_; }

 private:
  Parser& parser_;
  bool allowed_;
};

}  // namespace holdfast::shell
