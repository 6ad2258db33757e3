#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "source/postgres/wal_archive.h"
#include "source/postgres/wal_reader.h"

namespace holdfast::postgres {

// Proves from its first page that the content of a segment, or (`whole` false) of its
// beginning, is what its name says, of this cluster: else kMismatch.
Result<void> check_segment(const WalArchive::Identity& identity, const std::string& name, ByteView content, bool whole);

// kMismatch that says so: the records of a segment do not hold together.
Error faulty(const std::string& segment, const WalFault& fault);

}  // namespace holdfast::postgres
