#include "base/tail.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace holdfast {
namespace {

TEST(Tail, IsTheEndOfALogAndSaysWhenThereIsNone) {
  FileSystem& fs = real_file_system();
  const std::string path = testing::TempDir() + "tail-" + std::to_string(::getpid());
  EXPECT_EQ(tail_of_log(fs, path, 5), "(no log)");
  ASSERT_TRUE(write_file_durably(fs, path, as_bytes("one\ntwo\n")).ok());
  EXPECT_EQ(tail_of_log(fs, path, 5), "\ntwo\n");
  EXPECT_EQ(tail_of_log(fs, path, 100), "one\ntwo\n");
  EXPECT_TRUE(fs.remove_file(path).ok());
}

}  // namespace
}  // namespace holdfast
