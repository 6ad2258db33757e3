// Covers: ten public runbooks are read and reviewed as they were when the golden files were
// checked by reading. HOLDFAST_UPDATE_GOLDEN=1 writes them anew: read the difference.

#include <cstdlib>
#include <fstream>

#include "documents.h"
#include "runbook/document_json.h"

namespace holdfast::runbook::test {
namespace {

class CorpusDocument : public testing::TestWithParam<std::string> {};

TEST_P(CorpusDocument, ModelAndFindingsAreAsChecked) {
  DOCUMENT_OR_SKIP(document, "corpus", GetParam() + "_");
  nlohmann::ordered_json json = json_of(document);
  for (auto& list : {"scenarios", "procedures"})
    for (auto& procedure : json[list])
      for (auto& step : procedure["steps"]) step.erase("pieces");
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
