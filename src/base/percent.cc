#include "base/percent.h"

#include <fmt/format.h>

#include <charconv>

namespace holdfast {

std::string percent_encoded(std::string_view text, std::string_view also) {
  constexpr std::string_view kPlain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  std::string out;
  for (const char c : text) {
    const bool plain = kPlain.find(c) != std::string_view::npos || also.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string percent_decoded(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    unsigned char code = 0;
    const char* const digits = text.data() + 1;
    const bool is_coded =
        text[0] == '%' && text.size() > 2 && std::from_chars(digits, digits + 2, code, 16).ptr == digits + 2;
    out += is_coded ? static_cast<char>(code) : text[0];
    text.remove_prefix(is_coded ? 3 : 1);
  }
  return out;
}

}  // namespace holdfast
