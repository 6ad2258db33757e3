#include "source/redis/rdb_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "source/redis/lzf.h"
#include "source/redis/test_content.h"
#include "source/redis/test_restore_rig.h"

namespace holdfast::redis {
namespace {

using ::testing::HasSubstr;
using namespace std::string_literals;

// What was in a file, by "db/key".
class Collector : public RdbVisitor {
 public:
  struct Found {
    RdbKey key;
    std::string value;
    uint64_t bytes = 0;
  };
  Result<void> function_library(std::string_view code) override {
    libraries.emplace_back(code);
    return {};
  }
  Result<void> begin_key(const RdbKey& key) override {
    name = fmt::format("{}/{}", key.db, key.key);
    found[name].key = key;
    return {};
  }
  Result<void> value(ByteView bytes) override {
    found[name].value += as_text(bytes);
    return {};
  }
  Result<void> end_key(uint64_t bytes) override {
    found[name].bytes = bytes;
    return {};
  }
  std::string name;
  std::map<std::string, Found> found;
  std::vector<std::string> libraries;
};

Result<RdbSummary> read_text(std::string_view text, RdbVisitor& visitor) {
  MemorySource source(as_bytes(text));
  return read_rdb(source, visitor);
}

std::string problem_of(std::string_view text) {
  RdbVisitor nothing;
  const auto read = read_text(text, nothing);
  return read.ok() ? "none" : read.error().text();
}

// With a trailer that says nothing of the content.
std::string unchecked(const std::string& records) { return "REDIS0010" + records + "\xff" + std::string(8, '\0'); }

Bytes real_file(RestoreRig& rig) {
  auto server = rig.serve("real");
  EXPECT_TRUE(server.ok()) << server.error().text();
  auto session = server.value()->connect();
  EXPECT_TRUE(session.ok()) << session.error().text();
  auto filled = fill_with_everything(*session.value());
  EXPECT_TRUE(filled.ok()) << filled.error().text();
  EXPECT_TRUE(server.value()->save().ok());
  return read_file(rig.world.fs, rig.path("real/dump.rdb")).value();
}

// Covers: every type and encoding that a server writes; keys, databases, expiry; the
// extent of each value.
TEST(RdbReader, ReadsWhatAServerWrote) {
  RestoreRig rig;
  const Bytes file = real_file(rig);
  Collector collector;
  auto read = read_text(as_text(file), collector);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_EQ(read->version, 10);
  EXPECT_TRUE(read->checksummed);
  EXPECT_EQ(read->bytes, file.size());
  EXPECT_EQ(read->functions, 1u);
  EXPECT_EQ(read->expiring, 2u);
  EXPECT_EQ(read->keys_of, (std::map<uint32_t, uint64_t>{{0, 18}, {7, 6}, {15, 2}}));
  EXPECT_EQ(read->keys, 26u);
  EXPECT_THAT(read->redis_version, HasSubstr("7."));
  EXPECT_THAT(collector.libraries.at(0), HasSubstr("register_function"));
  EXPECT_TRUE(collector.found.contains("0/" + kBinaryKey));
  EXPECT_TRUE(collector.found.contains("0/12345"));
  EXPECT_EQ(collector.found["15/expires"].key.expires_ms, std::stoll(kFarAway));
  EXPECT_EQ(type_name(collector.found["7/stream-large"].key.type), "stream");
  EXPECT_EQ(collector.found["0/embstr"].value, "\x05short");
  for (const auto& [name, found] : collector.found) EXPECT_EQ(found.value.size(), found.bytes) << name;
}

// Covers: a file that ends anywhere is no file; the error is no other.
TEST(RdbReader, RefusesAFileCutAnywhere) {
  RestoreRig rig;
  const Bytes file = real_file(rig);
  RdbVisitor nothing;
  for (size_t length = 0; length < file.size(); length += 1 + length / 97) {
    MemorySource source(file.view(0, length));
    const auto read = read_rdb(source, nothing);
    ASSERT_FALSE(read.ok()) << length;
    ASSERT_EQ(read.error().code(), ErrorCode::kInvalidData) << length << ": " << read.error().text();
  }
}

// Covers: no flipped bit passes.
TEST(RdbReader, SeesEveryFlippedBit) {
  RestoreRig rig;
  Bytes file = real_file(rig);
  RdbVisitor nothing;
  auto random = seeded_random(7);
  for (int i = 0; i < 500; i++) {
    const uint64_t bit = random->below((file.size() - 8) * 8);
    file[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
    MemorySource source(file.view());
    EXPECT_FALSE(read_rdb(source, nothing).ok()) << "bit " << bit;
    file[bit / 8] ^= static_cast<uint8_t>(1 << (bit % 8));
  }
  MemorySource source(file.view());
  EXPECT_TRUE(read_rdb(source, nothing).ok());
}

TEST(RdbReader, NamesOffsetAndKeyOfDamage) {
  EXPECT_EQ(problem_of(unchecked("\xfe\x03"s + "\x01\x01k\x02\x01"s + "a"s)),
            "list 'k' of database 3: byte 17: 63 is no encoding of a string");
  EXPECT_EQ(problem_of(unchecked("\x12\x01k\x01\x07\x01"s + "a"s)),
            "list 'k' of database 0: byte 13: 7 is no container of a list");
  EXPECT_EQ(problem_of("REDIS0010\xf0"s), "byte 9: 240 is no opcode and no type of a value");
  EXPECT_EQ(problem_of(unchecked("") + "more"), "byte 18: bytes follow after its end");
  EXPECT_EQ(problem_of("RADIS0010"), "it is no RDB file: it does not begin with REDIS and a version");
  EXPECT_EQ(problem_of("REDIS0012"),
            "it is RDB version 12; versions 6 to 11 are read (those are what Redis 3.2 to 7.2 write)");
  EXPECT_THAT(problem_of("REDIS0010\xff" + std::string(7, '\0') + "\x01"),
              HasSubstr("its checksum is 0100000000000000, its content's is "));
  EXPECT_EQ(problem_of(unchecked("\x00\xc3\x02\x03\x00\xff"s)), "byte 10: its packed bytes (LZF) are damaged");
}

// Covers: what old servers wrote, and modules: by hand, as no server here writes them.
TEST(RdbReader, WalksWhatOtherVersionsWrite) {
  Collector collector;
  const std::string expiry("\xfd\x01\x00\x00\x00", 5), idle("\xf8\x09", 2), frequency("\xf9\x05", 2);
  const std::string zset(
      "\x03\x01z\x02\x01"
      "a\x03"
      "1.5\x01"
      "b\xff",
      13);
  const std::string module("\x07\x01m\x81\x00\x00\x00\x00\x00\x00\x04\x01\x02\x05\x03\x00\x00\x00\x00\x05\x01x\x00",
                           23);
  const std::string stream(
      "\x0f\x01s\x00\x00\x00\x00\x01\x01g\x00\x00\x01"
      "0123456789abcdef12345678\x01\x01\x01"
      "c12345678\x01"
      "0123456789abcdef",
      11 + 2 + 24 + 3 + 9 + 1 + 16);
  const auto read =
      read_text(unchecked(expiry + idle + zset + frequency + "\x0b\x01i\x03xyz" + module + stream), collector);
  ASSERT_TRUE(read.ok()) << read.error().text();
  EXPECT_FALSE(read->checksummed);
  EXPECT_EQ(read->keys, 4u);
  EXPECT_EQ(collector.found["0/z"].key.expires_ms, 1000);
  EXPECT_EQ(collector.found["0/z"].key.idle_seconds, 9u);
  EXPECT_FALSE(collector.found["0/i"].key.expires_ms.has_value());
  EXPECT_EQ(collector.found["0/i"].key.frequency, 5);
  EXPECT_EQ(read->modules.size(), 1u);
}

TEST(Lzf, UnpacksReferencesThatReachIntoThemselves) {
  EXPECT_EQ(unpack_lzf("\x00z\xe0\x05\x00"s, 15).value(), std::string(15, 'z'));
  EXPECT_FALSE(unpack_lzf("\x00z\xe0\x05\x00"s, 14).ok());
  EXPECT_FALSE(unpack_lzf("\x20\x05"s, 3).ok());
  EXPECT_FALSE(unpack_lzf("\x05z"s, 6).ok());
  EXPECT_FALSE(unpack_lzf("\xe0"s, 9).ok());
}

}  // namespace
}  // namespace holdfast::redis
