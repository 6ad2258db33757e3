#include "recovery/this_host.h"

#include <unistd.h>

#include <climits>

namespace holdfast::recovery {

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

}  // namespace holdfast::recovery
