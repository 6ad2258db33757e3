#include "runbook/sql.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <set>

#include "runbook/hazards.h"
#include "runbook/phrases.h"

namespace holdfast::runbook {

namespace {

bool is_name_character(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || byte >= 0x80 || c == '_' || c == '.' || c == '$';
}

// Behind a comment that begins at `place`; `place` when none does.
size_t end_of_comment(std::string_view sql, size_t place) {
  const bool line = sql.substr(place).starts_with("--");
  if (!line && !sql.substr(place).starts_with("/*")) return place;
  const size_t end = line ? sql.find('\n', place) : sql.find("*/", place + 2);
  if (end == std::string_view::npos) return sql.size();
  return line ? end : end + 2;
}

}  // namespace

std::vector<std::string> sql_words(std::string_view sql) {
  std::vector<std::string> words;
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  for (size_t place = 0; place < sql.size(); place++) {
    if (const size_t end = end_of_comment(sql, place); end > place) {
      finish();
      place = end - 1;
      continue;
    }
    const char c = sql[place];
    if (is_name_character(c)) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (c != '"' && c != '`') {
      finish();
      // psql's own commands end a statement: "\\g".
      const bool own =
          c == '\\' && place + 1 < sql.size() && std::isalpha(static_cast<unsigned char>(sql[place + 1])) != 0;
      if (c == '(' || c == ',' || c == ';' || own) words.emplace_back(1, own ? ';' : c);
    }
  }
  finish();
  return words;
}

namespace {

// Takes quotes out of SQL, so that none hides what stands behind it: '...' is data, unless it may be run as SQL,
// "..." is a name, and of $tag$...$tag$ the words are left, which may be a function's.
class QuoteReader {
 public:
  explicit QuoteReader(std::string_view sql) : sql_(sql) {}

  // The text as it is where a quote is escaped by a backslash or never closed.
  std::string read() {
    const std::vector<std::string> words = sql_words(sql_);
    const bool runs = std::any_of(words.begin(), words.end(), [](const std::string& word) {
      return word == "execute" || word == "do" || word == "prepare" || word.starts_with("dblink");
    });
    const bool escaped = sql_.find("\\'") != std::string_view::npos || sql_.find("\\\"") != std::string_view::npos;
    if (runs || escaped || sql_.find("\\g") != std::string_view::npos) return std::string(sql_);
    while (closed_ && place_ < sql_.size()) step();
    return closed_ ? std::move(rest_) : std::string(sql_);
  }

 private:
  void step() {
    const char c = sql_[place_];
    if (const size_t end = end_of_comment(sql_, place_); end > place_) {
      place_ = end;
      rest_ += ' ';
    } else if (const std::string_view tag = tag_here(); !tag.empty()) {
      words_of(take(tag));
    } else if (c == '\'') {
      take(sql_.substr(place_, 1));
      rest_ += " ' ";
    } else if (c == '"' || c == '`') {
      name(take(sql_.substr(place_, 1)));
    } else {
      rest_ += c;
      place_++;
    }
  }

  // What stands between two of `quote`, the first of which is here.
  std::string_view take(std::string_view quote) {
    const size_t begin = place_ + quote.size();
    const size_t close = sql_.find(quote, begin);
    closed_ = close != std::string_view::npos;
    if (!closed_) return {};
    place_ = close + quote.size();
    return sql_.substr(begin, close - begin);
  }

  // "$$", "$body$".
  std::string_view tag_here() const {
    if (sql_[place_] != '$' || (place_ > 0 && is_name_character(sql_[place_ - 1]))) return {};
    size_t end = place_ + 1;
    while (end < sql_.size() && sql_[end] != '$' && is_name_character(sql_[end])) end++;
    const bool tag =
        end < sql_.size() && sql_[end] == '$' && std::isdigit(static_cast<unsigned char>(sql_[place_ + 1])) == 0;
    return tag ? sql_.substr(place_, end + 1 - place_) : std::string_view();
  }

  void words_of(std::string_view body) {
    rest_ += ' ';
    for (size_t place = 0; place < body.size();) {
      const size_t end = end_of_comment(body, place);
      rest_ +=
          end > place || std::string_view("'\"`\\").find(body[place]) != std::string_view::npos ? ' ' : body[place];
      place = std::max(end, place + 1);
    }
    rest_ += ' ';
  }

  void name(std::string_view quoted) {
    if (!rest_.empty() && rest_.back() != '.') rest_ += ' ';
    for (const char c : quoted) rest_ += is_name_character(c) ? c : '_';
  }

  std::string_view sql_;
  size_t place_ = 0;
  bool closed_ = true;
  std::string rest_;
};

class SqlReader {
 public:
  explicit SqlReader(std::string_view sql) : words_(sql_words(QuoteReader(sql).read())) {}

  std::vector<Effect> read() {
    for (size_t index = 0; index < words_.size(); index++) {
      const std::string& word = words_[index];
      if (word == "explain") index = end_of_explained(index);
      if (word == "create") create(index);
      if (word == "drop") drop(index);
      if (word == "truncate" && at(index + 1) != "(") add(HazardKind::kDestroys, "TRUNCATE deletes all rows");
      if (word == "delete" && at(index + 1) == "from") add(HazardKind::kDestroys, "DELETE deletes rows");
      if (word == "update" && updates(index)) add(HazardKind::kWritesData, "UPDATE changes rows");
      if (word == "pg_promote" || word.ends_with(".pg_promote"))
        add(HazardKind::kPromotes, "pg_promote makes a standby the primary");
      if (word == "alter") alter(index);
    }
    return std::move(effects_);
  }

