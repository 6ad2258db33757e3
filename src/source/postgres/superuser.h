#pragma once

#include <string>

#include "base/filesystem.h"
#include "base/result.h"

namespace holdfast::postgres {

// A role that may log in to the cluster of this data directory and do everything there: the
// one that initdb made when that may, whatever its name, else another superuser. Read from the
// pages of pg_authid, since a server is not asked for its roles without one; for a directory
// that no server works on. kNotFound when there is none, kInvalidData when the files are
// not what they should be.
Result<std::string> login_superuser(FileSystem& fs, const std::string& data_directory);

}  // namespace holdfast::postgres
