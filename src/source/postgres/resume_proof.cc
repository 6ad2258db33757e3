#include "source/postgres/resume_proof.h"

#include <algorithm>

#include "base/log.h"
#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

namespace {

constexpr size_t kMostPassedOver = 4;  // damaged segments before the one that is compared

constexpr std::string_view kWayOut =
    "nothing of the new history is stored under this name, and nothing is lost of the old one. If the server is to "
    "go on as it is, give its component another name in holdfast.yaml and take a backup "
    "(docs/postgres.md, \"A server that was set back\")";

}  // namespace

Error set_back(const WalArchive::Identity& identity, uint32_t timeline, Lsn server_end, Lsn stored_end) {
  return make_error(ErrorCode::kMismatch,
                    "component {}: the server's WAL ends at {} on timeline {}, but it is stored up to {}: the server "
                    "was set back, and what it writes now is another history",
                    identity.component, server_end.text(), timeline, stored_end.text())
      .with_hint(std::string(kWayOut));
}

Result<ResumeProof> ResumeProof::create(WalArchive& archive, const StreamStart& resume, Lsn gone_before) {
  const uint64_t segment_bytes = archive.identity().segment_bytes;
  const StreamStart start{resume.timeline, segment_start(resume.position, segment_bytes)};
  if (start.position == resume.position) return by_segment_before(archive, resume, gone_before);
  return ResumeProof(archive, start, TRY(archive.stored_before(resume.timeline, resume.position)), resume.position);
}

Result<ResumeProof> ResumeProof::by_segment_before(WalArchive& archive, const StreamStart& resume, Lsn gone_before) {
  const uint64_t segment_bytes = archive.identity().segment_bytes;
  StreamStart start = resume;
  for (size_t damaged = 0; damaged < kMostPassedOver; damaged++) {
    if (start.position.value < 2 * segment_bytes || start.position <= gone_before) break;
    start.position.value -= segment_bytes;
    const std::string name = segment_name(start.timeline, start.position, segment_bytes);
    auto stored = archive.fetch_whole(name);
    if (stored.ok() && *stored) return ResumeProof(archive, start, std::move(**stored), resume.position);
    if (stored.ok()) break;
    if (stored.error().code() != ErrorCode::kDamaged) return std::move(stored).error();
    log_error("postgres.receive.not_compared",
              {{"segment", name},
               {"problem", stored.error().text()},
               {"advice", "WAL behind it is stored, but restores across it fail: take a backup now"}});
  }
  return ResumeProof(archive, resume, {}, resume.position);
}

Result<ByteView> ResumeProof::take(Lsn start, ByteView bytes) {
  const Lsn due{start_.position.value + taken_};
  if (start != due)
    return make_error(ErrorCode::kInvalidData, "the server sent WAL from {} where {} is due", start.text(), due.text());
  const auto count = static_cast<size_t>(std::min<uint64_t>(bytes.size(), length_ - taken_));
  const size_t compared = std::min<size_t>(count, stored_.size() - std::min<uint64_t>(taken_, stored_.size()));
  const ByteView expected = compared > 0 ? stored_.view(taken_, compared) : ByteView();
  const auto differs = std::mismatch(expected.begin(), expected.end(), bytes.begin()).first;
  if (differs != expected.end()) {
    const Lsn at{due.value + static_cast<uint64_t>(differs - expected.begin())};
    return make_error(ErrorCode::kMismatch,
                      "component {}: from {} on the server's WAL of timeline {} is not what is stored up to {}: the "
                      "server was set back, or another one goes by its name",
                      archive_->identity().component, at.text(), start_.timeline,
                      Lsn{start_.position.value + stored_.size()}.text())
        .with_hint(std::string(kWayOut));
  }
  taken_ += count;
  return bytes.subspan(count);
}

}  // namespace holdfast::postgres
