// The JSON of a point, and the checked JSON of leases, tombstones and records of
// verification.

#include "repo/checked_json.h"
#include "repo/point.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const ByteView input(data, size);
  ignore(repo::decode_checked_json(input, "fuzz"), "must not crash");
  const std::string printable = repo::printable_text(as_text(input));
  CHECK_MSG(repo::printable_text(printable) == printable, "printable text is printable");
  const auto json = repo::parse_json_object(as_text(input));
  if (!json.ok()) return 0;
  const auto checked = repo::decode_checked_json(repo::encode_checked_json(*json), "fuzz");
  CHECK_MSG(checked.ok(), "what was encoded must decode");
  const auto point = repo::point_from_json(*json);
  if (!point.ok()) return 0;
  const auto again = repo::point_from_json(repo::to_json(*point));
  CHECK_MSG(again.ok() && repo::to_json(*again) == repo::to_json(*point), "a point must survive encoding");
  return 0;
}
