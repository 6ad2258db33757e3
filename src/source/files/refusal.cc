#include "source/files/refusal.h"

#include <algorithm>
#include <cerrno>

namespace holdfast::files {
namespace {

// Of those that are plain kIo. Whatever is not among them may be true of all entries.
constexpr int kOfOneEntry[] = {EBUSY,  EINVAL,  EISDIR,    ELOOP, EMLINK,     ENAMETOOLONG, EFBIG,   EILSEQ,
                               ENODEV, ENOTDIR, ENOTEMPTY, ENXIO, EOPNOTSUPP, EOVERFLOW,    ETXTBSY, EXDEV};

bool concerns_one_entry(const Error& error) {
  if (error.code() == ErrorCode::kNotFound) return true;
  if (error.code() == ErrorCode::kPermission) return !error.says(EROFS);
  if (error.code() != ErrorCode::kIo) return false;
  return std::any_of(std::begin(kOfOneEntry), std::end(kOfOneEntry), [&](int value) { return error.says(value); });
}

}  // namespace

Error of_entry(Error error) {
  return concerns_one_entry(error) ? std::move(error).with_code(ErrorCode::kRefused) : std::move(error);
}

Result<void> of_entry(Result<void> outcome) {
  if (outcome.ok()) return outcome;
  return of_entry(std::move(outcome).error());
}

}  // namespace holdfast::files
