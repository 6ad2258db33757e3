#include "cli/unreachable.h"

#include <ctime>
#include <regex>

namespace holdfast::cli {

namespace {

Duration local_offset(Time time) {
  const std::time_t seconds = time.ns / 1'000'000'000;
  struct tm local = {};
  return localtime_r(&seconds, &local) == nullptr ? Duration{} : Duration::seconds(local.tm_gmtoff);
}

std::optional<Duration> offset_of(const std::string& given) {
  static const std::regex kOffset(R"(([+-])(\d\d):?(\d\d)\s*$)");
  if (given.ends_with('Z') || given.ends_with('z')) return Duration{};
  constexpr size_t kLongest = 100;  // beyond it a regular expression may take much of the stack
  std::smatch part;
  if (given.size() > kLongest || !std::regex_search(given, part, kOffset)) return std::nullopt;
  const int64_t seconds = std::stoll(part.str(2)) * 3600 + std::stoll(part.str(3)) * 60;
  return Duration::seconds(part.str(1) == "-" ? -seconds : seconds);
}

std::string with_offset(Time time, Duration offset) {
  std::string text = format_rfc3339(time + offset);
  if (offset == Duration{}) return text;
  text.pop_back();
  const int64_t minutes = offset.ns / 60'000'000'000, size = minutes < 0 ? -minutes : minutes;
  return text + fmt::format("{}{:02}:{:02}", minutes < 0 ? '-' : '+', size / 60, size % 60);
}

}  // namespace

std::string with_times_as_given(const std::string& text, const std::optional<std::string>& given) {
  static const std::regex kTime(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z)");
  const auto offset = given ? offset_of(*given) : std::nullopt;
  std::string out;
  auto from = text.cbegin();
  for (std::sregex_iterator found(text.begin(), text.end(), kTime), end; found != end; ++found) {
    out.append(from, (*found)[0].first);
    from = (*found)[0].second;
    const auto time = parse_time(found->str(), {});
    out += time.ok() ? with_offset(*time, offset.value_or(local_offset(*time))) : found->str();
  }
  return out.append(from, text.cend());
}

Error told_of_windows(Error refused, const std::optional<std::string>& given, bool json) {
  if (refused.code() != ErrorCode::kUnreachableTarget) return refused;
  const auto words = [&](const std::string& text) { return json ? text : with_times_as_given(text, given); };
  Error told(refused.code(), words(refused.message()));
  for (const std::string& what : refused.context()) told = std::move(told).with_context(words(what));
  return std::move(told).with_hint(refused.hint().empty() ? "choose an instant in the window, or --at latest"
                                                          : words(refused.hint()));
}

}  // namespace holdfast::cli
