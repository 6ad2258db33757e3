#include "engine/report_document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::engine {
namespace {

using testing::HasSubstr;
using testing::Not;

ReportDocument hostile() {
  ReportDocument report("A <script> & a *star*");
  report.paragraph("<img src=x onerror=alert(1)> [link](javascript:x) `code` | pipe");
  report.list({"one\n# no heading", "two"});
  report.table({"A", "B"}, {{"a|b", "<b>"}});
  report.code("```\n</pre><script>x</script>\n");
  return report;
}

TEST(ReportDocument, NothingInItBecomesMarkdown) {
  const std::string text = hostile().markdown();
  EXPECT_THAT(text, HasSubstr("# A \\<script\\> \\& a \\*star\\*\n"));
  EXPECT_THAT(text, HasSubstr("\\[link\\](javascript:x)"));
  EXPECT_THAT(text, HasSubstr("- one \\# no heading\n- two\n"));
  EXPECT_THAT(text, HasSubstr("| a\\|b | \\<b\\> |"));
  EXPECT_THAT(text, HasSubstr("````text\n```\n"));
}

TEST(ReportDocument, NothingInItBecomesHtml) {
  const std::string text = hostile().html();
  EXPECT_THAT(text, Not(HasSubstr("<script")));
  EXPECT_THAT(text, Not(HasSubstr("<img")));
  EXPECT_THAT(text, HasSubstr("<td>a|b</td><td>&lt;b&gt;</td>"));
  EXPECT_THAT(text, HasSubstr("<h1>A &lt;script&gt; &amp; a *star*</h1>"));
}

}  // namespace
}  // namespace holdfast::engine
