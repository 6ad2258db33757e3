#include "base/log.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace holdfast {
namespace {

std::string logged(const std::function<void()>& action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST(Log, TextLineQuotesWhatCouldMislead) {
  set_log_level(LogLevel::kWarn);
  const std::string line = logged([] {
    log_warn("repo.pack.written",
             {{"pack", std::string("ab12")}, {"bytes", uint64_t{42}}, {"why", std::string("a b\n\xff")}, {"ok", true}});
  });
  ASSERT_GT(line.size(), 28u);
  EXPECT_EQ(line.substr(27), " warn  repo.pack.written pack=ab12 bytes=42 why=\"a b\\n\xef\xbf\xbd\" ok=true\n");
}

TEST(Log, BelowTheLevelNothingIsSaid) {
  set_log_level(LogLevel::kError);
  EXPECT_EQ(logged([] { log_warn("x"); }), "");
  EXPECT_NE(logged([] { log_error("x"); }), "");
  set_log_level(LogLevel::kOff);
  EXPECT_EQ(logged([] { log_error("x"); }), "");
  set_log_level(LogLevel::kWarn);
}

TEST(Log, JsonFormatIsAskedForByTheEnvironment) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";  // a new process, which has not read it yet
  EXPECT_EXIT(
      {
        ::setenv("HOLDFAST_LOG_FORMAT", "json", 1);
        log_error("source.file.vanished", {{"path", std::string("/a\xff\"b")}, {"count", int64_t{-3}}, {"rate", 0.5}});
        std::exit(0);
      },
      testing::ExitedWithCode(0),
      "\"level\":\"error\",\"event\":\"source.file.vanished\",\"path\":\"/a.*b\",\"count\":-3,\"rate\":0.5}");
}

}  // namespace
}  // namespace holdfast
