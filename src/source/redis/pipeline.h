#pragma once

#include <deque>
#include <functional>
#include <string>

#include "source/redis/connection.h"

namespace holdfast::redis {

// Sends commands without waiting for each one's reply, at most so many and so many
// bytes ahead of it. Replies come in order; each is handed to what was given with its
// command. Not thread-safe; the session must outlive it.
class Pipeline {
 public:
  explicit Pipeline(ServerSession& session) : session_(session) {}
  using OnReply = std::function<Result<void>(Reply& reply)>;

  // A whole command.
  Result<void> send(const std::vector<std::string_view>& words, OnReply on_reply);
  // One in pieces: its bytes by write(), then end() with who wants the reply.
  Result<void> write(ByteView bytes);
  Result<void> end(OnReply on_reply);
  // Waits for all replies.
  Result<void> drain();

 private:
  struct Pending {
    uint64_t bytes = 0;
    OnReply on_reply;
  };
  Result<void> flush();
  Result<void> receive();

  ServerSession& session_;
  Bytes buffer_;        // not sent yet
  uint64_t bytes_ = 0;  // of the command that is being written
  uint64_t ahead_ = 0;  // bytes of the commands in pending_
  std::deque<Pending> pending_;
};

}  // namespace holdfast::redis
