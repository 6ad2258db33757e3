#pragma once

#include <nlohmann/json.hpp>

#include <concepts>
#include <cstdint>
#include <utility>

namespace holdfast {

// The whole number that `json` is. The library's own get<T>() converts any number: a fraction
// is cut, one out of T's range wraps or, as 1e73, has no defined result at all. Throws
// Json::out_of_range, a Json::exception as get() throws them, when T can't hold it or it is
// no whole number.
template <std::integral T, typename Json>
T whole_number(const Json& json) {
  // -1 is a signed number in JSON's library, 1 an unsigned one.
  if (json.is_number_unsigned()) {
    const auto number = json.template get<uint64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  } else if (json.is_number_integer()) {
    const auto number = json.template get<int64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  }
  constexpr int kOutOfRange = 406;  // the library's own id for a number that can't be held
  throw Json::out_of_range::create(kOutOfRange, "no whole number, or none in range: " + json.dump(), &json);
}

// The whole number at `key` of an object, which must be there.
template <std::integral T, typename Json>
T whole_number(const Json& object, const char* key) {
  return whole_number<T>(object.at(key));
}

// The same, or `otherwise` when there is no such key.
template <std::integral T, typename Json>
T whole_number_or(const Json& object, const char* key, T otherwise) {
  const auto found = object.find(key);
  return found == object.end() ? otherwise : whole_number<T>(*found);
}

}  // namespace holdfast
