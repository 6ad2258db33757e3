#include "source/postgres/control_file.h"

#include <gtest/gtest.h>

#include "source/postgres/test_cluster.h"

namespace holdfast::postgres {
namespace {

TEST(ControlFile, AgreesWithTheServersOwnProgramAndSeesEveryFlippedByte) {
  SKIP_WITHOUT_SERVER();
  TestCluster::Options options;
  options.initdb = {"--wal-segsize=4"};
  auto made = TestCluster::create(options);
  ASSERT_OK(made);
  TestCluster& cluster = *made.value();
  auto read = read_control_file(real_file_system(), system_clock(), cluster.data());
  ASSERT_OK(read);
  const ControlFile& control = read.value().fields;
  EXPECT_EQ(std::to_string(control.system_id),
            cluster.sql("select system_identifier from pg_control_system()").value());
  EXPECT_EQ(std::to_string(control.control_version),
            cluster.sql("select pg_control_version from pg_control_system()").value());
  EXPECT_EQ(std::to_string(control.catalog_version),
            cluster.sql("select catalog_version_no from pg_control_system()").value());
  EXPECT_EQ(control.checkpoint.text(), cluster.sql("select checkpoint_lsn from pg_control_checkpoint()").value());
  EXPECT_EQ(control.redo.text(), cluster.sql("select redo_lsn from pg_control_checkpoint()").value());
  EXPECT_EQ(std::to_string(control.timeline), cluster.sql("select timeline_id from pg_control_checkpoint()").value());
  EXPECT_EQ(std::to_string(control.page_bytes),
            cluster.sql("select database_block_size from pg_control_init()").value());
  EXPECT_EQ(std::to_string(control.relation_segment_pages),
            cluster.sql("select blocks_per_segment from pg_control_init()").value());
  EXPECT_EQ(control.segment_bytes, 4u << 20);
  EXPECT_EQ(control.checksum_version, 1u);
  EXPECT_FALSE(control.in_recovery());

  Bytes bytes = Bytes::copy_of(read.value().bytes);
  for (size_t i = 0; i < control.crc_offset + 4; i++) {
    bytes[i] ^= 0x01;
    auto parsed = parse_control_file(bytes);
    ASSERT_FALSE(parsed.ok()) << "byte " << i;
    EXPECT_EQ(parsed.error().code(), ErrorCode::kInvalidData);
    EXPECT_EQ(parsed.error().message(), "pg_control fails its CRC: it is torn or damaged");
    bytes[i] ^= 0x01;
  }
  for (size_t length = 0; length < bytes.size(); length += 64) {
    auto parsed = parse_control_file(bytes.view(0, length));
    if (length < control.crc_offset + 4) {
      EXPECT_FALSE(parsed.ok()) << length;
    }
  }
}

}  // namespace
}  // namespace holdfast::postgres
