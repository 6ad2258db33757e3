#include "base/errors.h"

#include <iterator>

#include "base/check.h"

namespace holdfast {

namespace {

struct Row {
  std::string_view name;
  int exit_status;
  std::string_view meaning;
};

constexpr Row kRows[] = {
#define X(identifier, name, exit_status, meaning) {name, exit_status, meaning},
    HOLDFAST_ERROR_CODES(X)
#undef X
};

const Row& row_of(ErrorCode code) {
  const auto index = static_cast<size_t>(code);
  CHECK(index < std::size(kRows));
  return kRows[index];
}

}  // namespace

std::string_view error_name(ErrorCode code) { return row_of(code).name; }
int exit_status(ErrorCode code) { return row_of(code).exit_status; }
std::string_view error_meaning(ErrorCode code) { return row_of(code).meaning; }

}  // namespace holdfast
