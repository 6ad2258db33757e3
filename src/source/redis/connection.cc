#include "source/redis/connection.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <iterator>

#include "source/redis/transport.h"

namespace holdfast::redis {

namespace {

constexpr size_t kReadBytes = 64u << 10;
constexpr size_t kMaxUnreadBytes = 64u << 20;
constexpr size_t kMaxLineBytes = 64u << 10;
constexpr Duration kSlice = Duration::milliseconds(100);

Duration now() { return system_clock().monotonic(); }

Error bad_address(std::string_view why) {
  return make_error(ErrorCode::kConfig, "the address of the Redis server can't be understood: {}", why)
      .with_hint("write it like redis://127.0.0.1:6379, rediss://cache.example.org or unix:///run/redis/redis.sock");
}

Result<uint16_t> parse_port(std::string_view text) {
  uint16_t port = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size() || port == 0)
    return bad_address(fmt::format("'{}' is no port", text));
  return port;
}

// "HOST[:PORT]", "[V6][:PORT]".
Result<void> parse_host(std::string_view text, Connection& connection) {
  size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, colon);
  if (text.starts_with('[')) {
    const size_t bracket = text.find(']');
    if (bracket == std::string_view::npos) return bad_address("a '[' without its ']'");
    host = text.substr(1, bracket - 1);
    if (bracket + 1 < text.size() && text[bracket + 1] != ':') return bad_address("what stands behind ']' is no port");
    colon = bracket + 1 < text.size() ? bracket + 1 : std::string_view::npos;
  }
  if (colon != std::string_view::npos) connection.port = TRY(parse_port(text.substr(colon + 1)));
  const bool is_name = !host.empty() && std::all_of(host.begin(), host.end(), [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '-' || c == '_' || c == ':' || c == '%';
  });
  if (!is_name) return bad_address("there is no host's name or address in it");
  connection.host = host;
  return {};
}

// ---- replies

struct ReaderFree {
  void operator()(redisReader* reader) const { redisReaderFree(reader); }
};

Reply to_reply(const redisReply& from) {
  Reply reply;
  if (from.str != nullptr) reply.text.assign(from.str, from.len);
  reply.integer = from.integer;
  switch (from.type) {
    case REDIS_REPLY_STATUS: reply.kind = Reply::Kind::kStatus; break;
    case REDIS_REPLY_ERROR: reply.kind = Reply::Kind::kError; break;
    case REDIS_REPLY_INTEGER: reply.kind = Reply::Kind::kInteger; break;
    case REDIS_REPLY_STRING: reply.kind = Reply::Kind::kText; break;
    case REDIS_REPLY_ARRAY:
      reply.kind = Reply::Kind::kArray;
      for (size_t i = 0; i < from.elements; i++) reply.elements.push_back(to_reply(*from.element[i]));
      break;
    default: reply.kind = Reply::Kind::kNil;
  }
  return reply;
}

class Session final : public ServerSession {
 public:
  Session(std::unique_ptr<Transport> transport, const SessionOptions& options)
      : transport_(std::move(transport)), options_(options), reader_(redisReaderCreate()), buffer_(kReadBytes) {
    CHECK(reader_ != nullptr);
  }

  Result<void> log_in(const Connection& connection);

  Result<Reply> ask(const std::vector<std::string_view>& words) override {
    const Secret command(encode_command(words));  // wiped: it may be AUTH
    TRY(write(command.reveal()));
    return receive();
  }
  Result<void> write(ByteView bytes) override;
  Result<Reply> receive() override;
  Result<size_t> read_some(MutableByteView out, Duration wait) override;
  Result<std::string> read_line(Duration patience) override;
  void put_back(ByteView bytes) override;

 private:
  Result<size_t> fill(Duration wait);
  ByteView unread() const { return in_.view(taken_, in_.size() - taken_); }
  void take(size_t bytes) {
    taken_ += bytes;
    if (taken_ == in_.size()) {
      in_.clear();
      taken_ = 0;
    }
  }
  void leave_replies();

  std::unique_ptr<Transport> transport_;
  const SessionOptions options_;
  std::unique_ptr<redisReader, ReaderFree> reader_;
  Bytes buffer_;
  Bytes in_;  // came, but was not taken yet
  size_t taken_ = 0;
};

