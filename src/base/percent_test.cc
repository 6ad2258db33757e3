#include "base/percent.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Percent, EncodesAllButWhatUrisLeaveAlone) {
  EXPECT_EQ(percent_encoded("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encoded("a b/%\xc3\xbc"), "a%20b%2F%25%C3%BC");
  EXPECT_EQ(percent_encoded("/a b", "/"), "/a%20b");
  EXPECT_EQ(percent_encoded(std::string_view("\0\n", 2)), "%00%0A");
}

TEST(Percent, DecodesWhatIsACodeAndLeavesTheRest) {
  EXPECT_EQ(percent_decoded("a%20b%2f%25%C3%BC"), "a b/%\xc3\xbc");
  for (const char* text : {"", "%", "%4", "%zz", "100% of", "%+1", "%-1"}) EXPECT_EQ(percent_decoded(text), text);
}

}  // namespace
}  // namespace holdfast
