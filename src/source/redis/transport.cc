#include "source/redis/transport.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace holdfast::redis {

namespace {

constexpr Duration kStopInterval = Duration::milliseconds(100);  // how often a wait looks at the stop flag

Duration now() { return system_clock().monotonic(); }

Error ended(std::string_view why) {
  return make_error(ErrorCode::kUnavailable, "the connection to the Redis server ended: {}", why).with_retryable();
}

Error unreachable(const Connection& connection, std::string_view why) {
  return make_error(ErrorCode::kUnavailable, "can't connect to the Redis server at {}: {}", connection.text(), why)
      .with_retryable();
}

// An open socket, non-blocking. Closed when it goes.
class Socket {
 public:
  Socket(int descriptor, const std::atomic<bool>* stop) : descriptor_(descriptor), stop_(stop) {}
  ~Socket() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)), stop_(other.stop_) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int descriptor() const { return descriptor_; }

  // What of `events` is possible; 0 when `wait` passed.
  Result<short> wait_for(short events, Duration wait) const {
    const Duration until = now() + wait;
    while (true) {
      if (stop_ != nullptr && stop_->load(std::memory_order_relaxed))
        return make_error(ErrorCode::kInterrupted, "stopped while waiting for the Redis server");
      const Duration left = until - now();
      const Duration slice = std::clamp(left, Duration{}, kStopInterval);
      pollfd entry{descriptor_, events, 0};
      const int count = poll(&entry, 1, static_cast<int>((slice.ns + 999'999) / 1'000'000));
      if (count < 0 && errno != EINTR) return Error::from_errno(errno, "waiting for the Redis server");
      if (count > 0) return entry.revents;
      if (left <= Duration{}) return short{0};
    }
  }

 private:
  int descriptor_;
  const std::atomic<bool>* stop_;
};

// ---- connecting

struct AddressList {
  explicit AddressList(addrinfo* list) : first(list) {}
  ~AddressList() {
    if (first != nullptr) freeaddrinfo(first);
  }
  AddressList(const AddressList&) = delete;
  addrinfo* first;
};

Result<Socket> connect_to(const sockaddr* address, socklen_t length, int family, const Connection& connection,
                          const SessionOptions& options) {
  Socket socket(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), options.stop);
  if (socket.descriptor() < 0) return Error::from_errno(errno, "making a socket");
  if (connect(socket.descriptor(), address, length) != 0 && errno != EINPROGRESS)
    return unreachable(connection, strerror(errno));
  if (TRY(socket.wait_for(POLLOUT, options.connect_deadline)) == 0)
    return unreachable(connection, fmt::format("no answer within {}", format_duration(options.connect_deadline)));
  int problem = 0;
  socklen_t size = sizeof problem;
  getsockopt(socket.descriptor(), SOL_SOCKET, SO_ERROR, &problem, &size);
  if (problem != 0) return unreachable(connection, strerror(problem));
  return socket;
}

Result<Socket> connect_unix(const Connection& connection, const SessionOptions& options) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (connection.socket.size() >= sizeof address.sun_path)
    return make_error(ErrorCode::kConfig, "the path of the socket {} is longer than {} bytes", connection.socket,
                      sizeof address.sun_path - 1);
  std::memcpy(address.sun_path, connection.socket.data(), connection.socket.size());
  return connect_to(reinterpret_cast<const sockaddr*>(&address), sizeof address, AF_UNIX, connection, options);
}

// Dead peers are noticed although we may wait for long.
void keep_alive(const Socket& socket) {
  const std::pair<std::pair<int, int>, int> settings[] = {{{SOL_SOCKET, SO_KEEPALIVE}, 1},
                                                          {{IPPROTO_TCP, TCP_KEEPIDLE}, 30},
                                                          {{IPPROTO_TCP, TCP_KEEPINTVL}, 10},
                                                          {{IPPROTO_TCP, TCP_KEEPCNT}, 3},
                                                          {{IPPROTO_TCP, TCP_NODELAY}, 1}};
  for (const auto& [name, value] : settings)
    setsockopt(socket.descriptor(), name.first, name.second, &value, sizeof value);
}

Result<Socket> connect_tcp(const Connection& connection, const SessionOptions& options) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int problem = getaddrinfo(connection.host.c_str(), std::to_string(connection.port).c_str(), &hints, &list);
  const AddressList addresses(list);
  if (problem != 0) return unreachable(connection, gai_strerror(problem));
  std::optional<Error> failure;
  for (const addrinfo* address = addresses.first; address != nullptr; address = address->ai_next) {
    auto socket = connect_to(address->ai_addr, address->ai_addrlen, address->ai_family, connection, options);
    if (socket.ok()) {
      keep_alive(*socket);
      return socket;
    }
    failure = std::move(socket).error();
    if (failure->code() == ErrorCode::kInterrupted) break;
  }
  return failure ? std::move(*failure) : unreachable(connection, "the name has no address");
}

