#include "documents.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace holdfast::runbook::test {

std::string shared_folder() {
  const char* given = std::getenv("HOLDFAST_SHARED");
  const std::string folder = given != nullptr ? given : std::string(HOLDFAST_SOURCE) + "/../shared";
  return std::filesystem::is_directory(folder) ? folder : "";
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string find_file(const std::string& folder, const std::string& prefix) {
  if (!std::filesystem::is_directory(folder)) return "";
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().filename().string().starts_with(prefix)) return entry.path().string();
  return "";
}

Document read_or_fail(const std::string& path) {
  auto document = read_document(read_text(path), std::filesystem::path(path).filename().string());
  EXPECT_TRUE(document.ok()) << (document.ok() ? "" : document.error().text());
  return document.ok() ? std::move(document).value() : Document();
}

const Procedure& scenario(const Document& document, const std::string& words) {
  static const Procedure kNone;
  const Procedure* found = document.find_procedure(words);
  EXPECT_NE(found, nullptr) << words;
  return found != nullptr ? *found : kNone;
}

const Step& step(const Procedure& procedure, const std::string& id) {
  static const Step kNone;
  const Step* found = procedure.find_step(id);
  EXPECT_NE(found, nullptr) << id;
  return found != nullptr ? *found : kNone;
}

std::vector<std::string> texts(const std::vector<Text>& list) {
  std::vector<std::string> result;
  for (const Text& each : list) result.push_back(each.text);
  return result;
}

std::vector<std::string> lines_of(const lint::LintResult& result) {
  std::vector<std::string> lines;
  for (const lint::Finding& finding : result.findings)
    lines.push_back(std::to_string(finding.range.begin.line) + " " + std::string(finding.rule->id));
  return lines;
}

}  // namespace holdfast::runbook::test
