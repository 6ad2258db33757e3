#include "repo/config.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"
#include "repo/sealed_object.h"

namespace holdfast::repo {

namespace {

constexpr size_t kDigestBytes = 32;
constexpr size_t kIdBytes = 16;

Error no_repository(store::ObjectStore& store) {
  return make_error(ErrorCode::kNoRepository, "there is no repository at {}", store.location())
      .with_hint(
          "correct repository.location, or mount what it lies on; 'holdfast init' makes one where there never was any");
}

}  // namespace

Result<std::optional<Error>> lost_config(store::ObjectStore& store) {
  for (const std::string_view prefix : {kPointsPrefix, kPacksPrefix, kLogPrefix}) {
    std::string found;
    TRY(store.list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
      if (found.empty()) found = info.name;
      return {};
    }));
    if (found.empty()) continue;
    return std::optional(make_error(ErrorCode::kDamaged,
                                    "the repository at {} has lost its config: {} is there, but neither config nor "
                                    "config.copy",
                                    store.location(), found));
  }
  return std::optional<Error>();
}

Bytes encode_config(const Config& config) {
  ByteWriter writer;
  writer.raw(ObjectHeader{}.encode());
  writer.raw(from_hex(config.repository_id).view());
  writer.u64(static_cast<uint64_t>(config.created.ns));
  const crypto::Sha256Digest digest = crypto::sha256(writer.view());
  writer.raw(digest);
  return writer.take();
}

Result<Config> decode_config(ByteView object, const std::string& name) {
  const auto damaged = [&](std::string_view problem) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: {}", name, problem);
  };
  // The checksum comes first: in every version it is the object's last 32 bytes, so
  // that a damaged version number is not taken for a newer format.
  if (object.size() < kDigestBytes) return damaged("it is cut short");
  const ByteView content = object.first(object.size() - kDigestBytes);
  const crypto::Sha256Digest digest = crypto::sha256(content);
  if (!equal(digest, object.last(kDigestBytes))) return damaged("its checksum is wrong");
  TRY(parse_object_header(content, ObjectType::kConfig, name));
  ByteReader reader(content.subspan(ObjectHeader::kBytes));
  Config config;
  config.repository_id = to_hex(TRY(reader.raw(kIdBytes)));
  config.created = Time{static_cast<int64_t>(TRY(reader.u64()))};
  TRY(reader.end());
  return config;
}

Result<Config> read_config(store::ObjectStore& store) {
  std::optional<Error> first;
  bool all_absent = true;
  for (const std::string_view name : {kConfigName, kConfigCopyName}) {
    const auto object = read_whole(store, name);
    auto config =
        object.ok() ? decode_config(object->view(), std::string(name)) : Result<Config>(object.error().clone());
    if (config.ok()) {
      if (first) log_warn("repo.config.copy-used", {{"error", first->text()}});
      return config;
    }
    if (config.error().code() == ErrorCode::kNewerFormat) return config;
    all_absent &= config.error().code() == ErrorCode::kNotFound;
    if (!first || first->code() == ErrorCode::kNotFound) first = std::move(config).error();
  }
  if (all_absent) {
    if (auto lost = TRY(lost_config(store)))
      return std::move(*lost).with_hint("bring back either of the two from a copy of the repository");
    return no_repository(store);
  }
  return std::move(*first);
}

}  // namespace holdfast::repo
