#include <algorithm>
#include <cctype>
#include <cstring>

#include "base/subprocess.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/passphrase.h"
#include "cli/present.h"
#include "cli/program.h"
#include "cli/terminal.h"
#include "recovery/discover.h"
#include "recovery/log_state.h"
#include "recovery/settings.h"

namespace holdfast::cli {

namespace {

struct InitOptions {
  std::string stack;
  std::vector<std::string> connections, redis, paths;
  bool no_discover = false;
};

// Whether a shell takes it as it is.
bool is_plain(const std::string& word) {
  return std::all_of(word.begin(), word.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || std::strchr("/._-+:@%=,", c) != nullptr;
  });
}

const char* environment(const char* name) { return std::getenv(name); }

// The steps of init, and what to take back when one fails.
class Initialiser {
 public:
  Initialiser(Context& context, const InitOptions& options)
      : context_(context), options_(options), fs_(real_file_system()) {}

  Result<void> run() {
    TRY(choose_file());
    if (TRY(exists(fs_, file_))) {
      TRY(refuse_descriptions());
      stack_ = TRY(context_.stack());
      context_.say("using the configuration {}", file_);
      note_repository();
    } else {
      TRY(describe_stack());
    }
    auto made = create();
    if (!made.ok()) {
      take_back_passphrase();
      return made;
    }
    tell();
    return {};
  }

 private:
  Result<void> choose_file() {
    const auto& overrides = context_.options().overrides;
    const char* named = environment("HOLDFAST_CONFIG");
    file_ = overrides.config ? *overrides.config : named != nullptr && *named != '\0' ? named : "holdfast.yaml";
    file_ = absolute_path(file_);
    if (TRY(exists(fs_, parent_path(file_)))) return {};
    return make_error(ErrorCode::kNotFound, "there is no directory {} for the configuration", parent_path(file_))
        .with_hint("make it first, or give another place with --config");
  }

  // Commands without --repository will go to that of the file.
  void note_repository() {
    auto overrides = context_.options().overrides;
    if (!overrides.repository) return;
    overrides.repository.reset();
    const auto of_file = recovery::settle_stack(fs_, overrides, environment);
    if (of_file.ok() && of_file->repository == stack_.repository) return;
    elsewhere_ = " --repository " + (is_plain(stack_.repository) ? stack_.repository : shell_quoted(stack_.repository));
    context_.say("note: it stays as it is, and {} is not the repository that it names", stack_.repository);
  }

  // What is given to describe a stack must not be dropped in silence.
  Result<void> refuse_descriptions() const {
    const char* given = !options_.stack.empty()         ? "--stack"
                        : !options_.connections.empty() ? "--postgres"
                        : !options_.redis.empty()       ? "--redis"
                        : !options_.paths.empty()       ? "--files"
                                                        : nullptr;
    if (given == nullptr) return {};
    return make_error(ErrorCode::kAlreadyExists, "{} describes the stack already: {} would not get into it", file_,
                      given)
        .with_hint("write it there, under 'components:' (docs/configuration.md), or name another file with --config");
  }

  Result<void> find_servers() {
    for (const std::string& connection : options_.connections) {
      recovery::FoundServer server;
      server.connection = connection;
      if (environment("DB_PASSWORD") != nullptr) server.password = "env:DB_PASSWORD";
      postgres::Connection reached{connection, {}, {}};
      if (!server.password.empty()) reached.password = TRY(resolve_secret(server.password));
      TRY(postgres::check_connection(connection));
      server.identity = TRY_CONTEXT(postgres::identify_server(reached), "{}", connection);
      servers_.push_back(std::move(server));
    }
    for (const std::string& address : options_.redis) redis_.push_back(TRY(recovery::ask_redis(address, environment)));
    if (options_.connections.empty() && options_.redis.empty() && !options_.no_discover) discover();
    return {};
  }

  void discover() {
    recovery::Discovery discovery = recovery::discover_servers(fs_, environment);
    for (const std::string& refused : discovery.refused)
      context_.say("note: a server does not let us in: {}", printable(refused));
    servers_ = std::move(discovery.servers);
    recovery::RedisDiscovery redis = recovery::discover_redis(fs_, environment, recovery::usual_redis_sockets());
    for (const std::string& refused : redis.refused)
      context_.say("note: a Redis server could not be asked: {}", printable(refused));
    redis_ = std::move(redis.servers);
    if (servers_.empty())
      context_.say("note: no PostgreSQL was found: not by DB_* or PG* variables, sockets or processes");
    if (redis_.empty()) context_.say("note: no Redis was found: not by REDIS_URL, at 127.0.0.1:6379, or in /run/redis");
  }

