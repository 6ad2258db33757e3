#include "source/postgres/segment_check.h"

#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

Error faulty(const std::string& segment, const WalFault& fault) {
  return make_error(ErrorCode::kMismatch, "WAL segment {} can't be read from {} on: {}", segment, fault.at.text(),
                    fault.problem)
      .with_hint(
          "it is not stored, and not acknowledged: what the server sends is damaged, or goes on from another history "
          "than the one that is stored (docs/postgres.md, \"A server that was set back\")");
}

Result<void> check_segment(const WalArchive::Identity& identity, const std::string& name, ByteView content,
                           bool whole) {
  if (whole && content.size() != identity.segment_bytes)
    return make_error(ErrorCode::kMismatch, "WAL segment {} has {} bytes, but this cluster's segments have {}", name,
                      content.size(), identity.segment_bytes);
  const SegmentAddress address = TRY(parse_segment_name(name.substr(0, 24), identity.segment_bytes));
  const WalPageHeader header = TRY_CONTEXT(parse_wal_segment_header(content), "WAL segment {}", name);
  if (header.system_id != identity.system_id)
    return make_error(ErrorCode::kMismatch, "WAL segment {} is of the cluster with system identifier {}, not {}", name,
                      header.system_id, identity.system_id)
        .with_hint("this is another cluster (or one made anew by initdb): give it its own component");
  if (header.segment_bytes != identity.segment_bytes)
    return make_error(ErrorCode::kMismatch, "WAL segment {} is of a cluster with segments of {} bytes, not {}", name,
                      header.segment_bytes, identity.segment_bytes);
  if (header.address != address.start)
    return make_error(ErrorCode::kMismatch, "WAL segment {} holds the log from {} on, but its name says {}", name,
                      header.address.text(), address.start.text());
  // The first pages of a timeline's first segment were copied from its ancestor.
  if (header.timeline == 0 || header.timeline > address.timeline)
    return make_error(ErrorCode::kMismatch, "WAL segment {} holds the log of timeline {}, but its name says {}", name,
                      header.timeline, address.timeline);
  return {};
}

}  // namespace holdfast::postgres
