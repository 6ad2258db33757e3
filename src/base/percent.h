#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// Each byte as %XX but letters, digits, "-._~" (RFC 3986, section 2.3) and those in `also`.
std::string percent_encoded(std::string_view text, std::string_view also = "");
// "a%40b" -> "a@b"; what is no two hex digits stays.
std::string percent_decoded(std::string_view text);

}  // namespace holdfast
