#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace holdfast::cli {

// The passphrase that `reference` names or, when that is empty, what a person
// types twice without echo. kUsage when there is neither.
Result<Secret> new_passphrase(const std::string& reference);

// Makes a passphrase of 256 random bits and stores it in a file that only its
// owner reads; an existing file is never overwritten (kAlreadyExists).
Result<void> generate_passphrase_file(const std::string& path);

}  // namespace holdfast::cli
