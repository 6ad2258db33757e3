#include "store/names.h"

#include <algorithm>

namespace holdfast::store {

namespace {

bool is_allowed(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

bool is_allowed_part(std::string_view part) {
  return !part.empty() && part != "." && part != ".." && std::all_of(part.begin(), part.end(), is_allowed);
}

}  // namespace

bool is_temporary_name(std::string_view name) {
  if (!name.starts_with(kTemporaryPrefix)) return false;
  const std::string_view digits = name.substr(kTemporaryPrefix.size());
  return digits.size() == kTemporaryDigits && std::all_of(digits.begin(), digits.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<void> check_name(std::string_view name) {
  bool good = name.size() <= kMaxNameBytes;
  for (std::string_view rest = name; good;) {
    const size_t slash = rest.find('/');
    good = is_allowed_part(rest.substr(0, slash));
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  if (!good)
    return make_error(ErrorCode::kInvalidData, "\"{}\" is not a name for an object", name.substr(0, kMaxNameBytes));
  return {};
}

Result<void> check_prefix(std::string_view prefix) {
  if (prefix.empty()) return {};
  if (!prefix.ends_with('/')) return make_error(ErrorCode::kInvalidData, "\"{}\" does not end in '/'", prefix);
  return check_name(prefix.substr(0, prefix.size() - 1));
}

}  // namespace holdfast::store
