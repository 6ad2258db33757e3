#include "repo/read_whole.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "repo/log_codec.h"
#include "repo/object_names.h"
#include "repo/pack.h"
#include "repo/sealed_object.h"

namespace holdfast::repo {

namespace {

// Generous: they stand against sizes that can't be, not against what is a little too large.
constexpr uint64_t kMaxFieldsBytes = 1 << 20;   // config, keys, leases, holds, notes: a few fields each
constexpr uint64_t kMaxIndexBytes = 128 << 20;  // half a million records (kMaxIndexRecords), or one pack's
constexpr uint64_t kMaxPointBytes = kMaxSealedBytes + (1 << 20);
constexpr uint64_t kMaxListBytes = 1 << 30;  // tombstones list packs
constexpr uint64_t kMaxLogBytes = kLogPrefixBytes + kMaxLogHeaderBytes + kMaxLogBodyBytes + (1 << 20);

constexpr std::pair<std::string_view, uint64_t> kLimits[] = {
    {kPacksPrefix, kMaxPackBytes}, {kIndexPrefix, kMaxIndexBytes}, {kPointsPrefix, kMaxPointBytes},
    {kTombsPrefix, kMaxListBytes}, {kLogPrefix, kMaxLogBytes},     {kLogMovingPrefix, kMaxLogBytes},
};

}  // namespace

uint64_t size_limit_of(std::string_view name) {
  const auto limit = std::find_if(std::begin(kLimits), std::end(kLimits),
                                  [&](const auto& each) { return name.starts_with(each.first); });
  return limit == std::end(kLimits) ? kMaxFieldsBytes : limit->second;
}

Result<Bytes> read_whole(store::ObjectStore& store, std::string_view name) {
  const uint64_t size_bytes = TRY(store.stat(name)).size_bytes;
  if (size_bytes > size_limit_of(name)) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: it has {} bytes, and none of its kind more than {}",
                      name, size_bytes, size_limit_of(name));
  }
  return store.read_all(name);
}

}  // namespace holdfast::repo