  Result<void> describe_stack() {
    TRY(find_servers());
    recovery::NewStack fresh;
    const std::string directory = parent_path(file_);
    fresh.stack = options_.stack.empty() ? "main" : options_.stack;
    const auto& overrides = context_.options().overrides;
    const char* location = environment("HOLDFAST_REPOSITORY");
    fresh.repository = overrides.repository                       ? *overrides.repository
                       : location != nullptr && *location != '\0' ? location
                                                                  : default_location(directory, fresh.stack);
    if (fresh.repository.find("://") == std::string::npos) fresh.repository = absolute_path(fresh.repository);
    fresh.passphrase = TRY(passphrase_reference(directory));
    fresh.servers = servers_;
    fresh.redis = redis_;
    for (const std::string& path : options_.paths) {
      if (!TRY(exists(fs_, path))) return make_error(ErrorCode::kNotFound, "there is nothing at {}", path);
      fresh.paths.push_back(absolute_path(path));
    }
    text_ = recovery::write_stack(fresh);
    stack_ = TRY(recovery::parse_stack(text_, file_));
    return {};
  }

  // Beside the file, unless that is where configuration lives.
  static std::string default_location(const std::string& directory, const std::string& stack) {
    const bool system_wide = directory == "/etc" || directory.starts_with("/etc/");
    return system_wide ? "/var/lib/holdfast/" + stack : join_path(directory, "holdfast-repository");
  }

  Result<std::string> passphrase_reference(const std::string& directory) {
    const auto& given = context_.options().overrides.passphrase;
    if (given) return recovery::as_secret_reference(*given, "--passphrase");
    for (const char* variable : {"HOLDFAST_PASSPHRASE", "BACKUP_ENCRYPTION_KEY"}) {
      const char* value = environment(variable);
      if (value != nullptr && *value != '\0') return std::string("env:") + variable;
    }
    return "file:" + join_path(directory, "holdfast.pass");
  }

  Result<void> create() {
    if (stack_.passphrase.starts_with("file:")) {
      passphrase_file_ = stack_.passphrase.substr(5);
      if (!TRY(exists(fs_, passphrase_file_))) {
        TRY(make_directories(fs_, parent_path(passphrase_file_)));
        TRY(generate_passphrase_file(passphrase_file_));
        made_passphrase_ = true;
      }
    }
    auto workspace = TRY(recovery::Workspace::create(stack_, context_.machine()));
    repository_id_ = workspace->repository().id();
    if (!text_.empty()) TRY(create_file_durably(fs_, file_, as_bytes(text_), 0644));
    return {};
  }

  // Only while nothing can have been sealed under it: once there is a repository, ours or
  // that of an init that was faster, it may be the only one that opens it.
  void take_back_passphrase() {
    if (!made_passphrase_) return;
    const auto there = exists(fs_, join_path(stack_.repository, "config"));
    const auto copy = exists(fs_, join_path(stack_.repository, "config.copy"));
    if (!there.ok() || !copy.ok() || *there || *copy) {
      context_.say("the new passphrase stays in {}", passphrase_file_);
      return;
    }
    ignore(fs_.remove_file(passphrase_file_), "the first error is what matters");
  }

  void tell() {
    Json components = Json::array();
    for (const auto& component : stack_.components)
      components.push_back({{"name", component.name}, {"kind", component.kind}});
    context_.set_document("init", {{"config", file_},
                                   {"config_written", !text_.empty()},
                                   {"stack", stack_.stack},
                                   {"repository", stack_.repository},
                                   {"repository_id", repository_id_},
                                   {"passphrase", stack_.passphrase},
                                   {"passphrase_generated", made_passphrase_},
                                   {"components", components}});
    if (!text_.empty()) context_.print("wrote {}", file_);
    context_.print("created the repository at {}", stack_.repository);
    if (made_passphrase_) {
      context_.print("wrote a new passphrase to {}: keep a copy where this machine's loss can't reach it",
                     passphrase_file_);
    }
    for (const auto& server : servers_) {
      context_.print("found PostgreSQL {} ({}){}", server.identity.major, server.connection,
                     server.identity.data_directory.empty() ? ": the account may not see its data directory"
                                                            : ", data directory " + server.identity.data_directory);
      if (!server.identity.checksums) {
        context_.say("  its pages carry no checksums: holdfast can't tell a bad page (see pg_checksums --enable)");
      }
    }
    for (const auto& server : redis_) {
      context_.print("found Redis {} ({})", server.version, server.connection);
      if (server.password_missing)
        context_.say("  the password in REDIS_URL is not written: name it in {}, as 'password: file:PATH'", file_);
    }
    tell_next();
  }

