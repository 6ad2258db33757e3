#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "runbook/lint/lint.h"
#include "runbook/reader.h"

namespace holdfast::runbook::test {

// The folder of documents that are not part of the repository; "" when it is not there.
std::string shared_folder();
std::string read_text(const std::string& path);
// The one file in `folder` whose name begins with `prefix`; "" when there is none.
std::string find_file(const std::string& folder, const std::string& prefix);
Document read_or_fail(const std::string& path);

const Procedure& scenario(const Document& document, const std::string& words);
const Step& step(const Procedure& procedure, const std::string& id);
std::vector<std::string> texts(const std::vector<Text>& list);
// "line rule" of each finding.
std::vector<std::string> lines_of(const lint::LintResult& result);

}  // namespace holdfast::runbook::test

// In tests of documents that may be absent.
#define DOCUMENT_OR_SKIP(name, folder, prefix)                                                                     \
  const std::string name##_path =                                                                                  \
      holdfast::runbook::test::shared_folder().empty()                                                             \
          ? ""                                                                                                     \
          : holdfast::runbook::test::find_file(holdfast::runbook::test::shared_folder() + "/" + (folder), prefix); \
  if (name##_path.empty()) GTEST_SKIP() << "skipped: no " << (prefix) << "* in HOLDFAST_SHARED/" << (folder);      \
  const Document name = holdfast::runbook::test::read_or_fail(name##_path)
