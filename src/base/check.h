#pragma once

namespace holdfast {

// Ends the process after saying which of our own assumptions was broken. Stays
// on in release builds. Never used on input: bad input is an Error.
[[noreturn]] void check_failed(const char* condition, const char* file, int line, const char* message);

}  // namespace holdfast

#define CHECK_MSG(condition, message) \
  ((condition) ? (void)0 : ::holdfast::check_failed(#condition, __FILE__, __LINE__, message))
#define CHECK(condition) CHECK_MSG(condition, "")
