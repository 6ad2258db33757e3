#include "repo/ids.h"

#include <algorithm>

namespace holdfast::repo {

Result<ObjectDigest> ObjectDigest::from_hex(std::string_view hex) {
  ObjectDigest digest;
  const Bytes bytes = holdfast::from_hex(hex);
  const bool lower = std::none_of(hex.begin(), hex.end(), [](char c) { return c >= 'A' && c <= 'F'; });
  if (bytes.size() != digest.bytes.size() || !lower) {
    return make_error(ErrorCode::kInvalidData, "\"{}\" is not a digest of 64 hexadecimal digits", hex.substr(0, 100));
  }
  std::copy(bytes.begin(), bytes.end(), digest.bytes.begin());
  return digest;
}

}  // namespace holdfast::repo
