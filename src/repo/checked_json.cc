#include "repo/checked_json.h"

#include "crypto/digest.h"

namespace holdfast::repo {
namespace {

constexpr size_t kDigestDigits = 64;

Error missing(const char* key, const char* type) {
  return make_error(ErrorCode::kInvalidData, "field \"{}\" is not there or no {}", key, type);
}

const nlohmann::json* find(const nlohmann::json& json, const char* key) {
  if (!json.is_object()) return nullptr;
  const auto found = json.find(key);
  return found == json.end() ? nullptr : &*found;
}

// Length of the UTF-8 sequence that `bytes` begins with; 0 when it is none.
size_t utf8_length(std::string_view bytes) {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint8_t lead = at(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || bytes.size() < length) return 0;
  for (size_t i = 1; i < length; i++) {
    if ((at(i) & 0xC0) != 0x80) return 0;
  }
  const uint8_t second = at(1);
  if (lead == 0xE0 && second < 0xA0) return 0;  // over-long
  if (lead == 0xED && second > 0x9F) return 0;  // surrogates
  if (lead == 0xF0 && second < 0x90) return 0;  // over-long
  if (lead == 0xF4 && second > 0x8F) return 0;  // beyond U+10FFFF
  return length;
}

}  // namespace

Bytes encode_checked_json(const nlohmann::json& json) {
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  Bytes bytes = Bytes::copy_of(as_bytes(to_hex(crypto::sha256(as_bytes(text))) + "\n"));
  bytes.append(text);
  return bytes;
}

Result<nlohmann::json> decode_checked_json(ByteView bytes, std::string_view name) {
  const std::string_view text = as_text(bytes);
  if (text.size() <= kDigestDigits || text[kDigestDigits] != '\n') {
    return make_error(ErrorCode::kDamaged, "object {} is cut short", name);
  }
  const std::string_view body = text.substr(kDigestDigits + 1);
  if (to_hex(crypto::sha256(as_bytes(body))) != text.substr(0, kDigestDigits)) {
    return make_error(ErrorCode::kDamaged, "object {} is damaged: its digest is not that of its content", name);
  }
  auto json = parse_json_object(body);
  if (!json.ok())
    return std::move(json).error().with_code(ErrorCode::kDamaged).with_context(fmt::format("object {}", name));
  return json;
}

Result<nlohmann::json> parse_json_object(std::string_view text) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object()) return make_error(ErrorCode::kInvalidData, "not a JSON object");
  return json;
}

Result<std::string> string_field(const nlohmann::json& json, const char* key) {
  const auto* field = find(json, key);
  if (!field || !field->is_string()) return missing(key, "string");
  return field->get<std::string>();
}

Result<uint64_t> unsigned_field(const nlohmann::json& json, const char* key) {
  const auto* field = find(json, key);
  if (!field || !field->is_number_unsigned()) return missing(key, "unsigned number");
  return field->get<uint64_t>();
}

Result<int64_t> signed_field(const nlohmann::json& json, const char* key) {
  const auto* field = find(json, key);
  if (!field || !field->is_number_integer()) return missing(key, "whole number");
  if (field->is_number_unsigned() && field->get<uint64_t>() > INT64_MAX) return missing(key, "number in range");
  return field->get<int64_t>();
}

Result<bool> bool_field(const nlohmann::json& json, const char* key) {
  const auto* field = find(json, key);
  if (!field || !field->is_boolean()) return missing(key, "true or false");
  return field->get<bool>();
}

Result<std::vector<std::string>> strings_field(const nlohmann::json& json, const char* key) {
  const auto* field = find(json, key);
  if (!field || !field->is_array()) return missing(key, "list");
  std::vector<std::string> strings;
  for (const auto& item : *field) {
    if (!item.is_string()) return missing(key, "list of strings");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

std::string printable_text(std::string_view bytes) {
  std::string text;
  while (!bytes.empty()) {
    size_t length = utf8_length(bytes);
    if (length == 0) {
      text += fmt::format("\\x{:02x}", static_cast<uint8_t>(bytes[0]));
      length = 1;
    } else {
      text += bytes.substr(0, length);
    }
    bytes.remove_prefix(length);
  }
  return text;
}

}  // namespace holdfast::repo
