#include "repo/sealed_object.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "repo/block_codec.h"

namespace holdfast::repo {

namespace {

constexpr std::string_view kMagic = "HOLDFAST";
constexpr uint8_t kLastType = static_cast<uint8_t>(ObjectType::kLogRecord);
constexpr size_t kRawLengthBytes = 4;
constexpr int kObjectCompressionLevel = 3;

// The content as it is sealed: compressed, after its raw length, where that helps.
std::optional<Bytes> compressed_content(ByteView plain) {
  if (plain.size() > UINT32_MAX) return std::nullopt;
  Bytes content(kRawLengthBytes + compress_bound(plain.size()));
  const auto size = compress(plain, kObjectCompressionLevel, content.mutable_view().subspan(kRawLengthBytes));
  if (!size || *size + kRawLengthBytes >= plain.size()) return std::nullopt;
  ByteWriter length;
  length.u32(static_cast<uint32_t>(plain.size()));
  std::copy(length.view().begin(), length.view().end(), content.data());
  content.resize(kRawLengthBytes + *size);
  return content;
}

Result<Bytes> expanded_content(ByteView content, size_t limit_bytes, std::string_view name) {
  ByteReader reader(content);
  const uint32_t size = TRY(reader.u32());
  if (size > limit_bytes) {
    return make_error(ErrorCode::kDamaged, "object {} says that it holds {} bytes, more than the limit of {}", name,
                      size, limit_bytes);
  }
  Bytes plain(size);
  if (auto expanded = expand(content.subspan(kRawLengthBytes), plain.mutable_view()); !expanded.ok()) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: {}", name, expanded.error().message());
  }
  return plain;
}

crypto::Key object_key(const crypto::Key& key, const ObjectHeader& header) {
  return crypto::hkdf(key, header.salt, object_purpose(header.type));
}

}  // namespace

std::string object_purpose(ObjectType type) { return fmt::format("holdfast object {}", static_cast<int>(type)); }

std::array<uint8_t, ObjectHeader::kBytes> ObjectHeader::encode() const {
  ByteWriter writer;
  writer.raw(as_bytes(kMagic));
  writer.u16(version);
  writer.u8(static_cast<uint8_t>(type));
  writer.u8(flags);
  writer.u32(epoch);
  writer.raw(salt);
  CHECK(writer.size() == kBytes);
  std::array<uint8_t, kBytes> encoded;
  std::copy(writer.view().begin(), writer.view().end(), encoded.begin());
  return encoded;
}

Result<ObjectHeader> parse_any_object_header(ByteView bytes, std::string_view name) {
  if (bytes.size() < ObjectHeader::kBytes) {
    return make_error(ErrorCode::kDamaged, "object {} is cut short: it has {} bytes", name, bytes.size());
  }
  ByteReader reader(bytes);
  if (as_text(TRY(reader.raw(kMagic.size()))) != kMagic) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: it does not begin as one of holdfast's", name);
  }
  ObjectHeader header;
  header.version = TRY(reader.u16());
  if (header.version > kFormatVersion) {
    return make_error(ErrorCode::kNewerFormat, "object {} has format version {}; this holdfast knows up to {}", name,
                      header.version, kFormatVersion)
        .with_hint("use a newer holdfast");
  }
  const uint8_t type = TRY(reader.u8());
  header.flags = TRY(reader.u8());
  if (header.version == 0 || type == 0 || type > kLastType || (header.flags & ~ObjectHeader::kCompressed)) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: its header makes no sense", name);
  }
  header.type = static_cast<ObjectType>(type);
  header.epoch = TRY(reader.u32());
  const ByteView salt = TRY(reader.raw(header.salt.size()));
  std::copy(salt.begin(), salt.end(), header.salt.begin());
  return header;
}

Result<ObjectHeader> parse_object_header(ByteView bytes, ObjectType expected, std::string_view name) {
  const ObjectHeader header = TRY(parse_any_object_header(bytes, name));
  if (header.type != expected) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: it is of type {} where {} is expected", name,
                      static_cast<int>(header.type), static_cast<int>(expected));
  }
  return header;
}

ObjectHeader new_object_header(ObjectType type, uint32_t epoch, Random& random) {
  ObjectHeader header;
  header.type = type;
  header.epoch = epoch;
  random.fill(header.salt);
  return header;
}

Bytes seal_object(const crypto::Key& key, uint32_t epoch, ObjectType type, ByteView plain, ByteView context,
                  Random& random) {
  ObjectHeader header = new_object_header(type, epoch, random);
  // Keys don't shrink, and the attempt would leave copies of them in memory.
  const std::optional<Bytes> compressed = type == ObjectType::kEpoch ? std::nullopt : compressed_content(plain);
  const ByteView content = compressed ? compressed->view() : plain;
  if (compressed) header.flags |= ObjectHeader::kCompressed;
  const auto encoded = header.encode();
  Bytes object(encoded.size() + content.size() + crypto::kTagBytes);
  std::copy(encoded.begin(), encoded.end(), object.begin());
  crypto::seal(object_key(key, header), crypto::counter_nonce(0), {encoded, context}, content,
               object.mutable_view().subspan(encoded.size()));
  return object;
}

Result<Bytes> open_object(const crypto::Key& key, const ObjectHeader& header, ByteView bytes, ByteView context,
                          std::string_view name, size_t limit_bytes) {
  const auto encoded = header.encode();
  if (bytes.size() < encoded.size() + crypto::kTagBytes) {
    return make_error(ErrorCode::kDamaged, "object {} is cut short: it has {} bytes", name, bytes.size());
  }
  const ByteView sealed = bytes.subspan(encoded.size());
  Bytes content(sealed.size() - crypto::kTagBytes);
  if (!crypto::open(object_key(key, header), crypto::counter_nonce(0), {encoded, context}, sealed,
                    content.mutable_view())) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: its seal does not open", name);
  }
  if (!(header.flags & ObjectHeader::kCompressed)) return content;
  return expanded_content(content.view(), limit_bytes, name);
}

}  // namespace holdfast::repo
