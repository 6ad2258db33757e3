#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast::repo {

// Small plain objects (leases, tombstones, records of verification): one line with
// the SHA-256 of the rest in hex, then one line of JSON. docs/format.md, "Checked JSON".

Bytes encode_checked_json(const nlohmann::json& json);
// kDamaged names the object.
Result<nlohmann::json> decode_checked_json(ByteView bytes, std::string_view name);

// Parses any JSON object; kInvalidData (not an exception) for what is none.
Result<nlohmann::json> parse_json_object(std::string_view text);

// Fields of a JSON object: kInvalidData names what is missing or of another type.
Result<std::string> string_field(const nlohmann::json& json, const char* key);
Result<uint64_t> unsigned_field(const nlohmann::json& json, const char* key);
Result<int64_t> signed_field(const nlohmann::json& json, const char* key);
Result<bool> bool_field(const nlohmann::json& json, const char* key);
Result<std::vector<std::string>> strings_field(const nlohmann::json& json, const char* key);

// Text that JSON can hold: bytes that are not UTF-8 become "\xNN".
std::string printable_text(std::string_view bytes);

}  // namespace holdfast::repo
