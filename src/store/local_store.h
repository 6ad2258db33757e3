#pragma once

#include <memory>
#include <string>

#include "base/filesystem.h"
#include "store/object_store.h"

namespace holdfast::store {

// Objects as files below a directory. create(): temporary in `tmp/`, fsync,
// exclusive rename, fsync of the directory. Opened read descriptors are kept
// (bounded). The file system must outlive the store.
// `must_exist`: kNotFound when the directory is absent (else it is made by the first create()).
Result<std::unique_ptr<ObjectStore>> open_local_store(FileSystem& fs, const std::string& directory, bool must_exist);

}  // namespace holdfast::store
