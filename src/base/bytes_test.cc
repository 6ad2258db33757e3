#include "base/bytes.h"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast {
namespace {

TEST(Bytes, AppendsAndGrows) {
  Bytes bytes;
  std::string expected;
  for (int i = 0; i < 1000; i++) {
    const std::string more(static_cast<size_t>(i % 7), static_cast<char>('a' + i % 26));
    bytes.append(more);
    expected += more;
  }
  EXPECT_EQ(as_text(bytes.view()), expected);
  EXPECT_EQ(as_text(bytes.view(3, 5)), expected.substr(3, 5));
}

TEST(Bytes, AppendsAViewOfItself) {
  Bytes bytes = Bytes::copy_of(as_bytes("abc"));
  for (int i = 0; i < 4; i++) bytes.append(bytes.view());
  EXPECT_EQ(as_text(bytes.view()), "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc");
}

TEST(Bytes, MovedFromIsEmptyAndUsable) {
  Bytes from = Bytes::copy_of(as_bytes("abc"));
  Bytes to = std::move(from);
  EXPECT_EQ(to.size(), 3u);
  // NOLINTBEGIN(bugprone-use-after-move, clang-analyzer-cplusplus.Move): the state after a move is promised
  EXPECT_TRUE(from.empty());
  from.append("x");
  EXPECT_EQ(as_text(from.view()), "x");
  // NOLINTEND(bugprone-use-after-move, clang-analyzer-cplusplus.Move)
}

TEST(Bytes, AViewOutsideIsADefect) {
  const Bytes bytes(4);
  EXPECT_DEATH((void)bytes.view(3, 2), "defect");
  EXPECT_DEATH((void)bytes.view(5, 0), "defect");
  EXPECT_DEATH((void)bytes.view(1, SIZE_MAX), "defect");
}

TEST(Bytes, AllZeroSeesEveryPosition) {
  EXPECT_TRUE(all_zero({}));
  for (size_t size = 1; size < 70; size++) {
    Bytes bytes = Bytes::zeros(size);
    EXPECT_TRUE(all_zero(bytes));
    for (size_t at = 0; at < size; at++) {
      bytes[at] = 1;
      EXPECT_FALSE(all_zero(bytes)) << size << " " << at;
      bytes[at] = 0;
    }
  }
}

TEST(Bytes, HexGoesBothWays) {
  Bytes all(256);
  for (size_t i = 0; i < 256; i++) all[i] = static_cast<uint8_t>(i);
  EXPECT_TRUE(equal(from_hex(to_hex(all)), all));
  EXPECT_EQ(to_hex(from_hex("00FfaB")), "00ffab");
  for (const char* bad : {"0", "0g", "g0", "0x", " 00", "00 "}) EXPECT_TRUE(from_hex(bad).empty()) << bad;
}

}  // namespace
}  // namespace holdfast
