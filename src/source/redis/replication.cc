#include "source/redis/replication.h"

#include <algorithm>
#include <charconv>

namespace holdfast::redis {

namespace {

// A server that prepares an RDB sends an empty line now and then.
constexpr Duration kPatience = Duration::seconds(60);

uint64_t number_of(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// "db3:keys=12,expires=1,avg_ttl=0"
std::optional<DatabaseSize> parse_database(std::string_view line) {
  const size_t keys = line.find(":keys="), expires = line.find(",expires=");
  if (!line.starts_with("db") || keys == std::string_view::npos || expires == std::string_view::npos)
    return std::nullopt;
  return DatabaseSize{static_cast<int64_t>(number_of(line.substr(2))), number_of(line.substr(keys + 6)),
                      number_of(line.substr(expires + 9))};
}

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words(1);
  for (const char c : line) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

Result<SyncAnswer> parse_answer(const std::string& line, const std::optional<Position>& from) {
  const std::vector<std::string> words = words_of(line);
  SyncAnswer answer;
  if (words[0] == "+FULLRESYNC" && words.size() == 3 && is_replid(words[1])) {
    answer.full = true;
    answer.position = {words[1], number_of(words[2])};
    return answer;
  }
  if (words[0] == "+CONTINUE" && from && (words.size() == 1 || is_replid(words[1]))) {
    answer.position = {words.size() == 1 ? from->replid : words[1], from->offset};
    return answer;
  }
  if (line.starts_with("-")) return server_error("PSYNC", line.substr(1));
  return make_error(ErrorCode::kInvalidData, "the Redis server answers PSYNC with what is no answer: '{}'",
                    line.substr(0, 80));
}

}  // namespace

std::vector<DatabaseSize> parse_keyspace(std::string_view info) {
  std::vector<DatabaseSize> databases;
  for (size_t at = info.find("\ndb"); at != std::string_view::npos; at = info.find("\ndb", at + 1)) {
    if (const auto size = parse_database(info.substr(at + 1))) databases.push_back(*size);
  }
  return databases;
}

Result<ServerFacts> parse_info(std::string_view info) {
  ServerFacts facts;
  facts.version = info_value(info, "redis_version");
  facts.run_id = info_value(info, "run_id");
  facts.replid = info_value(info, "master_replid");
  facts.offset = number_of(info_value(info, "master_repl_offset"));
  // The offset is that of the first byte that it would not continue; -1 where there is none.
  const std::string left_replid = info_value(info, "master_replid2");
  const uint64_t left_behind = number_of(info_value(info, "second_repl_offset"));
  if (is_replid(left_replid) && left_behind > 0) {
    facts.left_replid = left_replid;
    facts.left_at = left_behind - 1;
  }
  facts.databases = parse_keyspace(info);
  if (facts.version.empty() || !is_replid(facts.replid))
    return make_error(ErrorCode::kUnsupported, "the server does not say what a Redis server says of itself");
  if (number_of(facts.version) < 6)
    return make_error(ErrorCode::kUnsupported, "the server is Redis {}", facts.version)
        .with_hint("holdfast protects Redis 6 and 7");
  return facts;
}

Result<std::unique_ptr<ReplicationSession>> ReplicationSession::connect(const Connection& connection,
                                                                        const std::atomic<bool>* stop) {
  SessionOptions options;
  options.stop = stop;
  auto session = TRY(ServerSession::connect(connection, options));
  std::unique_ptr<ReplicationSession> made(new ReplicationSession(std::move(session)));
  const Reply info = TRY(made->session_->command({"INFO"}));
  made->facts_ = TRY_CONTEXT(parse_info(info.text), "at {}", connection.text());
  // Who logs in as a user of its own is one; a right to ask for others is wanted of nobody.
  made->facts_.has_users = !connection.user.empty() && connection.user != "default";
  if (!made->facts_.has_users) made->facts_.has_users = TRY(made->session_->ask({"ACL", "USERS"})).elements.size() > 1;
  made->place_ = connection.text();
  return made;
}

Result<SyncAnswer> ReplicationSession::sync(const std::optional<Position>& from, bool rdb_only, Clock& clock) {
  TRY(session_->command({"REPLCONF", "capa", "eof", "capa", "psync2"}));
  // A server that does not know it answers with an error, and then keeps the commands, too.
  if (rdb_only) TRY(session_->ask({"REPLCONF", "rdb-only", "1"}));
  const Time before = clock.now();
  const Reply saving = TRY(session_->command({"INFO", "persistence"}));
  const Time asked = clock.now();
  const std::string offset = from ? std::to_string(from->offset + 1) : "-1";
  const std::string replid = from ? from->replid : "?";
  TRY(session_->write(encode_command({"PSYNC", replid, offset})));
  const std::string line = TRY(session_->read_line(kPatience));
  SyncAnswer answer = TRY(parse_answer(line, from));
  answer.time = answer.latest = clock.now();
  // The RDB of a BGSAVE that was under way: it stands for the instant at which that began. The
  // server gives the difference of two clock readings without their fractions.
  const bool is_older =
      answer.full && answer.position.replid == facts_.replid && answer.position.offset < facts_.offset;
  if (is_older && info_value(saving.text, "rdb_bgsave_in_progress") == "1") {
    const auto seconds = static_cast<int64_t>(number_of(info_value(saving.text, "rdb_current_bgsave_time_sec")));
    answer.time = before - Duration::seconds(seconds + 1);
    answer.latest = asked - Duration::seconds(std::max<int64_t>(seconds - 1, 0));
  }
  return answer;
}

Result<void> ReplicationSession::acknowledge(uint64_t offset) {
  return session_->write(encode_command({"REPLCONF", "ACK", std::to_string(offset)}));
}

}  // namespace holdfast::redis
