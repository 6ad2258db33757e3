#include "repo/log_codec.h"

#include <algorithm>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "repo/block_codec.h"
#include "repo/object_names.h"

namespace holdfast::repo {

namespace {

constexpr uint32_t kHeaderNonce = 1;
constexpr uint32_t kBodyNonce = 2;

Error damaged(std::string_view name, std::string_view problem) {
  return make_error(ErrorCode::kDamaged, "object {} is damaged: {}", name, problem);
}

Result<crypto::Key> record_key(const KeySet& keys, const ObjectHeader& header, std::string_view name) {
  const crypto::Key* const epoch_key = TRY_CONTEXT(keys.epoch_key(header.epoch), "can't open object {}", name);
  return crypto::hkdf(*epoch_key, header.salt, object_purpose(header.type));
}

Bytes encode_prefix(const LogPrefix& prefix) {
  ByteWriter writer;
  writer.raw(prefix.header.encode());
  writer.u32(prefix.header_length);
  writer.u32(prefix.body_length);
  writer.u32(prefix.raw_length);
  return writer.take();
}

}  // namespace

Result<LogPrefix> parse_log_prefix(ByteView object, std::string_view name) {
  LogPrefix prefix;
  prefix.header = TRY(parse_object_header(object, ObjectType::kLogRecord, name));
  if (object.size() < kLogPrefixBytes) return damaged(name, "it is cut short");
  ByteReader reader(object.subspan(ObjectHeader::kBytes));
  prefix.header_length = TRY(reader.u32());
  prefix.body_length = TRY(reader.u32());
  prefix.raw_length = TRY(reader.u32());
  const bool compressed = prefix.header.flags & ObjectHeader::kCompressed;
  const bool header_fits =
      prefix.header_length >= crypto::kTagBytes && prefix.header_length <= kMaxLogHeaderBytes + crypto::kTagBytes;
  const bool body_fits =
      prefix.body_length >= crypto::kTagBytes && prefix.body_length <= kMaxLogBodyBytes + crypto::kTagBytes;
  if (!header_fits || !body_fits || prefix.raw_length > kMaxLogBodyBytes ||
      (!compressed && prefix.raw_length != prefix.body_length - crypto::kTagBytes)) {
    return damaged(name, "its lengths make no sense");
  }
  return prefix;
}

std::string log_context(std::string_view stream, std::string_view name) { return fmt::format("{}/{}", stream, name); }
std::string log_object_name(std::string_view stream, std::string_view name) {
  return fmt::format("{}{}/{}", kLogPrefix, stream, name);
}
std::string log_moving_name(std::string_view stream, std::string_view name) {
  return fmt::format("{}{}/{}", kLogMovingPrefix, stream, name);
}

Result<Bytes> encode_log_record(const KeySet& keys, Random& random, std::string_view context, ByteView header,
                                ByteView body, int compression_level) {
  if (header.size() > kMaxLogHeaderBytes || body.size() > kMaxLogBodyBytes) {
    return make_error(ErrorCode::kInternal, "log record {} is too large: {} bytes of header, {} of body", context,
                      header.size(), body.size());
  }
  const EpochKey& epoch = keys.newest();
  LogPrefix prefix;
  prefix.header = new_object_header(ObjectType::kLogRecord, epoch.number, random);
  prefix.header_length = static_cast<uint32_t>(header.size() + crypto::kTagBytes);
  prefix.raw_length = static_cast<uint32_t>(body.size());
  // The body is compressed where it will lie, and sealed in place.
  const size_t body_at = kLogPrefixBytes + prefix.header_length;
  Bytes object(body_at + compress_bound(body.size()) + crypto::kTagBytes);
  const MutableByteView room = object.mutable_view().subspan(body_at, compress_bound(body.size()));
  const auto compressed = compress(body, compression_level, room);
  if (compressed)
    prefix.header.flags |= ObjectHeader::kCompressed;
  else
    std::copy(body.begin(), body.end(), room.begin());
  const size_t content_bytes = compressed.value_or(body.size());
  prefix.body_length = static_cast<uint32_t>(content_bytes + crypto::kTagBytes);

  const Bytes encoded = encode_prefix(prefix);
  std::copy(encoded.begin(), encoded.end(), object.begin());
  const crypto::Key key = TRY(record_key(keys, prefix.header, context));
  const crypto::AssociatedData aad{encoded.view(), as_bytes(context)};
  crypto::seal(key, crypto::counter_nonce(kHeaderNonce), aad, header,
               object.mutable_view().subspan(kLogPrefixBytes, prefix.header_length));
  crypto::seal(key, crypto::counter_nonce(kBodyNonce), aad, room.first(content_bytes),
               object.mutable_view().subspan(body_at, prefix.body_length));
  object.resize(body_at + prefix.body_length);
  return object;
}

Result<Bytes> decode_log_header(const KeySet& keys, ByteView object, std::string_view context, std::string_view name) {
  const LogPrefix prefix = TRY(parse_log_prefix(object, name));
  if (object.size() < kLogPrefixBytes + prefix.header_length) return damaged(name, "it is cut short");
  const crypto::Key key = TRY(record_key(keys, prefix.header, name));
  Bytes header(prefix.header_length - crypto::kTagBytes);
  if (!crypto::open(key, crypto::counter_nonce(kHeaderNonce), {object.first(kLogPrefixBytes), as_bytes(context)},
                    object.subspan(kLogPrefixBytes, prefix.header_length), header.mutable_view())) {
    return damaged(name, "its header does not open");
  }
  return header;
}

Result<Bytes> decode_log_body(const KeySet& keys, ByteView object, std::string_view context, std::string_view name) {
  const LogPrefix prefix = TRY(parse_log_prefix(object, name));
  const size_t body_at = kLogPrefixBytes + prefix.header_length;
  if (object.size() != body_at + prefix.body_length) return damaged(name, "it has the wrong size");
  const crypto::Key key = TRY(record_key(keys, prefix.header, name));
  Bytes content(prefix.body_length - crypto::kTagBytes);
  if (!crypto::open(key, crypto::counter_nonce(kBodyNonce), {object.first(kLogPrefixBytes), as_bytes(context)},
                    object.subspan(body_at), content.mutable_view())) {
    return damaged(name, "its body does not open");
  }
  if (!(prefix.header.flags & ObjectHeader::kCompressed)) return content;
  Bytes body(prefix.raw_length);  // authentic by now
  if (auto expanded = expand(content.view(), body.mutable_view()); !expanded.ok())
    return damaged(name, expanded.error().message());
  return body;
}

}  // namespace holdfast::repo
