#include "engine/redactor.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

#include "base/percent.h"

namespace holdfast::engine {
namespace {

// Keys of payloads under which stands what came from outside.
constexpr std::array kOutsideWords = {"why", "note", "words", "failure", "how", "expected", "found", "lag"};

std::string base64(std::string_view text) {
  std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  out.resize(static_cast<size_t>(length));
  return out;
}

}  // namespace

Redactor::Redactor(const std::vector<NamedSecret>& secrets) {
  for (const NamedSecret& secret : secrets) {
    const std::string value(as_text(secret.value.reveal()));
    if (value.empty()) continue;
    const std::string replacement = fmt::format("[secret {}]", secret.name);
    const auto add = [&](std::string text) {
      const bool known =
          std::any_of(patterns_.begin(), patterns_.end(), [&](const Pattern& p) { return p.text == text; });
      if (!known) patterns_.push_back({std::move(text), replacement});
    };
    add(value);
    std::string encoded = base64(value);
    encoded.resize(encoded.find_last_not_of('=') + 1);
    add(encoded);
    add(percent_encoded(value));
  }
  for (const Pattern& pattern : patterns_) first_bytes_[static_cast<unsigned char>(pattern.text[0])] = true;
  std::sort(patterns_.begin(), patterns_.end(),
            [](const Pattern& a, const Pattern& b) { return a.text.size() > b.text.size(); });
}

std::string Redactor::consume(std::string_view text, bool final, size_t& used) const {
  std::string out;
  for (used = 0; used < text.size();) {
    const std::string_view rest = text.substr(used);
    if (!first_bytes_[static_cast<unsigned char>(rest[0])]) {
      out += rest[0];
      used++;
      continue;
    }
    const auto begins = [&](const Pattern& p) { return p.text.size() > rest.size() && p.text.starts_with(rest); };
    if (!final && std::any_of(patterns_.begin(), patterns_.end(), begins)) return out;
    const auto match =
        std::find_if(patterns_.begin(), patterns_.end(), [&](const Pattern& p) { return rest.starts_with(p.text); });
    out += match == patterns_.end() ? std::string(1, rest[0]) : match->replacement;
    used += match == patterns_.end() ? 1 : match->text.size();
  }
  return out;
}

std::string Redactor::redact(std::string_view text) const {
  size_t used = 0;
  return consume(text, true, used);
}

void Redactor::redact_words(Json& payload) const {
  if (patterns_.empty()) return;
  for (const char* key : kOutsideWords) {
    const auto found = payload.find(key);
    if (found != payload.end() && found->is_string()) *found = redact(found->get_ref<const std::string&>());
  }
}

std::string Redactor::feed(std::string_view text) {
  rest_ += text;
  size_t used = 0;
  std::string out = consume(rest_, false, used);
  rest_.erase(0, used);
  return out;
}

std::string Redactor::flush() {
  std::string out = redact(rest_);
  rest_.clear();
  return out;
}

}  // namespace holdfast::engine
