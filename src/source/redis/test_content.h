#pragma once

#include <string>

#include "source/redis/pipeline.h"

namespace holdfast::redis {

// Sends commands of tests and lets none fail.
class Filler {
 public:
  explicit Filler(ServerSession& session) : pipeline_(session) {}
  Result<void> operator()(const std::vector<std::string_view>& words) {
    return pipeline_.send(words, [name = std::string(words[0])](Reply& reply) -> Result<void> {
      if (reply.is_error()) return make_error(ErrorCode::kServer, "{}: {}", name, reply.text);
      return {};
    });
  }
  Result<void> finish() { return pipeline_.drain(); }

 private:
  Pipeline pipeline_;
};

inline const std::string kBinaryKey("\0\xff\r\n key \x80", 11);
inline const std::string kFarAway = "4102444800123";  // milliseconds: the year 2100

// A value of every type and encoding, in several databases, keys that expire, a library.
inline Result<void> fill_with_everything(ServerSession& session) {
  Filler fill(session);
  TRY(fill({"SELECT", "0"}));
  TRY(fill({"SET", "int", "-12345"}));
  TRY(fill({"SET", "embstr", "short"}));
  TRY(fill({"SET", "raw", std::string(100, 'r') + "end"}));
  TRY(fill({"SET", "lzf", std::string(5000, 'z')}));
  TRY(fill({"SET", "empty", ""}));
  TRY(fill({"SET", kBinaryKey, kBinaryKey}));
  TRY(fill({"SET", "12345", "a key of digits"}));
  TRY(fill({"SET", std::string(3000, 'k'), "a long key"}));
  TRY(fill({"SETBIT", "bitmap", "100000", "1"}));
  TRY(fill({"PFADD", "hyperloglog", "a", "b", "c"}));
  TRY(fill({"RPUSH", "list-small", "a", "2", "c"}));
  TRY(fill({"SADD", "intset", "1", "2", "70000", "5000000000"}));
  TRY(fill({"SADD", "set-small", "one"}));
  TRY(fill({"ZADD", "zset-small", "1.5", "a", "inf", "b", "-inf", "c"}));
  TRY(fill({"HSET", "hash-small", "f", "1", "g", "2"}));
  TRY(fill({"GEOADD", "geo", "13.361389", "38.115556", "Palermo"}));
  TRY(fill({"XADD", "stream", "1-1", "f", "v"}));
  TRY(fill({"XADD", "stream", "2-1", "f", "w", "g", "x"}));
  TRY(fill({"XADD", "stream", "3-1", "f", "y"}));
  TRY(fill({"XDEL", "stream", "2-1"}));
  TRY(fill({"XGROUP", "CREATE", "stream", "group", "0"}));
  TRY(fill({"XGROUP", "CREATECONSUMER", "stream", "group", "idle"}));
  TRY(fill({"XREADGROUP", "GROUP", "group", "worker", "COUNT", "1", "STREAMS", "stream", ">"}));
  // Delivered at one instant, whichever server does it and when.
  TRY(fill({"XCLAIM", "stream", "group", "worker", "0", "1-1", "TIME", "1700000000000", "RETRYCOUNT", "1"}));
  TRY(fill({"XADD", "stream-empty", "MAXLEN", "0", "1-1", "f", "v"}));
  TRY(fill({"SELECT", "7"}));
  for (int i = 0; i < 1000; i++) {
    const std::string number = std::to_string(i), text = "member " + number;
    TRY(fill({"RPUSH", "list-large", text}));
    TRY(fill({"SADD", "set-large", text}));
    TRY(fill({"ZADD", "zset-large", number + ".25", text}));
    TRY(fill({"HSET", "hash-large", text, number}));
    TRY(fill({"XADD", "stream-large", number + "-7", "field", text}));
  }
  TRY(fill({"RPUSH", "list-plain", std::string(20000, 'p'), "q"}));
  TRY(fill({"SELECT", "15"}));
  TRY(fill({"SET", "expires", "later", "PXAT", kFarAway}));
  TRY(fill({"HSET", "hash-expires", "f", "v"}));
  TRY(fill({"PEXPIREAT", "hash-expires", kFarAway}));
  TRY(fill({"FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('answer', function() return 42 end)"}));
  return fill.finish();
}

}  // namespace holdfast::redis
