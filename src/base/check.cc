#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace holdfast {

void check_failed(const char* condition, const char* file, int line, const char* message) {
  std::fprintf(stderr, "holdfast: defect at %s:%d: %s%s%s\n", file, line, condition, *message ? ": " : "", message);
  std::abort();
}

}  // namespace holdfast
