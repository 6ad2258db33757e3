#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "store/object_store.h"

namespace holdfast::repo {

// The object `config`: what is known of a repository without a passphrase.
struct Config {
  std::string repository_id;  // 32 hexadecimal digits
  Time created;
};

Bytes encode_config(const Config& config);
// kDamaged when its checksum is wrong, kNewerFormat for a later version. `name`
// is the object's.
Result<Config> decode_config(ByteView object, const std::string& name);

// Reads it, or its copy when it is damaged or gone. kNoRepository when there is neither,
// kDamaged when what else is there shows that there was one.
Result<Config> read_config(store::ObjectStore& store);

// For a location without a config: that it was lost (kDamaged), when there is what only
// a repository holds.
Result<std::optional<Error>> lost_config(store::ObjectStore& store);

}  // namespace holdfast::repo
