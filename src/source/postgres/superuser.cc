#include "source/postgres/superuser.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "source/postgres/page.h"

namespace holdfast::postgres {

namespace {

constexpr uint32_t kAuthidOid = 1260;       // of the catalog
constexpr uint32_t kBootstrapRoleOid = 10;  // of the role that initdb makes

// A row begins with the oid, the name (NUL-padded) and flags of a byte each.
constexpr size_t kNameAt = 4, kNameBytes = 64;
constexpr size_t kIsSuperuserAt = kNameAt + kNameBytes;
constexpr size_t kCanLoginAt = kIsSuperuserAt + 4;
constexpr size_t kRowBytes = kCanLoginAt + 1;

constexpr size_t kPageHeaderBytes = 24, kLinePointerBytes = 4;
constexpr size_t kLowerAt = 12;
constexpr uint32_t kNormalLinePointer = 1;
// In a row's header.
constexpr size_t kDeleterAt = 4, kFlagsAt = 20, kHeaderBytesAt = 22, kShortestRowHeader = 23;
constexpr uint16_t kDeleterIsNone = 0x0800;

template <typename T>
T at(ByteView bytes, size_t offset) {
  T value;
  CHECK(offset + sizeof value <= bytes.size());
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

struct Choice {
  std::string name;
  int rank = 0;  // the higher, the better
};

void consider(ByteView row, Choice& best) {
  if (row.size() < kShortestRowHeader) return;
  const size_t header = row[kHeaderBytesAt];
  if (header < kShortestRowHeader || header + kRowBytes > row.size()) return;
  const ByteView values = row.subspan(header);
  if (values[kIsSuperuserAt] == 0 || values[kCanLoginAt] == 0) return;
  // Of what was changed the newest version is the one that nobody has deleted.
  const bool lives = at<uint32_t>(row, kDeleterAt) == 0 || (at<uint16_t>(row, kFlagsAt) & kDeleterIsNone) != 0;
  const int rank = 1 + (at<uint32_t>(values, 0) == kBootstrapRoleOid ? 1 : 0) + (lives ? 2 : 0);
  if (rank < best.rank) return;
  const char* name = reinterpret_cast<const char*>(values.data() + kNameAt);
  best = {std::string(name, strnlen(name, kNameBytes)), rank};
}

void consider_page(ByteView page, Choice& best) {
  const size_t lower = std::min<size_t>(at<uint16_t>(page, kLowerAt), page.size());
  for (size_t pointer = kPageHeaderBytes; pointer + kLinePointerBytes <= lower; pointer += kLinePointerBytes) {
    const uint32_t line = at<uint32_t>(page, pointer);
    const size_t offset = line & 0x7fff, length = line >> 17;
    if (((line >> 15) & 3) != kNormalLinePointer || offset + length > page.size()) continue;
    consider(page.subspan(offset, length), best);
  }
}

}  // namespace

// The catalogs that a server needs before it can look anything up are found through a map.
Result<uint32_t> authid_file(ByteView map) {
  constexpr uint32_t kMagic = 0x592717;
  if (map.size() < 8 || at<uint32_t>(map, 0) != kMagic)
    return make_error(ErrorCode::kInvalidData, "it is not a map of relations");
  const uint32_t count = at<uint32_t>(map, 4);
  for (size_t i = 0, offset = 8; i < count && offset + 8 <= map.size(); i++, offset += 8) {
    if (at<uint32_t>(map, offset) == kAuthidOid) return at<uint32_t>(map, offset + 4);
  }
  return make_error(ErrorCode::kInvalidData, "it does not name pg_authid");
}

std::string login_superuser_in(ByteView pages) {
  Choice best;
  for (size_t offset = 0; offset + kPageBytes <= pages.size(); offset += kPageBytes)
    consider_page(pages.subspan(offset, kPageBytes), best);
  return best.name;
}

Result<std::string> login_superuser(FileSystem& fs, const std::string& data_directory) {
  const std::string global = join_path(data_directory, "global"), map = join_path(global, "pg_filenode.map");
  const uint32_t file = TRY_CONTEXT(authid_file(TRY(read_file(fs, map))), "{}", map);
  std::string name = login_superuser_in(TRY(read_file(fs, join_path(global, std::to_string(file)))));
  if (!name.empty()) return name;
  return make_error(ErrorCode::kNotFound, "the cluster in {} has no superuser that may log in", data_directory)
      .with_hint("make one before the next backup: create role NAME superuser login");
}

}  // namespace holdfast::postgres