 private:
  std::string at(size_t index) const { return index < words_.size() ? words_[index] : ""; }
  void add(HazardKind kind, std::string reason) { effects_.push_back({kind, std::move(reason)}); }

  // EXPLAIN runs what it explains only with ANALYZE.
  size_t end_of_explained(size_t index) const {
    if (index > 0 && words_[index - 1] != ";") return index;
    size_t end = index;
    while (end < words_.size() && words_[end] != ";") end++;
    const auto at_index = [&](size_t place) { return words_.begin() + static_cast<std::ptrdiff_t>(place); };
    const bool runs = std::any_of(at_index(index), at_index(end),
                                  [](const std::string& word) { return word == "analyze" || word == "analyse"; });
    return runs ? index : end - 1;
  }

  // A table that is made here holds nothing yet. With IF NOT EXISTS it may be an old one.
  void create(size_t index) {
    constexpr std::array<std::string_view, 5> kBetween = {"temp", "temporary", "unlogged", "local", "global"};
    do index++;
    while (std::find(kBetween.begin(), kBetween.end(), at(index)) != kBetween.end());
    if (at(index) == "table" && at(index + 1) != "if") made_.insert(at(index + 1));
  }

  void drop(size_t index) {
    const std::string what = at(index + 1);
    if (what == "table" && only_made(index + 2)) return;
    if (what == "database" || what == "table" || what == "schema" || what == "index")
      add(HazardKind::kDestroys, "DROP " + what + " deletes it");
    if (what == "database") add(HazardKind::kIrreversible, "DROP DATABASE has no undo");
    if (what == "owned" && at(index + 2) == "by")
      add(HazardKind::kDestroys, "DROP OWNED BY deletes all that a role owns");
  }

  // All of "[IF EXISTS] a, b" are tables that the same text creates.
  bool only_made(size_t index) const {
    if (at(index) == "if") index += 2;
    while (made_.contains(at(index))) {
      if (at(index + 1) != ",") return true;
      index += 2;
    }
    return false;
  }

  // UPDATE [ONLY] t [AS x] SET, DO UPDATE SET; not ON UPDATE SET NULL.
  bool updates(size_t index) const {
    if (at(index + 1) == "set") return index > 0 && words_[index - 1] == "do";
    for (size_t place = index + 2; place < index + 6; place++) {
      if (at(place) == "set") return true;
      if (at(place) == ";" || at(place) == "(") return false;
    }
    return false;
  }

  void alter(size_t index) {
    const std::string what = at(index + 1);
    if (what == "table" && !made_.contains(at(index + 2))) return alter_table(index + 2);
    if (what != "user" && what != "role") return;
    for (size_t place = index + 2; place < words_.size() && words_[place] != ";"; place++)
      if (words_[place] == "password" || words_[place] == "identified")
        return add(HazardKind::kRotatesSecret, "ALTER " + what + " sets a password");
  }

  // DROP [COLUMN] c, DROP PARTITION p; not DROP CONSTRAINT c, and not ALTER c DROP NOT NULL.
  void alter_table(size_t index) {
    constexpr std::array<std::string_view, 10> kKeepsRows = {
        "constraint", "not", "default", "identity", "expression", "index", "primary", "foreign", "key", "check"};
    for (; index < words_.size() && words_[index] != ";"; index++) {
      if (words_[index] != "drop") continue;
      const std::string what = at(index + 1);
      if (std::find(kKeepsRows.begin(), kKeepsRows.end(), what) != kKeepsRows.end()) continue;
      return add(HazardKind::kDestroys, what == "partition" ? "ALTER TABLE ... DROP PARTITION deletes its rows"
                                                            : "ALTER TABLE ... DROP deletes a column");
    }
  }

  std::vector<std::string> words_;
  std::set<std::string> made_;
  std::vector<Effect> effects_;
};

// Of psql's own commands those that look.
bool meta_command_looks(std::string_view line) {
  constexpr std::array<std::string_view, 12> kLooks = {"\\q",    "\\x",   "\\timing",   "\\pset",
                                                       "\\echo", "\\set", "\\conninfo", "\\encoding",
                                                       "\\a",    "\\t",   "\\connect",  "\\c"};
  const std::string_view name = line.substr(0, std::min(line.find_first_of(" \t"), line.size()));
  return name.starts_with("\\d") || name.starts_with("\\l") ||
         std::find(kLooks.begin(), kLooks.end(), name) != kLooks.end();
}

}  // namespace

bool sql_only_looks(std::string_view sql) {
  constexpr std::array<std::string_view, 12> kLooks = {"select", "show",     "explain", "set",   "begin", "start",
                                                       "commit", "rollback", "end",     "table", "use",   "values"};
  // psql's own commands end with their line.
  std::string statements;
  for (size_t place = 0; place < sql.size();) {
    const size_t end = std::min(sql.find('\n', place), sql.size());
    const std::string line = trim(sql.substr(place, end - place));
    place = end + 1;
    if (line.find('\\') == std::string::npos) {
      statements += line + "\n";
    } else if (line[0] != '\\' || !meta_command_looks(line)) {
      return false;
    }
  }
  bool begins = true;
  const std::vector<std::string> words = sql_words(statements);
  return std::all_of(words.begin(), words.end(), [&](const std::string& word) {
    const bool first = begins && word != ";";
    begins = word == ";" || (begins && !first);
    // SELECT INTO makes a table; EXPLAIN ANALYZE runs what it explains.
    if (word == "into" || word == "analyze") return false;
    return !first || std::find(kLooks.begin(), kLooks.end(), word) != kLooks.end();
  });
}

std::vector<Effect> effects_of_sql(const std::string& sql) { return SqlReader(sql).read(); }

}  // namespace holdfast::runbook
