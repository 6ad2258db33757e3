#include "source/redis/connection.h"

#include <gtest/gtest.h>

#include "source/redis/crc64.h"
#include "source/redis/rdb_stream.h"
#include "source/redis/replication.h"

namespace holdfast::redis {
namespace {

std::string text_of(std::string_view address) {
  const auto parsed = parse_connection(address);
  return parsed.ok() ? parsed->text() + " " + parsed->user : parsed.error().message();
}

TEST(Address, TakesTheFormsThatAreUsual) {
  EXPECT_EQ(text_of("redis://127.0.0.1:6380"), "redis://127.0.0.1:6380 ");
  EXPECT_EQ(text_of("redis://backup@cache.example.org/"), "redis://cache.example.org:6379 backup");
  EXPECT_EQ(text_of("rediss://cache.example.org"), "rediss://cache.example.org:6379 ");
  EXPECT_EQ(text_of("localhost:7000"), "redis://localhost:7000 ");
  EXPECT_EQ(text_of("redis://[::1]:7000"), "redis://[::1]:7000 ");
  EXPECT_EQ(text_of("redis://[fe80::1]"), "redis://[fe80::1]:6379 ");
  EXPECT_EQ(text_of("unix:///run/redis/redis.sock"), "unix:///run/redis/redis.sock ");
  EXPECT_EQ(text_of("unix:/run/redis.sock"), "unix:///run/redis.sock ");
}

TEST(Address, RefusesTheRestWithoutRepeatingAPassword) {
  EXPECT_EQ(text_of("redis://u:geheim@host"), "the address of the Redis server holds a password");
  EXPECT_EQ(text_of("redis://:geheim@host"), "the address of the Redis server holds a password");
  const std::string begin = "the address of the Redis server can't be understood: ";
  EXPECT_EQ(text_of("redis://host:0"), begin + "'0' is no port");
  EXPECT_EQ(text_of("redis://host:66000"), begin + "'66000' is no port");
  EXPECT_EQ(text_of("redis://"), begin + "there is no host's name or address in it");
  EXPECT_EQ(text_of("redis://host/3"), begin + "all databases are protected together, so it names none");
  EXPECT_EQ(text_of("unix:run.sock"), begin + "a socket's path must be absolute");
  EXPECT_EQ(text_of("http://host"), begin + "all databases are protected together, so it names none");
}

TEST(Info, TellsValuesAndDatabases) {
  const std::string info =
      "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\nmaster_replid:" +
      std::string(40, '1') +
      "\r\nmaster_repl_offset:77\r\n# "
      "Keyspace\r\ndb0:keys=5,expires=2,avg_ttl=0\r\ndb12:keys=1,expires=0,avg_ttl=0\r\n";
  const auto facts = parse_info(info);
  ASSERT_TRUE(facts.ok());
  EXPECT_EQ(facts->version, "7.0.15");
  EXPECT_EQ(facts->offset, 77u);
  ASSERT_EQ(facts->databases.size(), 2u);
  EXPECT_EQ(facts->databases[1].number, 12);
  EXPECT_EQ(facts->databases[0].expires, 2u);
  EXPECT_EQ(parse_info("redis_version:5.0.1\r\nmaster_replid:" + std::string(40, '1')).error().code(),
            ErrorCode::kUnsupported);
}

// Whoever lacks the right to a command is not helped by a password.
TEST(ServerError, TellsTheLoginFromRights) {
  for (const char* text : {"NOAUTH Authentication required.", "WRONGPASS invalid username-password pair",
                           "ERR invalid password", "ERR Client sent AUTH, but no password is set"}) {
    const Error refused = server_error("AUTH", text).with_context("loading 'cache'");
    EXPECT_EQ(refused.code(), ErrorCode::kPermission);
    EXPECT_TRUE(is_refused_login(refused)) << text;
  }
  const Error rights = server_error("RESTORE", "NOPERM this user has no permissions to run the 'restore' command");
  EXPECT_EQ(rights.code(), ErrorCode::kPermission);
  EXPECT_FALSE(is_refused_login(rights));
  EXPECT_FALSE(is_refused_login(server_error("PING", "ERR unknown command")));
}

TEST(Crc64, IsThatOfRedis) {
  EXPECT_EQ(crc64(0, as_bytes("123456789")), 0xe9c6d914c4b8d9caULL);
  const std::string text = "This is a test of the emergency broadcast system, in pieces of every size.";
  for (size_t cut = 0; cut <= text.size(); cut++) {
    const uint64_t first = crc64(0, as_bytes(text.substr(0, cut)));
    EXPECT_EQ(crc64(first, as_bytes(text.substr(cut))), crc64(0, as_bytes(text)));
  }
}

Bytes rdb(bool with_checksum) {
  Bytes bytes = Bytes::copy_of(as_bytes("REDIS0010 whatever stands between them \xff"));
  const uint64_t crc = with_checksum ? crc64(0, bytes) : 0;
  for (int i = 0; i < 8; i++) {
    const uint8_t byte = static_cast<uint8_t>(crc >> (8 * i));
    bytes.append(ByteView(&byte, 1));
  }
  return bytes;
}

Result<RdbCheck> check(ByteView bytes, size_t piece_bytes) {
  RdbCheck made;
  for (size_t at = 0; at < bytes.size(); at += piece_bytes)
    TRY(made.feed(bytes.subspan(at, std::min(piece_bytes, bytes.size() - at))));
  TRY(made.finish());
  return made;
}

TEST(RdbCheck, AcceptsItInAnyPieces) {
  for (const size_t piece_bytes : {1, 3, 7, 8, 9, 11, 1000}) {
    const auto checked = check(rdb(true), piece_bytes);
    ASSERT_TRUE(checked.ok()) << piece_bytes << ": " << checked.error().text();
    EXPECT_EQ(checked->version(), 10);
    EXPECT_TRUE(checked->has_checksum());
    EXPECT_EQ(checked->size_bytes(), rdb(true).size());
  }
  EXPECT_FALSE(check(rdb(false), 5)->has_checksum());
}

TEST(RdbCheck, RefusesEveryChangeAndEveryTruncation) {
  const Bytes good = rdb(true);
  for (size_t i = 0; i < good.size(); i++) {
    Bytes bad = Bytes::copy_of(good);
    bad[i] ^= 1;
    EXPECT_FALSE(check(bad, 16).ok()) << i;
    EXPECT_FALSE(check(good.view(0, i), 16).ok()) << i;
  }
}

}  // namespace
}  // namespace holdfast::redis
