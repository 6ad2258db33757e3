// backup_label and tablespace_map, which come from a server or a repository.

#include "source/postgres/backup_label.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto label = postgres::parse_backup_label(text);
  if (label.ok()) {
    CHECK(label.value().timeline != 0);
    CHECK(postgres::is_segment_name(label.value().start_segment));
  }
  ignore(postgres::parse_tablespace_map(text), "must not crash");
  return 0;
}
