#include "repo/read_share.h"

#include <algorithm>

#include "crypto/digest.h"
#include "repo/checked_json.h"
#include "repo/read_whole.h"

namespace holdfast::repo {
namespace {

constexpr std::string_view kChecksPrefix = "checks/";
constexpr int kBuckets = 100;

int bucket_of(ByteView digest) {
  const unsigned value = static_cast<unsigned>(digest[0]) << 24 | static_cast<unsigned>(digest[1]) << 16 |
                         static_cast<unsigned>(digest[2]) << 8 | digest[3];
  return static_cast<int>(value % kBuckets);
}

}  // namespace

Result<ReadShare> ReadShare::next(RepositoryAccess& repository, int percent) {
  ReadShare share;
  share.count_ = std::clamp(percent, 0, kBuckets);
  TRY(repository.store().list(kChecksPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    share.older_.push_back(info.name);
    return {};
  }));
  if (share.older_.empty()) return share;
  const auto bytes = read_whole(repository.store(), share.older_.back());
  const bool may_go_on =
      bytes.ok() || bytes.error().code() == ErrorCode::kNotFound || bytes.error().code() == ErrorCode::kDamaged;
  if (!may_go_on) return bytes.error().clone();
  // A damaged one only costs the place where to go on; check itself names it.
  const auto json = bytes.ok() ? decode_checked_json(bytes.value(), share.older_.back())
                               : Result<nlohmann::json>(nlohmann::json::object());
  const auto end = json.ok() ? unsigned_field(json.value(), "end") : Result<uint64_t>(uint64_t{0});
  share.begin_ = end.ok() ? static_cast<int>(end.value() % kBuckets) : 0;
  return share;
}

bool ReadShare::takes(const ObjectDigest& digest) const {
  return (bucket_of(digest.bytes) - begin_ + kBuckets) % kBuckets < count_;
}

bool ReadShare::takes(const std::string& name) const { return takes(ObjectDigest{crypto::sha256(as_bytes(name))}); }

Result<void> ReadShare::finish(RepositoryAccess& repository) const {
  if (count_ == 0) return {};
  const Time now = TRY(repository.store().server_time());
  const std::string object = fmt::format("{}{:016x}", kChecksPrefix, static_cast<uint64_t>(now.ns));
  const nlohmann::json json = {{"begin", begin_}, {"end", (begin_ + count_) % kBuckets}};
  auto created = repository.store().create(object, encode_checked_json(json));
  if (!created.ok()) {
    const bool expected =
        created.error().code() == ErrorCode::kPermission || created.error().code() == ErrorCode::kAlreadyExists;
    return expected ? Result<void>() : std::move(created);
  }
  for (const std::string& older : older_) {
    ignore(repository.store().remove(older), "the newest counts; one that stays costs a few bytes");
  }
  return {};
}

}  // namespace holdfast::repo
