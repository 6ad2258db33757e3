#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

// The registry of error codes. Each has a stable name (shown in --json and in
// logs), the exit status of a command that ends with it, and one line for the
// table in docs/exit-codes.md, which a test compares with this list.
//
// Exit statuses stay below 126: the shell and PostgreSQL give meaning to the
// rest. `wal get` has its own rule (see docs/postgres.md).
//
//        X(identifier, name, exit status, meaning)
#define HOLDFAST_ERROR_CODES(X)                                                                           \
  X(kInternal, "internal", 70, "a defect in holdfast itself")                                             \
  X(kUsage, "usage", 2, "the command line can't be understood")                                           \
  X(kConfig, "config", 3, "the configuration is missing or wrong")                                        \
  X(kNotFound, "not-found", 4, "the thing named does not exist")                                          \
  X(kAlreadyExists, "already-exists", 5, "the thing to be created exists")                                \
  X(kNoRepository, "no-repository", 10, "there is no repository at the location")                         \
  X(kWrongPassphrase, "wrong-passphrase", 11, "no key of the repository opens with the passphrase")       \
  X(kNewerFormat, "newer-format", 12, "the repository was written by a newer holdfast")                   \
  X(kDamaged, "damaged", 13, "stored data is damaged; explain names what it touches")                     \
  X(kLocked, "locked", 14, "another process holds what this one needs")                                   \
  X(kLeaseLost, "lease-lost", 15, "the writer's lease ended before it could commit")                      \
  X(kRefused, "refused", 16, "a safety rule forbids it without an explicit word")                         \
  X(kPermission, "permission", 17, "the operating system or server denies access")                        \
  X(kNoSpace, "no-space", 18, "not enough space")                                                         \
  X(kIo, "io", 19, "reading or writing failed")                                                           \
  X(kUnavailable, "unavailable", 20, "a server or store can't be reached")                                \
  X(kTimeout, "timeout", 21, "a deadline passed")                                                         \
  X(kTargetNotEmpty, "target-not-empty", 22, "the restore target holds data")                             \
  X(kTargetRunning, "target-running", 23, "a server runs on the restore target")                          \
  X(kUnreachableTarget, "unreachable-target", 24, "the instant asked for is outside the recovery window") \
  X(kMismatch, "mismatch", 25, "it belongs to another cluster or another version")                        \
  X(kVerifyFailed, "verify-failed", 26, "the data was read but is not right")                             \
  X(kIncomplete, "incomplete", 27, "done, but with the faults that are listed")                           \
  X(kSourceDamaged, "source-damaged", 28, "the point was taken, but the source has bad pages")            \
  X(kInvalidData, "invalid-data", 29, "bytes that are not what they should be")                           \
  X(kUnsupported, "unsupported", 30, "not supported here")                                                \
  X(kSubprocess, "subprocess", 31, "a program that holdfast ran has failed")                              \
  X(kServer, "server", 32, "a server refused a request")                                                  \
  X(kInterrupted, "interrupted", 33, "stopped by a signal")                                               \
  X(kFindings, "findings", 34, "a review found what has to be corrected")                                 \
  X(kNeedsPerson, "needs-person", 40, "a step waits for a person, and nobody is there")

enum class ErrorCode : uint8_t {
#define X(identifier, name, exit_status, meaning) identifier,
  HOLDFAST_ERROR_CODES(X)
#undef X
};

// Stable lower-case name, such as "wrong-passphrase".
std::string_view error_name(ErrorCode code);

// Exit status of a command that ends with this error; 0 is never returned.
int exit_status(ErrorCode code);

// One line that says what the code means.
std::string_view error_meaning(ErrorCode code);

}  // namespace holdfast
