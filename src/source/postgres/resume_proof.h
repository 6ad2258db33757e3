#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "source/postgres/replication_session.h"
#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// Proves that a stream goes on from the very WAL that is stored. A server that was set back
// (a disk or a machine restored, a copied directory started) writes another history under
// the same names; once it has got past what is stored, a stream from there would look whole.
// So the stream begins earlier: at the beginning of the segment that is stored in part, or,
// when that was stored to its end, of the one before; and what comes must be what is stored.
//
// A segment that the server no longer has is not compared: the caller says so by
// `gone_before`. Nor is one that is stored damaged, which must not end the protection of what
// comes: it is passed over, the intact one before it is compared instead, and an event tells.
// Not thread-safe.
class ResumeProof {
 public:
  // `resume`: where to go on, as plan_stream() says. kDamaged: what is stored of its segment
  // before it can't be read.
  static Result<ResumeProof> create(WalArchive& archive, const StreamStart& resume, Lsn gone_before);

  StreamStart start() const { return start_; }  // from where to ask for the stream
  bool done() const { return taken_ == length_; }
  // The next bytes of the stream. Returns those of them that lie behind what is compared.
  // kMismatch: the server's WAL is not what is stored.
  Result<ByteView> take(Lsn start, ByteView bytes);

 private:
  ResumeProof(WalArchive& archive, const StreamStart& start, Bytes stored, Lsn end)
      : archive_(&archive), start_(start), stored_(std::move(stored)), length_(end.value - start.position.value) {}
  static Result<ResumeProof> by_segment_before(WalArchive& archive, const StreamStart& resume, Lsn gone_before);

  WalArchive* archive_;
  StreamStart start_;
  Bytes stored_;         // from start_ on
  uint64_t length_ = 0;  // from start_ to where the stream goes on; behind stored_ it is damaged
  uint64_t taken_ = 0;   // of that
};

// kMismatch that says so: the server's end lies before what is stored of its timeline, and
// it is no standby that is merely behind.
Error set_back(const WalArchive::Identity& identity, uint32_t timeline, Lsn server_end, Lsn stored_end);

}  // namespace holdfast::postgres