// Reads what has come into in_; 0: nothing within `wait`.
Result<size_t> Session::fill(Duration wait) {
  const size_t got = TRY(transport_->read(buffer_.mutable_view(), wait));
  in_.append(buffer_.view(0, got));
  return got;
}

Result<void> Session::write(ByteView bytes) {
  Duration until = now() + options_.deadline;
  while (!bytes.empty()) {
    const size_t sent = TRY(transport_->write(bytes, kSlice));
    bytes = bytes.subspan(sent);
    if (sent > 0) {
      until = now() + options_.deadline;
      continue;
    }
    // A server that waits for us to read would never read itself.
    TRY(fill(Duration{}));
    if (unread().size() > kMaxUnreadBytes)
      return make_error(ErrorCode::kServer, "the Redis server answers more than was asked");
    if (now() > until)
      return make_error(ErrorCode::kTimeout, "the Redis server took nothing for {}", format_duration(options_.deadline))
          .with_retryable();
  }
  return {};
}

Result<Reply> Session::receive() {
  const Duration until = now() + options_.deadline;
  while (true) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK)
      return make_error(ErrorCode::kInvalidData, "the Redis server's reply can't be understood: {}", reader_->errstr);
    if (raw != nullptr) {
      const std::unique_ptr<void, void (*)(void*)> owner(raw, freeReplyObject);
      return to_reply(*static_cast<const redisReply*>(raw));
    }
    if (unread().empty() && TRY(fill(kSlice)) == 0) {
      if (now() > until)
        return make_error(ErrorCode::kTimeout, "the Redis server did not answer within {}",
                          format_duration(options_.deadline))
            .with_retryable();
      continue;
    }
    const ByteView piece = unread().first(std::min(unread().size(), kReadBytes));
    if (redisReaderFeed(reader_.get(), reinterpret_cast<const char*>(piece.data()), piece.size()) != REDIS_OK)
      return make_error(ErrorCode::kInvalidData, "the Redis server's reply can't be understood: {}", reader_->errstr);
    take(piece.size());
  }
}

void Session::put_back(ByteView bytes) {
  Bytes all = Bytes::copy_of(bytes);
  all.append(unread());
  in_ = std::move(all);
  taken_ = 0;
}

// What was given to the parser of replies but is none comes back.
void Session::leave_replies() {
  if (reader_->len <= reader_->pos) return;
  put_back(as_bytes({reader_->buf + reader_->pos, reader_->len - reader_->pos}));
  reader_.reset(redisReaderCreate());
  CHECK(reader_ != nullptr);
}

Result<size_t> Session::read_some(MutableByteView out, Duration wait) {
  leave_replies();
  if (unread().empty()) return transport_->read(out, wait);
  const size_t size = std::min(out.size(), unread().size());
  std::copy_n(unread().begin(), size, out.begin());
  take(size);
  return size;
}

Result<std::string> Session::read_line(Duration patience) {
  leave_replies();
  std::string line;
  Duration until = now() + patience;
  while (true) {
    if (unread().empty()) {
      if (TRY(fill(kSlice)) > 0) {
        until = now() + patience;
      } else if (now() > until) {
        return make_error(ErrorCode::kTimeout, "the Redis server sent nothing for {}", format_duration(patience))
            .with_retryable();
      }
      continue;
    }
    const char c = static_cast<char>(unread()[0]);
    take(1);
    if (c != '\n' && c != '\r') line += c;
    if (c == '\n' && !line.empty()) return line;
    if (line.size() > kMaxLineBytes)
      return make_error(ErrorCode::kInvalidData, "the Redis server sent a line of more than {} bytes", kMaxLineBytes);
  }
}

Result<void> Session::log_in(const Connection& connection) {
  // A user that is named without a password is one that wants none: never the default one instead.
  if (!connection.password.empty() || !connection.user.empty()) {
    std::vector<std::string_view> words = {"AUTH"};
    if (!connection.user.empty()) words.push_back(connection.user);
    words.push_back(as_text(connection.password.reveal()));
    TRY_CONTEXT(command(words), "logging in to {}", connection.text());
  }
  TRY_CONTEXT(command({"PING"}), "at {}", connection.text());
  return {};
}

}  // namespace

std::string Connection::text() const {
  if (!socket.empty()) return "unix://" + socket;
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", tls ? "rediss" : "redis", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port);
}

