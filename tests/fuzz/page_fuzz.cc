// Pages of a cluster's files: the header and checksum of any, and of pg_authid the line pointers and
// rows, too; and the map that says which file that is.

#include <cstring>

#include "source/postgres/page.h"
#include "source/postgres/superuser.h"

namespace {

using namespace holdfast;
using namespace holdfast::postgres;

void try_page(uint8_t* page, uint32_t block) {
  const PageState stored = check_page(page, block, true);
  const PageState without = check_page(page, block, false);
  CHECK_MSG(stored == without || (stored == PageState::kBadChecksum && without == PageState::kGood),
            "checksums find more, and nothing else");
  if (without != PageState::kGood) return;
  const uint16_t checksum = page_checksum(page, block);
  CHECK(checksum != 0);
  std::memcpy(page + 8, &checksum, sizeof checksum);
  CHECK_MSG(check_page(page, block, true) == PageState::kGood, "a page with its checksum is good");
  CHECK_MSG(check_page(page, block + 1, true) == PageState::kBadChecksum, "and in another place it is not");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  ignore(authid_file(input), "must not crash");
  CHECK(login_superuser_in(input).size() <= 64);
  // A short input is a page whose end is zeros.
  const size_t pages = (size + kPageBytes - 1) / kPageBytes;
  Bytes whole = Bytes::zeros(pages * kPageBytes);
  if (size > 0) std::memcpy(whole.data(), data, size);
  CHECK(login_superuser_in(whole).size() <= 64);
  for (size_t i = 0; i < pages; i++) try_page(whole.data() + i * kPageBytes, static_cast<uint32_t>(i));
  return 0;
}
