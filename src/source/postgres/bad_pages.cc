#include "source/postgres/bad_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

namespace holdfast::postgres {

std::vector<FilePageProblem> named_of(const std::vector<FilePageProblem>& bad) {
  std::vector<FilePageProblem> named;
  std::set<std::string_view> files;
  for (const FilePageProblem& page : bad) {
    const bool is_first = files.insert(page.path).second;
    if (is_first || named.size() < kNamedPages) named.push_back(page);
  }
  return named;
}

std::vector<std::string> faults_of(const std::vector<FilePageProblem>& bad) {
  std::vector<std::string> faults;
  for (size_t i = 0; i < std::min(bad.size(), kNamedPages); i++) {
    const FilePageProblem& page = bad[i];
    faults.push_back(fmt::format("bad page: {}, block {}: {}", page.path, page.page.block, page.page.problem));
  }
  if (bad.size() > kNamedPages) faults.push_back(fmt::format("and {} more", bad.size() - kNamedPages));
  return faults;
}

}  // namespace holdfast::postgres
