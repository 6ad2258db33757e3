#include "base/errors.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "base/filesystem.h"

namespace holdfast {
namespace {

constexpr ErrorCode kAllCodes[] = {
#define X(identifier, name, exit_status, meaning) ErrorCode::identifier,
    HOLDFAST_ERROR_CODES(X)
#undef X
};

std::string documented_table() {
  const std::string document = join_path(parent_path(__FILE__), "../../docs/exit-codes.md");
  const auto content = read_file(real_file_system(), document);
  EXPECT_TRUE(content.ok()) << content.error().text();
  std::istringstream lines(std::string(as_text(*content)));
  std::string table;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("| ") && line.find("| `") != std::string::npos) table += line + "\n";
  }
  return table;
}

TEST(Errors, TheDocumentHasTheRegistryAsItsTable) {
  std::map<int, std::string> rows;
  for (const ErrorCode code : kAllCodes) {
    std::ostringstream row;
    row << "| " << exit_status(code) << " | `" << error_name(code) << "` | " << error_meaning(code) << " |\n";
    rows[exit_status(code)] = row.str();
  }
  std::string expected;
  for (const auto& [status, row] : rows) expected += row;
  EXPECT_EQ(documented_table(), expected);
}

TEST(Errors, StatusesAndNamesAreTheirOwnAndInRange) {
  std::set<int> statuses;
  std::set<std::string_view> names;
  for (const ErrorCode code : kAllCodes) {
    EXPECT_GT(exit_status(code), 1) << error_name(code);
    EXPECT_LT(exit_status(code), 126) << error_name(code);
    EXPECT_TRUE(statuses.insert(exit_status(code)).second) << error_name(code);
    EXPECT_TRUE(names.insert(error_name(code)).second) << error_name(code);
  }
}

}  // namespace
}  // namespace holdfast
