#include <cstddef>
#include <cstdint>
#include <string>

#include "../runbook/plan_all.h"
#include "runbook/document_json.h"
#include "runbook/lint/lint.h"
#include "runbook/outline_text.h"
#include "runbook/reader.h"

// Reads, shows and reviews arbitrary Markdown, and plans it as the engine would carry it out.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast::runbook;
  auto document = read_document(std::string(reinterpret_cast<const char*>(data), size), "fuzz.md");
  if (!document.ok()) return 0;
  static_cast<void>(json_of(document.value()).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  static_cast<void>(outline_text(document.value()));
  static_cast<void>(lint::sarif_report({{document.value(), lint::lint(document.value(), nullptr)}}, "1"));
  for (const size_t answer : {0u, 1u})
    if (!test::plan_all(document.value(), answer).empty()) __builtin_trap();
  return 0;
}
