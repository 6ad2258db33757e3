#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "engine/redactor.h"

namespace holdfast::engine {

// What a step says, without secrets, up to a limit; what is beyond, and what a full
// disk refuses, is counted and dropped: a step never fails because nobody listens.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  void redact(Redactor redactor) { redactor_ = std::move(redactor); }
  void write(std::string_view text);
  // Also what was held back as the possible beginning of a secret.
  void flush();
  uint64_t written_bytes() const { return written_bytes_; }
  uint64_t dropped_bytes() const { return dropped_bytes_; }

 private:
  explicit OutputFile(int fd) : fd_(fd) {}
  void put(std::string_view text);

  int fd_ = -1;
  Redactor redactor_;
  uint64_t written_bytes_ = 0, dropped_bytes_ = 0;
};

}  // namespace holdfast::engine
