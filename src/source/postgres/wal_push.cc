#include "source/postgres/wal_push.h"

#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

Result<void> wal_push(FileSystem& fs, WalArchive& archive, const std::string& path, const std::string& name) {
  const Bytes content = TRY(read_file(fs, path, kMaxSegmentBytes));
  return archive.push(name, content);
}

Result<SegmentIdentity> identify_segment(FileSystem& fs, const std::string& path) {
  const auto file = TRY(fs.open(path, {}));
  Bytes page(kWalLongHeaderBytes);
  const size_t size = TRY(file->read_at(0, page.mutable_view()));
  const WalPageHeader header = TRY_CONTEXT(parse_wal_segment_header(page.view(0, size)), "{}", path);
  return SegmentIdentity{header.system_id, header.segment_bytes, header.timeline, major_of_wal_magic(header.magic)};
}

}  // namespace holdfast::postgres
