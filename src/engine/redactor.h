#pragma once

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "engine/event.h"

namespace holdfast::engine {

struct NamedSecret {
  std::string name;
  Secret value;
};

// Cuts the values of secrets out of text: each occurrence, also as base64 (with and
// without padding) or percent-encoded, becomes "[secret NAME]". Not thread-safe.
class Redactor {
 public:
  Redactor() = default;
  explicit Redactor(const std::vector<NamedSecret>& secrets);

  bool empty() const { return patterns_.empty(); }
  std::string redact(std::string_view text) const;
  // In an event's payload: what people and programs said. All else is holdfast's own,
  // and the fold reads it back as it was written.
  void redact_words(Json& payload) const;

  // For a stream: what can be written now. The end of `text` is held back while it
  // may be the beginning of a secret; flush() gives it at the end.
  std::string feed(std::string_view text);
  std::string flush();

 private:
  struct Pattern {
    std::string text, replacement;
  };
  // Redacts from the front; stops where a secret may just be beginning, unless
  // nothing will follow. `used` is how far it came.
  std::string consume(std::string_view text, bool final, size_t& used) const;

  std::vector<Pattern> patterns_;        // longest first: a secret may contain another
  std::array<bool, 256> first_bytes_{};  // of all patterns
  std::string rest_;
};

}  // namespace holdfast::engine
