#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "repo/key_set.h"
#include "repo/log_store.h"

namespace holdfast::repo {

// The bytes of a log record's object (docs/format.md, "Log records"):
//   object header (48) | sealed header length (4) | sealed body length (4) |
//   raw body length (4) | sealed header | sealed body
// All that is not sealed, and the record's stream and name, are associated data.

constexpr size_t kLogPrefixBytes = ObjectHeader::kBytes + 12;
constexpr size_t kMaxLogHeaderBytes = 1u << 20;
constexpr size_t kMaxLogBodyBytes = 1u << 30;  // PostgreSQL's largest WAL segment

struct LogPrefix {
  ObjectHeader header;
  uint32_t header_length = 0;  // sealed
  uint32_t body_length = 0;    // sealed
  uint32_t raw_length = 0;     // of the body
};
// Bounds-checked; `object` may be the beginning only.
Result<LogPrefix> parse_log_prefix(ByteView object, std::string_view name);

// What the seals are bound to: "<stream>/<name>".
std::string log_context(std::string_view stream, std::string_view name);

Result<Bytes> encode_log_record(const KeySet& keys, Random& random, std::string_view context, ByteView header,
                                ByteView body, int compression_level);
// `object` is the whole object; `name` is for messages.
Result<Bytes> decode_log_header(const KeySet& keys, ByteView object, std::string_view context, std::string_view name);
Result<Bytes> decode_log_body(const KeySet& keys, ByteView object, std::string_view context, std::string_view name);

// Where a record lives, and where its re-sealed copy lives while it replaces it.
std::string log_object_name(std::string_view stream, std::string_view name);
std::string log_moving_name(std::string_view stream, std::string_view name);
constexpr std::string_view kLogMovingPrefix = "log-moving/";

}  // namespace holdfast::repo
