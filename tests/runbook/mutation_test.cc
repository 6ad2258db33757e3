// Covers: any text can be shown, reviewed and planned as the engine would carry it out, in bounded
// memory: hundreds of documents cut, joined and damaged at random. HOLDFAST_SEED repeats a run.

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "documents.h"
#include "plan_all.h"
#include "runbook/document_json.h"
#include "runbook/outline_text.h"

namespace holdfast::runbook::test {
namespace {

void use(const std::string& text) {
  const auto document = read_document(text, "mutated.md");
  if (!document.ok()) return;
  ASSERT_FALSE(json_of(document.value()).empty());
  ASSERT_FALSE(outline_text(document.value()).empty());
  ASSERT_FALSE(lint::text_report(document.value(), lint::lint(document.value(), nullptr)).empty());
  for (const size_t answer : {0u, 1u}) ASSERT_EQ(plan_all(document.value(), answer), "");
}

// Of address space, on top of what the process has: far more than a document of 1 MiB needs, far less
// than a machine has. Sanitizers reserve terabytes, and are left alone.
class MemoryBound {
 public:
  MemoryBound() {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    constexpr rlim_t kRoom_bytes = rlim_t{256} << 20;
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    ::getrlimit(RLIMIT_AS, &before_);
    const rlimit bound{pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + kRoom_bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_AS, &bound), 0);
    bounded_ = true;
#endif
  }
  ~MemoryBound() {
    if (bounded_) ::setrlimit(RLIMIT_AS, &before_);
  }
  MemoryBound(const MemoryBound&) = delete;
  MemoryBound& operator=(const MemoryBound&) = delete;

 private:
  rlimit before_ = {};
  bool bounded_ = false;
};

TEST(Mutations, DamagedDocumentsAreRead) {
  const MemoryBound bound;
  std::vector<std::string> pages = {
      read_text(std::string(HOLDFAST_SOURCE) + "/examples/clickview/runbook.md"),
      read_text(std::string(HOLDFAST_SOURCE) + "/examples/claude-code-manager/runbook.md")};
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
    for (auto change = random() % 12; change > 0 && !text.empty(); change--) {
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
  const MemoryBound bound;
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
