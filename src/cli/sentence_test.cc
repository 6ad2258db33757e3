#include "cli/sentence.h"

#include <gtest/gtest.h>

namespace holdfast::cli {
namespace {

TEST(Sentence, IsBrokenBetweenWordsWhereItIsTooLong) {
  EXPECT_EQ(sentence("it can't be done now", 12), "it can't be\ndone now\n");
  EXPECT_EQ(sentence("it can't be done now", 20), "it can't be done now\n");
}

TEST(Sentence, KeepsACommandInOneLine) {
  EXPECT_EQ(sentence("it can't go until 'holdfast points --release d0743abf', which isn't much", 30),
            "it can't go until\n'holdfast points --release d0743abf',\nwhich isn't much\n");
}

TEST(Sentence, LeavesColumnsAndAQuoteThatDoesNotEndAlone) {
  EXPECT_EQ(sentence("one  two three", 5), "one  two three\n");
  EXPECT_EQ(sentence("the 'one two three", 9), "the 'one\ntwo three\n");
}

}  // namespace
}  // namespace holdfast::cli
