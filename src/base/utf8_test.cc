// Covers: where text stops to be UTF-8, at each edge of what is.

#include "base/utf8.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Utf8, TextOfEachLength) {
  for (const char* text : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xef\xbf\xbf",
                           "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa4z"})
    EXPECT_TRUE(is_utf8(text)) << text;
}

TEST(Utf8, StopsAtTheFirstByteThatIsNone) {
  EXPECT_EQ(valid_utf8_bytes("a\xc3\xa4\xff z"), 3u);
  EXPECT_EQ(valid_utf8_bytes("ab\xc3"), 2u) << "cut short";
  for (const char* text : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3z", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xe2\x82z",
                           "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
    EXPECT_EQ(valid_utf8_bytes(text), 0u) << text;
}

}  // namespace
}  // namespace holdfast
