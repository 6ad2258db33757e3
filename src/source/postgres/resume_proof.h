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
// `gone_before`. Not thread-safe.
class ResumeProof {
 public:
  // `resume`: where to go on, as plan_stream() says.
  static Result<ResumeProof> create(WalArchive& archive, const StreamStart& resume, Lsn gone_before);

  StreamStart start() const { return start_; }  // from where to ask for the stream
  bool done() const { return taken_ == stored_.size(); }
  // The next bytes of the stream. Returns those of them that lie behind what is compared.
  // kMismatch: the server's WAL is not what is stored.
  Result<ByteView> take(Lsn start, ByteView bytes);

 private:
  ResumeProof(WalArchive& archive, const StreamStart& start, Bytes stored)
      : archive_(&archive), start_(start), stored_(std::move(stored)) {}

  WalArchive* archive_;
  StreamStart start_;
  Bytes stored_;      // from start_ to where the stream goes on
  size_t taken_ = 0;  // of it, compared
};

// kMismatch that says so: the server's end lies before what is stored of its timeline, and
// it is no standby that is merely behind.
Error set_back(const WalArchive::Identity& identity, uint32_t timeline, Lsn server_end, Lsn stored_end);

}  // namespace holdfast::postgres
