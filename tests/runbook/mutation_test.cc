// Covers: any text can be shown, reviewed and planned: hundreds of documents cut, joined and
// damaged at random. HOLDFAST_SEED repeats a run.

#include <cstdlib>
#include <filesystem>
#include <random>

#include "documents.h"
#include "runbook/document_json.h"
#include "runbook/outline_text.h"
#include "runbook/plan.h"

namespace holdfast::runbook::test {
namespace {

void use(const std::string& text) {
  const auto document = read_document(text, "mutated.md");
  if (!document.ok()) return;
  ASSERT_FALSE(json_of(document.value()).empty());
  ASSERT_FALSE(outline_text(document.value()).empty());
  ASSERT_FALSE(lint::text_report(document.value(), lint::lint(document.value(), nullptr)).empty());
  for (const Procedure& each : document.value().scenarios) {
    PlanRequest request;
    request.procedure = each.id;
    const auto plan = make_plan(document.value(), request);
    if (plan.ok()) {
      ASSERT_EQ(plan.value().steps.size(), each.steps.size());
    }
  }
}

TEST(Mutations, DamagedDocumentsAreRead) {
  std::vector<std::string> pages;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(HOLDFAST_SOURCE) + "/docs/lint"))
    pages.push_back(read_text(entry.path().string()));
  std::sort(pages.begin(), pages.end());
  const char* given = std::getenv("HOLDFAST_SEED");
  const auto seed = static_cast<unsigned>(given != nullptr ? std::atoi(given) : 1);
  SCOPED_TRACE("HOLDFAST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string marks = "`#*-|<>{}[]()$'\"\\\n\r\t 1:&;~=\xC3";
  for (int round = 0; round < 500; round++) {
    std::string text = pages[random() % pages.size()];
    if (random() % 3 == 0) text += pages[random() % pages.size()];
    for (unsigned change = random() % 12; change > 0 && !text.empty(); change--) {
      const size_t place = random() % text.size();
      if (random() % 2 == 0)
        text[place] = marks[random() % marks.size()];
      else if (random() % 2 == 0)
        text.erase(place, random() % 40);
      else
        text.insert(place, std::string(random() % 6, marks[random() % marks.size()]));
    }
    ASSERT_NO_FATAL_FAILURE(use(text));
  }
}

TEST(Mutations, DeepAndLongTextsEndInTime) {
  for (const char* unit :
       {"> ", "- ", "1. ", "(", "$(", "${", "`", "((", "**", "[", "<", "|", "{", "\"", "if ", "a|", "```\n"}) {
    std::string text = "# R\n\n## Scenario 1: X\n\n```bash\n";
    for (int count = 0; count < 20000; count++) text += unit;
    use(text + "\n```\n");
    std::string bare;
    for (int count = 0; count < 5000; count++) bare += unit;
    use(bare);
  }
}

}  // namespace
}  // namespace holdfast::runbook::test
