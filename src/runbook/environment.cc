#include "runbook/environment.h"

#include <algorithm>
#include <cctype>

namespace holdfast::runbook {

namespace {

bool is_name_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

class ValueReader {
 public:
  ValueReader(std::string_view text, const std::function<std::optional<std::string>(const std::string&)>& value_of)
      : text_(text), value_of_(value_of) {}

  std::optional<std::string> read() {
    if (text_.starts_with("~") || text_.starts_with("(")) return std::nullopt;
    while (known_ && place_ < text_.size()) step();
    if (!known_ || quote_ != '\0') return std::nullopt;
    return std::move(value_);
  }

 private:
  void step() {
    const char c = text_[place_];
    if (quote_ == '\'' && c != '\'') return take();
    if (c == '$') return expansion();
    // What stands behind an unquoted blank would be run.
    if (c == '`' || (quote_ == '\0' && (c == ' ' || c == '\t'))) return fail();
    if (c == '\\') return escaped();
    const bool closes = quote_ == c, opens = quote_ == '\0' && (c == '"' || c == '\'');
    if (!closes && !opens) return take();
    quote_ = closes ? '\0' : c;
    place_++;
  }

  void take() { value_ += text_[place_++]; }
  void fail() { known_ = false; }

  // Within "..." a backslash stays in front of most characters.
  void escaped() {
    const bool last = place_ + 1 == text_.size();
    const bool kept = quote_ == '"' && !last && std::string_view("$`\"\\").find(text_[place_ + 1]) == std::string::npos;
    if (kept) return take();
    place_++;
    if (!last) take();
  }

  void expansion() {
    size_t begin = place_ + 1;
    const bool braces = begin < text_.size() && text_[begin] == '{';
    if (braces) begin++;
    size_t end = begin;
    while (end < text_.size() && is_name_character(text_[end])) end++;
    const bool digit = end > begin && std::isdigit(static_cast<unsigned char>(text_[begin])) != 0;
    if (!braces && end == begin && (end == text_.size() || text_[end] == ' ' || text_[end] == '"')) return take();
    if (end == begin || digit || (braces && (end == text_.size() || text_[end] != '}'))) return fail();
    const std::optional<std::string> value = value_of_(std::string(text_.substr(begin, end - begin)));
    if (!value) return fail();
    value_ += *value;
    place_ = braces ? end + 1 : end;
  }

  std::string_view text_;
  const std::function<std::optional<std::string>(const std::string&)>& value_of_;
  size_t place_ = 0;
  char quote_ = '\0';
  bool known_ = true;
  std::string value_;
};

}  // namespace

std::optional<std::string> value_of_assignment(
    std::string_view text, const std::function<std::optional<std::string>(const std::string&)>& value_of) {
  return ValueReader(text, value_of).read();
}

}  // namespace holdfast::runbook
