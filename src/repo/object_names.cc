#include "repo/object_names.h"

namespace holdfast::repo {

std::string pack_name(const ObjectDigest& digest) {
  const std::string hex = digest.hex();
  return fmt::format("{}{}/{}", kPacksPrefix, hex.substr(0, 2), hex);
}

std::string index_name(const ObjectDigest& digest) { return std::string(kIndexPrefix) + digest.hex(); }

std::string point_name(const PointId& id) { return std::string(kPointsPrefix) + id.hex(); }

Result<ObjectDigest> digest_of_name(std::string_view name) {
  const size_t slash = name.rfind('/');
  const std::string_view leaf = slash == std::string_view::npos ? name : name.substr(slash + 1);
  auto digest = ObjectDigest::from_hex(leaf);
  if (!digest.ok()) return make_error(ErrorCode::kInvalidData, "the name of object {} does not end in a digest", name);
  return digest;
}

}  // namespace holdfast::repo