class PlainTransport final : public Transport {
 public:
  explicit PlainTransport(Socket socket) : socket_(std::move(socket)) {}

  Result<size_t> read(MutableByteView out, Duration wait) override {
    if (TRY(socket_.wait_for(POLLIN, wait)) == 0) return size_t{0};
    const ssize_t got = recv(socket_.descriptor(), out.data(), out.size(), 0);
    if (got > 0) return static_cast<size_t>(got);
    if (got == 0) return ended("the server closed it");
    if (errno == EAGAIN || errno == EINTR) return size_t{0};
    return ended(strerror(errno));
  }

  Result<size_t> write(ByteView bytes, Duration wait) override {
    const short ready = TRY(socket_.wait_for(POLLOUT | POLLIN, wait));
    if ((ready & POLLOUT) == 0) return size_t{0};
    const ssize_t sent = send(socket_.descriptor(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<size_t>(sent);
    if (errno == EAGAIN || errno == EINTR) return size_t{0};
    return ended(strerror(errno));
  }

 private:
  Socket socket_;
};

// ---- TLS

// What TLS reads from and writes to: OpenSSL's own would raise SIGPIPE where the server has
// closed the connection. The socket is the transport's.
int socket_of(BIO* bio) { return *static_cast<const int*>(BIO_get_data(bio)); }

int finish_io(BIO* bio, ssize_t moved, int again) {
  BIO_clear_retry_flags(bio);
  if (moved < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_flags(bio, again | BIO_FLAGS_SHOULD_RETRY);
  return static_cast<int>(moved);
}

int send_quietly(BIO* bio, const char* bytes, int length) {
  const ssize_t sent = send(socket_of(bio), bytes, static_cast<size_t>(length), MSG_NOSIGNAL);
  return finish_io(bio, sent, BIO_FLAGS_WRITE);
}

int receive(BIO* bio, char* out, int length) {
  return finish_io(bio, recv(socket_of(bio), out, static_cast<size_t>(length), 0), BIO_FLAGS_READ);
}

long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO_METHOD* quiet_socket() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket without SIGPIPE");
    if (made == nullptr) return made;
    BIO_meth_set_write(made, send_quietly);
    BIO_meth_set_read(made, receive);
    BIO_meth_set_ctrl(made, control);
    return made;
  }();
  return method;
}

std::string tls_problem() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "TLS failed";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS failed";
}

struct TlsFree {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

class TlsTransport final : public Transport {
 public:
  explicit TlsTransport(Socket socket) : socket_(std::move(socket)), descriptor_(socket_.descriptor()) {}
  ~TlsTransport() override {
    if (established_) SSL_shutdown(ssl_.get());
  }

  Result<void> begin(const Connection& connection, Duration deadline);

  Result<size_t> read(MutableByteView out, Duration wait) override {
    const Duration until = now() + wait;
    while (true) {
      const int got = take(out);
      if (got > 0) return static_cast<size_t>(got) + take_more(out.subspan(static_cast<size_t>(got)));
      const short events = TRY(needs(got));
      if (TRY(socket_.wait_for(events, until - now())) == 0) return size_t{0};
    }
  }

  Result<size_t> write(ByteView bytes, Duration wait) override {
    const int sent = SSL_write(ssl_.get(), bytes.data(), static_cast<int>(std::min<size_t>(bytes.size(), 1u << 20)));
    if (sent > 0) return static_cast<size_t>(sent);
    const short events = TRY(needs(sent));
    TRY(socket_.wait_for(static_cast<short>(events | POLLIN), wait));
    return size_t{0};
  }

 private:
  int take(MutableByteView out) {
    return SSL_read(ssl_.get(), out.data(), static_cast<int>(std::min<size_t>(out.size(), 1u << 30)));
  }
  // SSL_read gives one record at most: what has come of others. An end comes again with the next read.
  size_t take_more(MutableByteView out) {
    size_t taken = 0;
    while (taken < out.size()) {
      const int got = take(out.subspan(taken));
      if (got > 0) taken += static_cast<size_t>(got);
      if (got <= 0) {
        (void)needs(got);
        break;
      }
    }
    return taken;
  }
  // What an unfinished call waits for.
  Result<short> needs(int outcome) {
    const int problem = SSL_get_error(ssl_.get(), outcome);
    if (problem == SSL_ERROR_WANT_READ) return short{POLLIN};
    if (problem == SSL_ERROR_WANT_WRITE) return short{POLLOUT};
    established_ = false;  // nothing may be sent any more, not even that it ends
    if (problem == SSL_ERROR_ZERO_RETURN) return ended("the server closed it");
    if (problem == SSL_ERROR_SYSCALL) return ended(errno != 0 ? strerror(errno) : "the server closed it");
    return ended(tls_problem());
  }
  Result<void> load_files(const Connection& connection);
  Result<void> name_server(const Connection& connection);
  Result<void> attach();

