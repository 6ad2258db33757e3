#pragma once

#include <string>
#include <vector>

#include "source/postgres/capture_pipeline.h"

namespace holdfast::postgres {

// Of a cluster that is damaged all over a snapshot does not name every page (docs/format.md).
constexpr size_t kNamedPages = 1000;

// The first kNamedPages, and of each further file the first: PreviousSnapshot::had_bad_pages
// rests on every file's being named.
std::vector<FilePageProblem> named_of(const std::vector<FilePageProblem>& bad);
// The first kNamedPages as faults; a last line says how many more there are.
std::vector<std::string> faults_of(const std::vector<FilePageProblem>& bad);

}  // namespace holdfast::postgres
