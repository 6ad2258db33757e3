#include "source/restore_lock.h"

#include "base/encoding.h"
#include "crypto/digest.h"
#include "repo/checked_json.h"

namespace holdfast::source {

// By the digest: paths may be longer than the names of sockets.
Result<NameLock> lock_restore_place(const std::string& place) {
  auto lock = NameLock::take("holdfast-restore-" + to_hex(crypto::sha256(as_bytes(place))));
  if (!lock) return restore_place_is_locked(place);
  return std::move(*lock);
}

Error restore_place_is_locked(const std::string& place) {
  return make_error(ErrorCode::kLocked, "another restore is writing to '{}'", repo::printable_text(place))
      .with_hint("wait for it to end, or end it, and then go on with --delta");
}

}  // namespace holdfast::source