  Socket socket_;
  int descriptor_;  // of it, for the BIO
  std::unique_ptr<SSL_CTX, TlsFree> context_;
  std::unique_ptr<SSL, TlsFree> ssl_;
  bool established_ = false;
};

Result<void> TlsTransport::load_files(const Connection& connection) {
  const auto bad = [](const std::string& path, const char* what) {
    return make_error(ErrorCode::kConfig, "{} can't be used as {}: {}", path, what, tls_problem());
  };
  SSL_CTX* const context = context_.get();
  if (connection.tls_ca.empty()) {
    SSL_CTX_set_default_verify_paths(context);
  } else if (SSL_CTX_load_verify_locations(context, connection.tls_ca.c_str(), nullptr) != 1) {
    return bad(connection.tls_ca, "'tls.ca'");
  }
  if (!connection.tls_cert.empty() && SSL_CTX_use_certificate_chain_file(context, connection.tls_cert.c_str()) != 1)
    return bad(connection.tls_cert, "'tls.cert'");
  if (!connection.tls_key.empty() &&
      SSL_CTX_use_PrivateKey_file(context, connection.tls_key.c_str(), SSL_FILETYPE_PEM) != 1)
    return bad(connection.tls_key, "'tls.key'");
  return {};
}

// Whose certificate the server must show.
Result<void> TlsTransport::name_server(const Connection& connection) {
  if (!connection.socket.empty()) return {};
  X509_VERIFY_PARAM* const wanted = SSL_get0_param(ssl_.get());
  if (X509_VERIFY_PARAM_set1_ip_asc(wanted, connection.host.c_str()) == 1) return {};
  ERR_clear_error();
  if (SSL_set1_host(ssl_.get(), connection.host.c_str()) != 1 ||
      SSL_set_tlsext_host_name(ssl_.get(), connection.host.c_str()) != 1)
    return make_error(ErrorCode::kConfig, "'{}' is no name that a certificate could be of", connection.host);
  return {};
}

Result<void> TlsTransport::attach() {
  BIO* const bio = quiet_socket() != nullptr ? BIO_new(quiet_socket()) : nullptr;
  if (bio == nullptr) return make_error(ErrorCode::kNoSpace, "no memory for a TLS connection");
  BIO_set_data(bio, &descriptor_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  return {};
}

Result<void> TlsTransport::begin(const Connection& connection, Duration deadline) {
  context_.reset(SSL_CTX_new(TLS_client_method()));
  if (!context_) return make_error(ErrorCode::kNoSpace, "no memory for a TLS connection");
  SSL_CTX_set_min_proto_version(context_.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, nullptr);
  TRY(load_files(connection));
  ssl_.reset(SSL_new(context_.get()));
  if (!ssl_) return make_error(ErrorCode::kNoSpace, "no memory for a TLS connection");
  TRY(name_server(connection));
  TRY(attach());
  const Duration until = now() + deadline;
  while (true) {
    const int outcome = SSL_connect(ssl_.get());
    if (outcome == 1) break;
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (verdict != X509_V_OK) {
      ERR_clear_error();
      return make_error(ErrorCode::kPermission, "the certificate of the Redis server at {} is not trusted: {}",
                        connection.text(), X509_verify_cert_error_string(verdict))
          .with_hint("name the authority that signed it in 'tls: {ca: FILE}', and the server as it stands in it");
    }
    auto events = needs(outcome);
    if (!events.ok()) return unreachable(connection, events.error().message());
    if (TRY(socket_.wait_for(*events, until - now())) == 0)
      return unreachable(connection, fmt::format("no answer within {}", format_duration(deadline)));
  }
  established_ = true;
  return {};
}

}  // namespace

Result<std::unique_ptr<Transport>> Transport::connect(const Connection& connection, const SessionOptions& options) {
  Socket socket = TRY(connection.socket.empty() ? connect_tcp(connection, options) : connect_unix(connection, options));
  if (!connection.tls) return std::unique_ptr<Transport>(std::make_unique<PlainTransport>(std::move(socket)));
  auto transport = std::make_unique<TlsTransport>(std::move(socket));
  TRY(transport->begin(connection, options.connect_deadline));
  return std::unique_ptr<Transport>(std::move(transport));
}

}  // namespace holdfast::redis