  void tell_next() {
    const std::string config = (file_ == absolute_path("holdfast.yaml") ? "" : " --config " + file_) + elsewhere_;
    context_.say("\nNext:");
    if (stack_.components.empty()) context_.say("  describe what to protect: 'components:' in {}", file_);
    context_.say("  holdfast{} backup                 # a first recovery point", config);
    context_.say("  holdfast{} verify                 # prove it", config);
    if (const auto* component = first_of("postgres")) tell_postgres(*component, config);
    if (const auto* component = first_of("redis")) tell_redis(*component, config);
  }

  const recovery::ComponentConfig* first_of(const char* kind) const {
    const auto is_of = [&](const auto& component) { return component.kind == kind; };
    const auto found = std::find_if(stack_.components.begin(), stack_.components.end(), is_of);
    return found == stack_.components.end() ? nullptr : &*found;
  }

  // " --component NAME" where the stack has several of its kind.
  std::string component_option(const recovery::ComponentConfig& component) const {
    const auto is_alike = [&](const auto& other) { return other.kind == component.kind; };
    const bool several = std::count_if(stack_.components.begin(), stack_.components.end(), is_alike) > 1;
    return several ? " --component " + component.name : "";
  }

  void tell_redis(const recovery::ComponentConfig& component, const std::string& config) {
    context_.say("To make {} restorable to any instant, follow its commands:", component.name);
    context_.say("  holdfast{} log receive{}            # a service", config, component_option(component));
    context_.say("A user of its own instead of the default one: docs/redis.md");
  }

  // Before there is a slot is the time to limit what it may keep.
  void tell_slot(const recovery::ComponentConfig& component) {
    const auto warning = recovery::ask_slot(component).warning;
    if (!warning) return;
    for (const std::string& line : wrap("note: " + warning->problem, 74)) context_.say("    {}", line);
    for (const std::string& line : wrap(warning->advice, 74)) context_.say("    {}", line);
  }

  void tell_postgres(const recovery::ComponentConfig& component, const std::string& config) {
    const std::string more = component_option(component);
    context_.say("To make {} restorable to any instant, let its WAL reach the repository: either", component.name);
    context_.say("  holdfast{} wal receive{}            # streams it through the slot {}", config, more,
                 component.postgres.slot);
    if (!servers_.empty()) tell_slot(component);
    context_.say("or, in postgresql.conf (the server's user must be able to read {}):", file_);
    context_.say("  archive_mode = on");
    context_.say("  archive_command = 'holdfast --config {}{} wal push{} \"%p\"'", file_, elsewhere_, more);
    context_.say("A role of its own instead of a superuser, and pg_hba.conf: docs/postgres.md");
  }

  Context& context_;
  const InitOptions& options_;
  FileSystem& fs_;
  std::string file_, text_, passphrase_file_, repository_id_;
  std::string elsewhere_;  // " --repository DIR": not the file's
  bool made_passphrase_ = false;
  std::vector<recovery::FoundServer> servers_;
  std::vector<recovery::FoundRedis> redis_;
  recovery::StackConfig stack_;
};

}  // namespace

void add_init(Program& program) {
  auto options = std::make_shared<InitOptions>();
  CLI::App* command = program.command("init", "Describe the stack in holdfast.yaml and create its repository.");
  command->add_option("--stack", options->stack, "name of the stack (default: main)")->type_name("NAME");
  command
      ->add_option("--postgres", options->connections,
                   "protect this server (may be repeated; default: what is found here)")
      ->type_name("CONNINFO");
  command
      ->add_option("--redis", options->redis,
                   "protect this Redis server (may be repeated; default: what is found here)")
      ->type_name("ADDRESS");
  command->add_option("--files", options->paths, "protect this directory or file (may be repeated)")->type_name("PATH");
  command->add_flag("--no-discover", options->no_discover, "do not look for PostgreSQL and Redis");
  program.examples(command,
                   "holdfast init              # finds a local PostgreSQL, a local Redis\n"
                   "holdfast init --stack shop --repository /backup/shop --files /srv/uploads\n"
                   "holdfast init --postgres 'host=db1 user=holdfast dbname=postgres' \\\n"
                   "    --passphrase env:HF_PASS\n"
                   "# with a holdfast.yaml there, init creates the repository that it names");
  program.on(command, [options](Context& context) { return Initialiser(context, *options).run(); });
}

}  // namespace holdfast::cli
