#include "recovery/discover_redis.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "base/percent.h"
#include "source/redis/replication.h"

namespace holdfast::recovery {

namespace {

constexpr const char* kPasswordVariable = "REDIS_PASSWORD";

std::string variable(const EnvironmentLookup& environment, const char* name) {
  const char* text = environment(name);
  return text == nullptr ? "" : text;
}

// What programs put into REDIS_URL: redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?...],
// unix://PATH.
struct Url {
  std::string address;  // without password and database
  Secret password;
};

// An account ends at the last '@': what is no code in a password may be any other sign.
Url parted(std::string_view url) {
  const bool is_socket = url.starts_with("unix:");
  const size_t scheme = url.find("://");
  const size_t begin = scheme != std::string_view::npos ? scheme + 3 : is_socket ? 5 : 0;
  const size_t at = url.rfind('@');
  const bool is_path = is_socket && url.substr(begin).starts_with('/');
  const bool has_user = at != std::string_view::npos && at >= begin && !is_path;
  std::string_view place = url.substr(has_user ? at + 1 : begin);
  place = place.substr(0, place.find('?'));
  if (!is_socket) place = place.substr(0, place.find('/'));
  Url parts;
  parts.address = url.substr(0, begin);
  if (has_user) {
    const std::string_view account = url.substr(begin, at - begin);
    const size_t colon = std::min(account.find(':'), account.size());
    if (colon > 0 && !is_socket) parts.address += percent_decoded(account.substr(0, colon)) + "@";
    if (colon < account.size()) parts.password = Secret::from_text(percent_decoded(account.substr(colon + 1)));
  }
  parts.address += place;
  return parts;
}

// A server that answered.
struct Answer {
  FoundRedis server;
  std::string run_id;
};

class RedisDiscoverer {
 public:
  RedisDiscoverer(FileSystem& fs, const EnvironmentLookup& environment) : fs_(fs), environment_(environment) {}

  RedisDiscovery run(const std::vector<std::string>& socket_directories) {
    if (const std::string url = variable(environment_, "REDIS_URL"); !url.empty()) {
      const Url parts = parted(url);
      ask(parts.address, parts.password, true);
    }
    ask("redis://127.0.0.1:6379", Secret(), false);
    for (const std::string& directory : socket_directories) from_sockets(directory);
    return std::move(found_);
  }

  Result<Answer> answer(const std::string& address, const Secret& from_url) const {
    redis::Connection connection = TRY(redis::parse_connection(address));
    Answer answer;
    answer.server.connection = address;
    const std::string password = variable(environment_, kPasswordVariable);
    if (!password.empty()) {
      connection.password = Secret::from_text(password);
      answer.server.password = std::string("env:") + kPasswordVariable;
    } else if (!from_url.empty()) {
      connection.password = from_url.clone();
      answer.server.password_missing = true;
    }
    auto session = redis::ReplicationSession::connect(connection, nullptr);
    // A server without a password refuses any: then it wants none.
    const bool is_refused = !session.ok() && session.error().code() != ErrorCode::kUnavailable;
    if (is_refused && connection.user.empty() && !connection.password.empty()) {
      connection.password = Secret();
      auto open = redis::ReplicationSession::connect(connection, nullptr);
      if (open.ok()) {
        answer.server.password.clear();
        answer.server.password_missing = false;
        session = std::move(open);
      }
    }
    const auto asked = TRY(std::move(session));
    answer.server.version = asked->facts().version;
    answer.run_id = asked->facts().run_id;
    answer.server.data_directory = data_directory_of(asked->session());
    return answer;
  }

 private:
  // Restores go there. An account may not be let ask, and the server may be elsewhere.
  std::string data_directory_of(redis::ServerSession& session) const {
    const auto reply = session.command({"CONFIG", "GET", "dir"});
    if (!reply.ok() || reply->elements.size() != 2) return "";
    const std::string& directory = reply->elements[1].text;
    const auto status = fs_.stat(directory);
    return status.ok() && S_ISDIR(status->st_mode) ? directory : "";
  }

  // What can't be understood may hold a password.
  static std::string shown(const std::string& address) {
    const auto connection = redis::parse_connection(address);
    return connection.ok() ? connection->text() : "REDIS_URL";
  }

  void from_sockets(const std::string& directory) {
    const auto entries = fs_.list(directory);
    if (!entries.ok()) return;
    std::vector<std::string> paths;
    for (const DirectoryEntry& entry : *entries) {
      const std::string path = join_path(directory, entry.name);
      const auto status = fs_.stat(path);
      if (status.ok() && S_ISSOCK(status->st_mode)) paths.push_back(path);
    }
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) ask("unix://" + path, Secret(), true);
  }

  // `is_there`: something says that a server is.
  void ask(const std::string& address, const Secret& from_url, bool is_there) {
    auto got = answer(address, from_url);
    if (got.ok()) {
      if (seen_.insert(got->run_id).second) found_.servers.push_back(std::move(got->server));
      return;
    }
    const bool is_absent = got.error().code() == ErrorCode::kUnavailable;
    if (is_there || !is_absent) found_.refused.push_back(fmt::format("{}: {}", shown(address), got.error().message()));
  }

  FileSystem& fs_;
  const EnvironmentLookup& environment_;
  std::set<std::string> seen_;
  RedisDiscovery found_;
};

}  // namespace

std::vector<std::string> usual_redis_sockets() { return {"/run/redis", "/var/run/redis"}; }

RedisDiscovery discover_redis(FileSystem& fs, const EnvironmentLookup& environment,
                              const std::vector<std::string>& socket_directories) {
  return RedisDiscoverer(fs, environment).run(socket_directories);
}

Result<FoundRedis> ask_redis(const std::string& address, const EnvironmentLookup& environment) {
  const std::string place = TRY(redis::parse_connection(address)).text();
  auto answer = TRY_CONTEXT(RedisDiscoverer(real_file_system(), environment).answer(address, Secret()), "{}", place);
  return std::move(answer.server);
}

}  // namespace holdfast::recovery
