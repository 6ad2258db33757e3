// Covers: ten public runbooks are read and reviewed as they were when the golden files were
// checked by reading. HOLDFAST_UPDATE_GOLDEN=1 writes them anew: read the difference.

#include <cstdlib>
#include <fstream>

#include "documents.h"
#include "runbook/document_json.h"

namespace holdfast::runbook::test {
namespace {

// Of a piece what the step's own text does not say: "7-9 commands 1.2: via docker", "10-10 input of psql".
std::string line_of(const nlohmann::ordered_json& piece) {
  const auto& at = piece["at"];
  std::string line = std::to_string(at["line"].get<int>()) + "-" + std::to_string(at["end_line"].get<int>()) + " " +
                     piece["kind"].get<std::string>();
  if (piece.contains("program")) line += " of " + piece["program"].get<std::string>();
  if (piece.contains("group"))
    line += " " + std::to_string(piece["group"].get<int>()) + "." + std::to_string(piece["alternative"].get<int>());
  const std::string title = piece["title"];
  return title.empty() ? line : line + ": " + title;
}

class CorpusDocument : public testing::TestWithParam<std::string> {};

TEST_P(CorpusDocument, ModelAndFindingsAreAsChecked) {
  DOCUMENT_OR_SKIP(document, "corpus", GetParam() + "_");
  nlohmann::ordered_json json = json_of(document);
  for (auto& list : {"scenarios", "procedures"})
    for (auto& procedure : json[list])
      for (auto& step : procedure["steps"])
        for (auto& piece : step["pieces"]) piece = line_of(piece);
  const lint::LintResult result = lint::lint(document, nullptr);
  const nlohmann::ordered_json whole = {{"model", json}, {"findings", lines_of(result)}};
  const std::string made = whole.dump(1) + "\n";
  const std::string path = std::string(HOLDFAST_GOLDEN_DIRECTORY) + "/" + GetParam() + ".json";
  if (std::getenv("HOLDFAST_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << made;
  EXPECT_TRUE(made == read_text(path)) << path << " differs from what is read now";
}

INSTANTIATE_TEST_SUITE_P(All, CorpusDocument,
                         testing::Values("04", "07", "12", "15", "16", "20", "22", "24", "26", "31"));

}  // namespace
}  // namespace holdfast::runbook::test
