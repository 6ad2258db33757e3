#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast {

// A passphrase, token or key. Can't be formatted, logged or compared by mistake,
// is wiped when it goes, and leaves only by reveal(), which is easy to grep.
class Secret {
 public:
  Secret() = default;
  explicit Secret(Bytes bytes) : bytes_(std::move(bytes)) {}
  static Secret from_text(std::string_view text) { return Secret(Bytes::copy_of(as_bytes(text))); }
  Secret(Secret&&) noexcept = default;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  ByteView reveal() const { return bytes_.view(); }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  Secret clone() const { return Secret(Bytes::copy_of(bytes_.view())); }

 private:
  Bytes bytes_;
};

// Resolves "env:NAME", "file:PATH" (one trailing newline is dropped) or
// "exec:COMMAND" (run by /bin/sh, its standard output; 30 s). A bare value is
// refused with a hint: secrets do not stand in configuration or argv. Errors are
// kConfig, whatever the cause, and name the reference, never the value.
Result<Secret> resolve_secret(std::string_view reference);

// Whether it is one of those three, and no bare value.
bool is_secret_reference(std::string_view text);
// The same reference, meaning the same wherever it is resolved: a file's path that is relative
// is taken from `directory`, or from the working directory where that is "". Commands stay as they are.
std::string anchored_reference(const std::string& reference, const std::string& directory);

}  // namespace holdfast
