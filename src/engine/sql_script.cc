#include "engine/sql_script.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>

#include "base/filesystem.h"
#include "source/postgres/connection.h"

namespace holdfast::engine {
namespace {

constexpr int kConnectFailed = 2, kStatementFailed = 3;  // as psql
constexpr Duration kLongest = Duration::hours(24 * 7);   // the step's own timeout counts

class Splitter {
 public:
  explicit Splitter(const std::string& script) : script_(script) {}

  Result<std::vector<SqlStatement>> split() {
    while (at_ < script_.size()) {
      if (has_text_ || !std::isspace(static_cast<unsigned char>(script_[at_])))
        TRY(take());
      else
        skip(1);
    }
    finish();
    return std::move(statements_);
  }

 private:
  bool looking_at(std::string_view text) const { return std::string_view(script_).substr(at_).starts_with(text); }

  void skip(size_t count) {
    for (; count > 0 && at_ < script_.size(); count--) {
      if (script_[at_++] == '\n') line_++;
    }
    if (!has_text_) {
      begin_ = at_;
      begin_line_ = line_;
    }
  }

  void skip_past(std::string_view end) {
    const size_t found = script_.find(end, at_);
    skip((found == std::string::npos ? script_.size() : found + end.size()) - at_);
  }

  void skip_block_comment() {
    int depth = 0;  // PostgreSQL's comments nest
    do {
      if (looking_at("/*")) {
        depth++;
        skip(2);
      } else if (looking_at("*/")) {
        depth--;
        skip(2);
      } else {
        skip(1);
      }
    } while (depth > 0 && at_ < script_.size());
  }

  // 'it''s', E'it\'s', "name"
  void skip_quoted(char quote) {
    const bool escapes = quote == '\'' && at_ > 0 && std::toupper(script_[at_ - 1]) == 'E' &&
                         (at_ < 2 || !std::isalnum(static_cast<unsigned char>(script_[at_ - 2])));
    skip(1);
    while (at_ < script_.size() && script_[at_] != quote) skip(escapes && script_[at_] == '\\' ? 2 : 1);
    skip(1);
  }

  // $$...$$, $body$...$body$; "$1" is a parameter.
  bool skip_dollar_quoted() {
    size_t end = at_ + 1;
    while (end < script_.size() && (std::isalnum(static_cast<unsigned char>(script_[end])) || script_[end] == '_'))
      end++;
    const bool is_quote =
        end < script_.size() && script_[end] == '$' && !std::isdigit(static_cast<unsigned char>(script_[at_ + 1]));
    if (!is_quote) return false;
    const std::string mark = script_.substr(at_, end - at_ + 1);
    skip(mark.size());
    skip_past(mark);
    return true;
  }

  Result<void> take() {
    const char c = script_[at_];
    if (looking_at("--")) {
      skip_past("\n");
    } else if (looking_at("/*")) {
      skip_block_comment();
    } else if (c == '\\' && !has_text_) {
      return make_error(ErrorCode::kUnsupported, "line {}: a command of psql; only SQL statements are run", line_)
          .with_hint("say it as a shell step that calls psql");
    } else if (c == ';' && depth_ == 0) {
      finish();
      skip(1);
    } else {
      has_text_ = true;
      if (c == '\'' || c == '"') {
        skip_quoted(c);
      } else if (c != '$' || !skip_dollar_quoted()) {
        depth_ += c == '(' ? 1 : c == ')' && depth_ > 0 ? -1 : 0;
        skip(1);
      }
    }
    return {};
  }

  void finish() {
    if (has_text_) statements_.push_back({script_.substr(begin_, at_ - begin_), begin_line_});
    has_text_ = false;
    depth_ = 0;
    begin_ = at_;
    begin_line_ = line_;
  }

  const std::string& script_;
  size_t at_ = 0, begin_ = 0, line_ = 1, begin_line_ = 1;
  int depth_ = 0;
  bool has_text_ = false;
  std::vector<SqlStatement> statements_;
};

void print_rows(const postgres::Rows& rows) {
  if (rows.columns() == 0) {
    std::printf("%.*s\n", static_cast<int>(rows.tag().size()), rows.tag().data());
    return;
  }
  std::vector<size_t> widths(rows.columns(), 0);
  for (size_t row = 0; row < rows.size(); row++) {
    for (size_t column = 0; column < rows.columns(); column++) {
      widths[column] = std::max(widths[column], rows.at(row, column).size());
    }
  }
  for (size_t row = 0; row < rows.size(); row++) {
    std::string line;
    for (size_t column = 0; column < rows.columns(); column++) {
      const std::string value = rows.is_null(row, column) ? "(null)" : std::string(rows.at(row, column));
      line +=
          fmt::format("{}{:<{}}", column == 0 ? "" : " | ", value, column + 1 < rows.columns() ? widths[column] : 0);
    }
    std::printf("%s\n", line.c_str());
  }
  std::printf("(%zu rows)\n", rows.size());
}

Result<void> run_statements(postgres::ServerSession& session, const std::vector<SqlStatement>& statements) {
  for (const SqlStatement& statement : statements) {
    const postgres::Rows rows = TRY_CONTEXT(session.exec(statement.text, {}, kLongest), "line {}", statement.line);
    print_rows(rows);
    std::fflush(stdout);
  }
  return {};
}

int failed(const Error& error, int status) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s\n", error.text().c_str());
  return status;
}

}  // namespace

Result<std::vector<SqlStatement>> split_sql(const std::string& script) { return Splitter(script).split(); }

int run_sql_script(const std::string& path) {
  const auto text = read_file(real_file_system(), path);
  if (!text.ok()) return failed(text.error(), kConnectFailed);
  const auto statements = split_sql(std::string(as_text(*text)));
  if (!statements.ok()) return failed(statements.error(), kStatementFailed);
  const char* conninfo = std::getenv("HOLDFAST_SQL_CONNECTION");
  const char* password = std::getenv("PGPASSWORD");
  postgres::Connection connection{
      conninfo == nullptr ? "" : conninfo, password == nullptr ? Secret() : Secret::from_text(password), {}};
  auto session = postgres::ServerSession::connect(connection);
  if (!session.ok()) return failed(session.error(), kConnectFailed);
  const auto done = run_statements(**session, *statements);
  return done.ok() ? 0 : failed(done.error(), kStatementFailed);
}

}  // namespace holdfast::engine
