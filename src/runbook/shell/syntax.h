#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast::shell {

// What parse() (parser.h) understood of a shell text. Spans are byte offsets into
// that text, `end` excluded.
struct Span {
  uint32_t begin = 0;
  uint32_t end = 0;
  auto operator<=>(const Span&) const = default;
};

// $NAME, ${NAME:-default}, $1, $?; or $(command), `command`, <(command), $((...)).
struct Expansion {
  enum class Kind { kVariable, kCommand, kProcess, kArithmetic };
  Kind kind = Kind::kVariable;
  std::string name;          // of a variable; "" otherwise
  std::string operation;     // ":-", "-", ":?", "%", "#", ... of ${NAME...}
  std::string text;          // the command inside of $( ), without the parentheses
  bool in_quotes = false;    // within "..."
  bool has_default = false;  // unset is provided for: ${X:-y}, ${X-y}, ${X:=y}, ${X:+y}
  Span span;
};

struct Word {
  std::string raw;    // as written
  std::string value;  // quotes removed; expansions stay as they are written
  bool quoted = false;
  std::vector<Expansion> expansions;
  Span span;
  bool literal() const { return expansions.empty(); }
};

struct Assignment {
  std::string name;
  Word value;
  bool append = false;  // +=
  bool array = false;
  Span span;
};

struct Redirection {
  std::string op;  // ">", ">>", "<", "<<", "<<-", "<<<", ">&", "<&", "&>", "<>", ">|"
  int fd = -1;     // as written; -1 when not
  Word target;     // file, descriptor, or the delimiter of a here-document
  std::string here_document;
  bool here_document_quoted = false;  // its delimiter was: nothing in it is expanded
  std::vector<Expansion> here_document_expansions;
  Span here_document_span;
  Span span;
};

// A simple command, or a compound one reduced to its redirections ("{ ...; } >f"
// has a Command without words for each of those, see `compound`).
struct Command {
  std::vector<Assignment> assignments;
  std::vector<Word> words;
  std::vector<Redirection> redirections;
  Span span;

  uint32_t list = 0;      // number of the and-or list that it belongs to
  uint32_t pipeline = 0;  // number of its pipeline, over the whole script
  uint32_t stage = 0;     // place in the pipeline, 0 first
  bool last_stage = true;
  std::string before;         // "&&" or "||" that joins its pipeline to the one before; "" for the first
  std::string after;          // "&&", "||", ";", "&" or "" (end of line) that follows its pipeline
  bool negated = false;       // ! in front of its pipeline
  bool in_condition = false;  // of if, elif, while, until
  bool in_loop = false;
  bool in_branch = false;  // runs only if a condition or a pattern says so
  bool in_subshell = false;
  bool in_substitution = false;  // inside of $( ), ` `, <( )
  bool compound = false;         // stands for a compound command's redirections
  std::string function;          // name of the function whose body it is in

  // It is run whenever the script comes by, in the script's own shell.
  bool unconditional() const {
    return !in_condition && !in_loop && !in_branch && !in_subshell && !in_substitution && function.empty() &&
           before.empty() && after != "&" && stage == 0 && last_stage;
  }

  // The word at `index` without quotes, "" past the end.
  const std::string& word(size_t index) const {
    static const std::string none;
    return index < words.size() ? words[index].value : none;
  }
};

struct Comment {
  std::string text;  // without '#' and the blanks around
  bool own_line = false;
  Span span;
};

struct SyntaxError {
  std::string message;
  Span span;
};

struct Script {
  std::vector<Command> commands;  // in the order of their beginnings
  std::vector<Comment> comments;
  std::vector<std::string> functions;       // that it defines
  std::vector<std::string> loop_variables;  // of for and select
  std::vector<Span> statements;             // of the outermost level: and-or lists, compound commands
  std::vector<SyntaxError> errors;          // at most a few; the rest was read as well as could be
  bool ok() const { return errors.empty(); }
};

}  // namespace holdfast::shell
