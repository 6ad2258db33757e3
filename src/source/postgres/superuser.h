#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/filesystem.h"
#include "base/result.h"

namespace holdfast::postgres {

// A role that may log in to the cluster of this data directory and do everything there: the
// one that initdb made when that may, whatever its name, else another superuser. Read from the
// pages of pg_authid, since a server is not asked for its roles without one; for a directory
// that no server works on. kNotFound when there is none, kInvalidData when the files are
// not what they should be.
Result<std::string> login_superuser(FileSystem& fs, const std::string& data_directory);

// Its two parts: the number of pg_authid's file, from the content of global/pg_filenode.map
// (kInvalidData when it has none), and the role, from the pages of that file ("" when there is none).
Result<uint32_t> authid_file(ByteView map);
std::string login_superuser_in(ByteView pages);

}  // namespace holdfast::postgres
