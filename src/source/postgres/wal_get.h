#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/filesystem.h"
#include "base/result.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

struct WalGetOptions {
  std::string name;               // %f
  std::string destination;        // %p
  std::string spool;              // "": <directory of the destination>/holdfast.spool
  size_t look_ahead = 8;          // segments that wal_look_ahead() fetches; 0: none
  size_t threads = 2;             // for that
  WalArchive::Identity identity;  // whose WAL is wanted
};

enum class WalGetOutcome {
  kFound,    // the destination holds the file
  kAbsent,   // proven: the archive has no such file, and its log has no hole there
  kTrouble,  // anything else: recovery must not go on as if the log ended here
};
struct WalGetReport {
  WalGetOutcome outcome = WalGetOutcome::kTrouble;
  std::optional<Error> error;  // with kTrouble
  bool from_spool = false;
};

// What restore_command wants: puts the file `name` at `destination`, whole or not
// at all. `open` gives the archive; it is not called when an earlier call has
// fetched the segment already, into the spool. A spooled file is used only when its
// own checksum, size, place, timeline and cluster are right; otherwise it is fetched
// again. The spool is removed when something is absent, which is how a recovery ends.
// The archive outlives the call.
WalGetReport wal_get(FileSystem& fs, const WalGetOptions& options, const std::function<Result<WalArchive*>()>& open);

// After a segment was found in the archive: fetches the next ones of its timeline into
// the spool, so that most calls need neither keys nor store. Whatever goes wrong here
// comes up again, and is told, when it is asked for.
void wal_look_ahead(FileSystem& fs, const WalGetOptions& options, WalArchive& archive);

}  // namespace holdfast::postgres
