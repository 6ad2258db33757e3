#include "recovery/discover.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <sstream>

#include "base/accounts.h"

namespace holdfast::recovery {

namespace {

struct Place {
  std::string host, port;
  bool operator==(const Place&) const = default;
};

bool all_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

class Discoverer {
 public:
  Discoverer(FileSystem& fs, const EnvironmentLookup& environment) : fs_(fs), environment_(environment) {}

  Discovery run() {
    from_variables("DB_HOST", "DB_PORT");
    from_variables("PGHOST", "PGPORT");
    for (const char* directory : {"/run/postgresql", "/var/run/postgresql", "/tmp"}) from_sockets(directory);
    from_processes();
    for (const Place& place : places_) ask(place);
    return std::move(found_);
  }

 private:
  std::string value(const char* name) const {
    const char* text = environment_(name);
    return text == nullptr ? "" : text;
  }

  void add(const Place& place) {
    if (std::find(places_.begin(), places_.end(), place) == places_.end()) places_.push_back(place);
  }

  void from_variables(const char* host, const char* port) {
    if (value(host).empty() && value(port).empty()) return;
    add({value(host).empty() ? "localhost" : value(host), value(port).empty() ? "5432" : value(port)});
  }

  void from_sockets(const std::string& directory) {
    const auto entries = fs_.list(directory);
    if (!entries.ok()) return;
    std::vector<std::string> ports;
    for (const DirectoryEntry& entry : *entries) {
      constexpr std::string_view kPrefix = ".s.PGSQL.";
      if (!entry.name.starts_with(kPrefix)) continue;
      const std::string port = entry.name.substr(kPrefix.size());
      if (all_digits(port)) ports.push_back(port);
    }
    std::sort(ports.begin(), ports.end());
    for (const std::string& port : ports) add({directory, port});
  }

  // A postmaster's working directory is its data directory, and postmaster.pid
  // there tells port (4th line) and socket directory (5th).
  void from_processes() {
    const auto processes = fs_.list("/proc");
    if (!processes.ok()) return;
    for (const DirectoryEntry& process : *processes) {
      if (!all_digits(process.name)) continue;
      const auto program = fs_.read_link("/proc/" + process.name + "/exe");
      if (!program.ok() || base_name(*program) != "postgres") continue;
      const auto directory = fs_.read_link("/proc/" + process.name + "/cwd");
      if (!directory.ok()) continue;
      const auto pid_file = read_file(fs_, join_path(*directory, "postmaster.pid"), 64 << 10);
      if (!pid_file.ok()) continue;
      std::istringstream lines{std::string(as_text(pid_file->view()))};
      std::vector<std::string> fields;
      for (std::string line; std::getline(lines, line);) fields.push_back(line);
      if (fields.size() < 5 || fields[0] != process.name || !all_digits(fields[3])) continue;
      add({fields[4].empty() ? "localhost" : fields[4], fields[3]});
    }
  }

  void ask(const Place& place) {
    const bool from_seeds = !value("DB_HOST").empty() || !value("DB_PORT").empty();
    std::vector<std::string> users;
    for (const std::string& user : {from_seeds ? value("DB_USER") : std::string(), value("PGUSER"),
                                    std::string("postgres"), account_name(::geteuid())}) {
      if (!user.empty() && std::find(users.begin(), users.end(), user) == users.end()) users.push_back(user);
    }
    std::string database = from_seeds ? value("DB_NAME") : "";
    if (database.empty()) database = "postgres";
    std::string first_refusal;
    for (const std::string& user : users) {
      FoundServer server;
      server.connection = fmt::format("host={} port={} user={} dbname={}", place.host, place.port, user, database);
      postgres::Connection connection{server.connection, {}, {}};
      if (from_seeds && !value("DB_PASSWORD").empty()) {
        connection.password = Secret::from_text(value("DB_PASSWORD"));
        server.password = "env:DB_PASSWORD";
      }
      auto identity = postgres::identify_server(connection);
      if (identity.ok()) {
        server.identity = std::move(*identity);
        if (seen_.insert(server.identity.system_id).second) found_.servers.push_back(std::move(server));
        return;
      }
      if (first_refusal.empty()) first_refusal = fmt::format("{}: {}", server.connection, identity.error().message());
    }
    found_.refused.push_back(first_refusal);
  }

  FileSystem& fs_;
  const EnvironmentLookup& environment_;
  std::vector<Place> places_;
  std::set<uint64_t> seen_;
  Discovery found_;
};

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

Discovery discover_servers(FileSystem& fs, const EnvironmentLookup& environment) {
  return Discoverer(fs, environment).run();
}

std::string write_stack(const NewStack& stack) {
  std::string out = fmt::format(
      "# Every key is explained in docs/configuration.md.\n"
      "stack: {}\n"
      "repository:\n"
      "  location: {}\n"
      "  passphrase: {}   # without it nothing can be restored: keep a copy elsewhere\n"
      "  compression: 3\n"
      "components:\n",
      stack.stack, quoted(stack.repository), quoted(stack.passphrase));
  size_t number = 0;
  for (const FoundServer& server : stack.servers) {
    out += fmt::format(
        "  # PostgreSQL {}, system identifier {}, data directory {}\n"
        "  - name: db{}\n"
        "    kind: postgres\n"
        "    rpo: 5m\n"
        "    rto: 1h\n"
        "    connection: {}\n",
        server.identity.major, server.identity.system_id, server.identity.data_directory,
        number == 0 ? "" : std::to_string(number + 1), quoted(server.connection));
    if (!server.password.empty()) out += fmt::format("    password: {}\n", quoted(server.password));
    number++;
  }
  for (size_t i = 0; i < stack.redis.size(); i++) {
    const FoundRedis& server = stack.redis[i];
    out += fmt::format(
        "  # Redis {}\n"
        "  - name: cache{}\n"
        "    kind: redis\n"
        "    rpo: 5m\n"
        "    rto: 1h\n"
        "    connection: {}\n",
        server.version, i == 0 ? "" : std::to_string(i + 1), quoted(server.connection));
    out += server.data_directory.empty()
               ? "    # data_directory: DIR   # where 'restore' puts it; the server does not say\n"
               : fmt::format("    data_directory: {}\n", quoted(server.data_directory));
    if (!server.password.empty()) out += fmt::format("    password: {}\n", quoted(server.password));
    if (server.password_missing) out += "    # password: file:PATH   # the one in REDIS_URL is not written here\n";
  }
  if (!stack.paths.empty()) {
    out += "  - name: files\n    kind: files\n    rpo: 24h\n    rto: 4h\n    paths:\n";
    for (const std::string& path : stack.paths) out += fmt::format("      - {}\n", quoted(path));
  }
  if (stack.servers.empty() && stack.redis.empty() && stack.paths.empty()) {
    out = out.substr(0, out.size() - std::string_view("components:\n").size());
    out +=
        "# components:\n"
        "#   - {name: db, kind: postgres, rpo: 5m, rto: 1h, connection: host=/run/postgresql port=5432 user=postgres "
        "dbname=postgres}\n"
        "#   - {name: cache, kind: redis, rpo: 5m, rto: 1h, connection: redis://127.0.0.1:6379}\n"
        "#   - {name: files, kind: files, rpo: 24h, rto: 4h, paths: [/srv/data]}\n";
  }
  out += "retention: {keep_last: 7, keep_daily: 14, keep_weekly: 8, keep_monthly: 12, keep_within: 2d}\n";
  return out;
}

}  // namespace holdfast::recovery