Connection Connection::clone() const {
  return {host, port, socket, user, password.clone(), tls, tls_ca, tls_cert, tls_key};
}

Result<Connection> parse_connection(std::string_view address) {
  Connection connection;
  if (address.starts_with("unix:")) {
    std::string_view path = address.substr(5);
    if (path.starts_with("//")) path.remove_prefix(2);
    if (!path.starts_with('/')) return bad_address("a socket's path must be absolute");
    connection.socket = path;
    return connection;
  }
  std::string_view rest = address;
  for (const auto& [scheme, tls] : {std::pair<std::string_view, bool>{"redis://", false}, {"rediss://", true}}) {
    if (!address.starts_with(scheme)) continue;
    connection.tls = tls;
    rest.remove_prefix(scheme.size());
    break;
  }
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view user = rest.substr(0, at);
    if (user.find(':') != std::string_view::npos)
      return make_error(ErrorCode::kConfig, "the address of the Redis server holds a password")
          .with_hint("put it beside, as 'password: file:PATH' or 'password: env:NAME'");
    connection.user = user;
    rest.remove_prefix(at + 1);
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find('/') != std::string_view::npos || rest.find("//") != std::string_view::npos)
    return bad_address("all databases are protected together, so it names none");
  TRY(parse_host(rest, connection));
  return connection;
}

Result<Reply> ServerSession::command(const std::vector<std::string_view>& words) {
  Reply reply = TRY(ask(words));
  if (reply.is_error()) return server_error(words.front(), reply.text);
  return reply;
}

Result<std::unique_ptr<ServerSession>> ServerSession::connect(const Connection& connection,
                                                              const SessionOptions& options) {
  auto session = std::make_unique<Session>(TRY(Transport::connect(connection, options)), options);
  TRY(session->log_in(connection));
  return std::unique_ptr<ServerSession>(std::move(session));
}

std::string info_value(std::string_view info, std::string_view name) {
  while (!info.empty()) {
    const size_t end = info.find('\n');
    std::string_view line = info.substr(0, end);
    info.remove_prefix(end == std::string_view::npos ? info.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == ':')
      return std::string(line.substr(name.size() + 1));
  }
  return "";
}

namespace {

constexpr std::string_view kLoginRefusals[] = {"NOAUTH", "WRONGPASS", "ERR invalid password", "ERR Client sent AUTH",
                                               "ERR AUTH"};

}  // namespace

bool is_refused_login(const Error& error) {
  if (error.code() != ErrorCode::kPermission) return false;
  return std::any_of(std::begin(kLoginRefusals), std::end(kLoginRefusals), [&](std::string_view refusal) {
    return error.message().find(fmt::format(": {}", refusal)) != std::string::npos;
  });
}

Error server_error(std::string_view what, std::string_view text) {
  const auto begins = [&](const auto& words) {
    return std::any_of(std::begin(words), std::end(words),
                       [&](std::string_view word) { return text.starts_with(word); });
  };
  if (begins(kLoginRefusals) || text.starts_with("NOPERM")) {
    return make_error(ErrorCode::kPermission, "the Redis server refuses {}: {}", what, text)
        .with_hint(
            "see docs/redis.md for the rights that are needed: ACL SETUSER holdfast ... +psync +replconf +ping "
            "+info");
  }
  if (begins(std::array<std::string_view, 5>{"LOADING", "BUSY", "MASTERDOWN", "NOMASTERLINK", "TRYAGAIN"})) {
    return make_error(ErrorCode::kUnavailable, "the Redis server can't do {} now: {}", what, text)
        .with_retryable()
        .with_hint("try again when it has loaded its data and, as a replica, is connected to its master");
  }
  return make_error(ErrorCode::kServer, "the Redis server refuses {}: {}", what, text);
}

Bytes encode_command(const std::vector<std::string_view>& words) {
  size_t size_bytes = 16;
  for (const std::string_view word : words) size_bytes += word.size() + 32;
  Bytes out;
  out.reserve(size_bytes);  // no copy is left behind: one of the words may be a password
  out.append(fmt::format("*{}\r\n", words.size()));
  for (const std::string_view word : words) {
    out.append(fmt::format("${}\r\n", word.size()));
    out.append(word);
    out.append(std::string_view("\r\n"));
  }
  return out;
}

}  // namespace holdfast::redis
