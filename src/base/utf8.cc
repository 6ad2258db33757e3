#include "base/utf8.h"

namespace holdfast {

size_t valid_utf8_bytes(std::string_view text) {
  size_t place = 0;
  while (place < text.size()) {
    const auto first = static_cast<unsigned char>(text[place]);
    const size_t length = first < 0x80   ? 1
                          : first < 0xC2 ? 0
                          : first < 0xE0 ? 2
                          : first < 0xF0 ? 3
                          : first < 0xF5 ? 4
                                         : 0;
    if (length == 0 || place + length > text.size()) return place;
    for (size_t next = 1; next < length; next++)
      if ((static_cast<unsigned char>(text[place + next]) & 0xC0) != 0x80) return place;
    const auto second = length > 1 ? static_cast<unsigned char>(text[place + 1]) : 0;
    const bool overlong = (first == 0xE0 && second < 0xA0) || (first == 0xF0 && second < 0x90);
    if (overlong || (first == 0xED && second > 0x9F) || (first == 0xF4 && second > 0x8F)) return place;
    place += length;
  }
  return place;
}

}  // namespace holdfast
