#include "source/postgres/extract.h"

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/units.h"
#include "source/postgres/booted_cluster.h"
#include "source/postgres/dump.h"
#include "source/postgres/extract_target.h"
#include "source/postgres/inventory.h"
#include "source/postgres/some_of.h"
#include "source/scratch_place.h"

namespace holdfast::postgres {
namespace {

constexpr uint64_t kSpareBytes = 64 * kMiB;
constexpr size_t kMostNames = 20;           // in a note
constexpr int kSchemasPublishedSince = 15;  // FOR TABLES IN SCHEMA

Error not_there(const std::string& what) { return make_error(ErrorCode::kNotFound, "the live server has no {}", what); }

// As servers say it; what they name may hold any word.
bool lacks_a_collation(const std::string& text) {
  const size_t named = text.find("collation \"");
  return (named != std::string::npos && text.find("\" for encoding \"", named) != std::string::npos) ||
         text.find("ICU is not supported") != std::string::npos ||
         text.find("could not open collator") != std::string::npos;
}

// Steps as in docs/one-database.md.
class Extraction {
 public:
  Extraction(source::World& world, const Connection& live, const ExtractOptions& options, Random& random)
      : world_(world), live_(live), options_(options), random_(random) {}

  Result<void> look_at_live(const repo::Snapshot& snapshot) {
    const SnapshotSource source = TRY(snapshot_source(snapshot));
    target_ = TRY_CONTEXT(ExtractTarget::open(live_, of_tables() ? "" : options_.target_database, random_),
                          "the live server");
    if (target_->major() < source.major)
      return make_error(ErrorCode::kMismatch, "the live server is PostgreSQL {}, older than the cluster's {}",
                        target_->major(), source.major)
          .with_hint("name a server of the same or a newer version with --server");
    TRY(target_->check_rights({}));
    return of_tables() ? look_at_tables() : look_at_database();
  }

  Result<ExtractReport> run(repo::Repository& repository, const repo::Snapshot& snapshot,
                            const ResolvedTarget& target) {
    TRY(look_at_live(snapshot));
    if (!options_.look_only) report_.swept = TRY(target_->sweep());
    const source::ScratchPlace scratch =
        TRY(source::ScratchPlace::make(world_.fs, world_.clock, options_.scratch_directory));
    auto done = [&]() -> Result<void> {
      TRY(boot(repository, snapshot, target, scratch));
      TRY(look_at_instant());
      TRY(check_space(scratch));
      if (options_.look_only) return {};
      TRY(dump(scratch));
      auto carried = carry_over(scratch);
      if (carried.ok()) return carried;
      Error told = naming_what_differs(std::move(carried).error());
      take_back();
      return told;
    }();
    cluster_.reset();  // before its directory goes
    TRY(std::move(done));
    return std::move(report_);
  }

 private:
  bool of_tables() const { return !options_.tables.empty(); }

  // Times the step since the last one.
  void end_phase(const char* name) {
    const Duration now = world_.clock.monotonic();
    report_.phases.push_back({name, now - phase_began_});
    phase_began_ = now;
  }

  // Of the time that all of it may take.
  Result<Duration> left() const {
    const Duration left = began_ + options_.deadline - world_.clock.monotonic();
    if (left > Duration{}) return left;
    return make_error(ErrorCode::kTimeout, "restoring {} took longer than {}", report_.what,
                      format_duration(options_.deadline))
        .with_hint("allow it more with --deadline");
  }

  Result<DumpProgram> program() const {
    const Duration deadline = TRY(left());
    return DumpProgram{programs_, world_.threads, deadline, &world_.progress.stop};
  }

  // ---- 2. the live server

  Result<void> look_at_database() {
    const std::string& name = options_.target_database;
    report_.what = "database " + options_.database;
    report_.result = "database " + name;
    if (name.size() > 63 || name.empty())
      return make_error(ErrorCode::kUsage, "'{}' is no name for a database: 1 to 63 bytes", name);
    if (name == "template0" || name == "template1")
      return make_error(ErrorCode::kRefused, "{} is a template of the server's own", name);
    if (!TRY(target_->has_database(name))) return {};
    if (!options_.replace)
      return make_error(ErrorCode::kAlreadyExists, "database '{}' exists in the live server", name)
          .with_hint(
              "choose another name with --target-database, or put it in its place with --replace: the one that "
              "is there is renamed and kept");
    const auto prepared = TRY(target_->prepared_on(name));
    if (!prepared.empty())
      return make_error(ErrorCode::kRefused, "database '{}' is in use: {}", name, fmt::join(prepared, ", "))
          .with_hint("end it in that database: commit prepared or rollback prepared");
    const auto sessions = TRY(target_->sessions_on(name));
    if (sessions.empty() || options_.end_sessions) return {};
    return make_error(ErrorCode::kRefused, "database '{}' is in use: {}", name, fmt::join(sessions, ", "))
        .with_hint("end these sessions, or let --end-sessions do it at the last moment");
  }

  Result<void> look_at_tables() {
    if (!TRY(target_->has_database(options_.target_database)))
      return not_there(fmt::format("database '{}'", options_.target_database))
          .with_hint("tables go into a database that is there: name it with --target-database");
    auto session = TRY(target_->connect(options_.target_database, Duration::seconds(120)));
    for (const std::string& text : options_.tables) {
      const TableName from = TRY(parse_table_name(*session, text));
      const bool twice = std::any_of(places_.begin(), places_.end(), [&](auto& place) { return place.from == from; });
      if (twice) return make_error(ErrorCode::kUsage, "table {} is named twice", from.text());
      places_.push_back({from, from, options_.target_table.empty()});
    }
    if (!options_.target_table.empty())
      places_[0].to = TRY(parse_table_name(*session, options_.target_table, places_[0].from.schema));
    for (const TablePlace& place : places_) {
      TRY(look_at_publications(*session, place));
      TRY(look_at_place(*session, place));
    }
    std::vector<std::string> from, to;
    for (const TablePlace& place : places_) {
      from.push_back(place.from.text());
      to.push_back(place.to.text());
    }
    report_.what = fmt::format("table {} of database {}", fmt::join(from, ", "), options_.database);
    report_.result = fmt::format("table {} in database {}", fmt::join(to, ", "), options_.target_database);
    return {};
  }

  // A publication of all tables takes each new one up at once, and subscribers, who have no
  // such table or other rows in it, end their replication there.
  Result<void> look_at_publications(ServerSession& session, const TablePlace& place) {
    std::string query = "select pubname, 'all tables' from pg_publication where puballtables";
    std::vector<std::string> schema;
    if (target_->major() >= kSchemasPublishedSince) {
      query +=
          " union all select p.pubname, 'all tables of schema ' || n.nspname from pg_publication_namespace s join"
          " pg_publication p on p.oid = s.pnpubid join pg_namespace n on n.oid = s.pnnspid where n.nspname = $1";
      schema = {place.to.schema};
    }
    const Rows rows = TRY(session.exec(query + " order by 1", schema));
    if (rows.size() == 0) return {};
    return make_error(ErrorCode::kRefused,
                      "publication '{}' of database '{}' is for {}: its subscribers would be sent what is restored, "
                      "and have no such table",
                      rows.at(0, 0), options_.target_database, rows.at(0, 1))
        .with_hint("restore the database beside with --target-database, and take from there what is wanted");
  }

  Result<void> look_at_place(ServerSession& session, const TablePlace& place) {
    const Rows schema = TRY(session.exec("select oid from pg_namespace where nspname = $1", {place.to.schema}));
    if (schema.size() == 0)
      return not_there(fmt::format("schema '{}' in database '{}'", place.to.schema, options_.target_database))
          .with_hint("make it, or choose another with --target-table SCHEMA.NAME");
    const Rows there = TRY(session.exec("select relkind from pg_class where relnamespace = $1 and relname = $2",
                                        {std::string(schema.at(0, 0)), place.to.name}));
    if (there.size() == 0) return {};
    if (!place.in_place)
      return make_error(ErrorCode::kAlreadyExists, "{} exists in database '{}'", place.to.text(),
                        options_.target_database)
          .with_hint(
              "choose another name with --target-table, or put it in its place with --replace: the one that is "
              "there is renamed and kept");
    if (there.at(0, 0) == "r") return {};
    return make_error(ErrorCode::kUnsupported, "{} in database '{}' is not a plain table, and can't be replaced by one",
                      place.to.text(), options_.target_database)
        .with_hint("choose another name with --target-table");
  }

  // ---- 3. and 4. the instant

  Result<void> boot(repo::Repository& repository, const repo::Snapshot& snapshot, const ResolvedTarget& target,
                    const source::ScratchPlace& scratch) {
    phase_began_ = world_.clock.monotonic();
    // Programs that lack are better missed now.
    programs_ = TRY(find_dump_programs(target_->major(), options_.bin_directory));
    BootedCluster::Options options;
    options.bin_directory = options_.bin_directory;
    boot_directory_ = TRY(scratch.folder("boot"));
    options.directory = boot_directory_;
    options.restore_command = options_.restore_command;
    options.deadline = TRY(left());
    cluster_ = TRY_CONTEXT(BootedCluster::boot(world_, repository, snapshot, target, std::move(options)),
                           "booting the instant aside");
    world_.progress.phase = "looking at the instant";
    end_phase("boot");
    return {};
  }

  Result<std::unique_ptr<ServerSession>> aside(const std::string& database) {
    SessionOptions options;
    options.database = database;
    options.deadline = TRY(left());
    options.stop = &world_.progress.stop;
    return ServerSession::connect(cluster_->connection(), options);
  }

  Result<void> look_at_instant() {
    {
      auto session = TRY(aside("postgres"));
      TRY(check_database(*session, options_.database));
    }
    auto session = TRY(aside(options_.database));
    std::vector<TableName> tables;
    for (const TablePlace& place : places_) tables.push_back(place.from);
    needs_ = TRY(of_tables() ? needs_of_tables(*session, tables) : needs_of_database(*session));
    report_.bytes = needs_.bytes;
    TRY(target_->check_rights(needs_.owners));
    const auto extensions = TRY(target_->lacking_extensions(needs_.extensions));
    if (!extensions.empty())
      return make_error(ErrorCode::kRefused, "the live server lacks {} {}, which database '{}' uses",
                        extensions.size() == 1 ? "extension" : "extensions", fmt::join(extensions, ", "),
                        options_.database)
          .with_hint("install what provides it on the server's machine; the server need not be restarted for that");
    report_.roles_made = TRY(target_->lacking_roles(needs_.roles));
    if (!report_.roles_made.empty() && !options_.create_roles)
      return make_error(ErrorCode::kRefused,
                        "the live server lacks {} {}, to which what is restored belongs or is granted",
                        report_.roles_made.size() == 1 ? "role" : "roles", fmt::join(report_.roles_made, ", "))
          .with_hint("make them, or let --create-roles do it (NOLOGIN, without password, membership or attribute)");
    lacking_tablespaces_ = TRY(target_->lacking_tablespaces(needs_.tablespaces));
    note_what_is_left_out();
    return note_slots();
  }

  // Slots are of a database, by its number: they stay with the one that is kept.
  Result<void> note_slots() {
    if (of_tables() || !options_.replace) return {};
    for (const std::string& slot : TRY(target_->slots_of(options_.target_database)))
      report_.notes.push_back(fmt::format(
          "replication slot {0} stays with the database that was there, and holds WAL for it: what its consumer gets "
          "is nothing of what is restored, and that database can't be dropped before: select "
          "pg_drop_replication_slot({0})",
          slot));
    return {};
  }

  void note_what_is_left_out() {
    if (!needs_.unlogged.empty())
      report_.notes.push_back(fmt::format("without rows, since no copy of a cluster has those of unlogged tables: {}",
                                          some_of(needs_.unlogged, kMostNames)));
    if (!needs_.references.empty())
      report_.notes.push_back(fmt::format("large objects are not restored with a table: what {} {} may not be there",
                                          some_of(needs_.references, kMostNames),
                                          needs_.references.size() == 1 ? "refers to" : "refer to"));
    if (!lacking_tablespaces_.empty())
      report_.notes.push_back(fmt::format("the live server lacks tablespace {}: all goes into its default one",
                                          fmt::join(lacking_tablespaces_, ", ")));
    for (const std::string& name : needs_.subscriptions)
      report_.notes.push_back(fmt::format("subscription {} is left out", name));
  }

  // Before anything is written: room for the dump, and for what it becomes. Where both lie
  // on one file system that is no more at a time, since the cluster that was booted, of
  // which the dump is a part, goes before the dump is loaded.
  Result<void> check_space(const source::ScratchPlace& scratch) {
    const uint64_t needed = needs_.bytes + kSpareBytes;
    const uint64_t scratch_free = TRY(world_.fs.free_bytes(scratch.path()));
    if (scratch_free < needed)
      return make_error(ErrorCode::kNoSpace, "the file system of {} has {} free, and the dump may need {}",
                        scratch.path(), format_bytes(scratch_free), format_bytes(needed))
          .with_hint("name a directory with more room: --scratch DIR");
    return check_live_space();
  }

  // A server whose pg_wal is full stops: it must have room for the WAL of the load, too.
  Result<void> check_live_space() {
    const auto room = TRY(target_->room_for(needs_.bytes, world_.fs));
    if (!room) {
      report_.notes.push_back("the room in the live server could not be looked at");
      return {};
    }
    const uint64_t own = needs_.bytes + kSpareBytes;
    const uint64_t needed = own + (room->wal_free ? 0 : room->wal);
    if (room->free < needed)
      return make_error(ErrorCode::kNoSpace, "the live server's data directory has {} free, and {} needs {}{}",
                        format_bytes(room->free), report_.what, format_bytes(needed),
                        room->wal_free ? ""
                                       : fmt::format(": {} for itself, and {} for the WAL that loading it writes",
                                                     format_bytes(own), format_bytes(room->wal)))
          .with_hint("make room there");
    if (room->wal_free && *room->wal_free < room->wal + kSpareBytes)
      return make_error(ErrorCode::kNoSpace,
                        "the live server's pg_wal is on a file system of its own with {} free, and loading {} needs {} "
                        "there",
                        format_bytes(*room->wal_free), report_.what, format_bytes(room->wal + kSpareBytes))
          .with_hint("make room there: a server whose pg_wal is full stops");
    return {};
  }

  // ---- 5. to 9.

  Result<void> dump(const source::ScratchPlace& scratch) {
    world_.progress.phase = "dumping";
    std::string database = options_.database, schemas;
    if (of_tables()) {
      auto session = TRY(aside(database));
      std::vector<TableName> tables;
      for (const TablePlace& place : places_) tables.push_back(place.from);
      keys_ = TRY(set_tables_aside(*session, tables, target_->ours()));
      grants_ = TRY(grants_as_revokes(*session, target_->ours()));
      schemas = target_->ours();
    } else {
      auto session = TRY(aside(database == "postgres" ? "template1" : "postgres"));
      const std::string name = TRY(session->quote_identifier(database));
      TRY(session->exec("alter database " + name + " rename to " + target_->ours()));
      database = target_->ours();
    }
    TRY_CONTEXT(
        dump_database(TRY(program()), cluster_->connection(), database, schemas, join_path(scratch.path(), "dump")),
        "dumping {}", report_.what);
    wanted_ = TRY(inventory(cluster_->connection(), database));
    note_what_is_not_compared();
    TRY(cluster_->stop());
    // What is loaded may need its room.
    cluster_.reset();
    TRY(remove_tree(world_.fs, boot_directory_));
    end_phase("dump");
    return {};
  }

  // Of the large objects that a database has everybody sees how many there are.
  void note_what_is_not_compared() {
    constexpr std::string_view kCount = "large objects of ";
    const bool has_large_objects =
        std::any_of(wanted_.begin(), wanted_.end(), [&](const auto& item) { return item.first.starts_with(kCount); });
    if (has_large_objects && !target_->superuser())
      report_.notes.push_back(
          "large objects were counted, and their content not compared: only a superuser can read it");
  }

  Result<Inventory> inventory(const Connection& connection, const std::string& database) {
    InventoryOptions options;
    options.database = database;
    if (of_tables()) options.schema_prefix = target_->ours();
    options.large_objects = !of_tables() && target_->superuser();
    options.threads = world_.threads;
    options.stop = &world_.progress.stop;
    options.deadline = TRY(left());
    return take_inventory(connection, options);
  }

  // What of the live server is known to be in the way of what another server dumped. The
  // message alone names a function or a collation, and not whose it is.
  Error naming_what_differs(Error failed) {
    const bool refused = failed.code() == ErrorCode::kSubprocess || failed.code() == ErrorCode::kServer;
    if (!refused || !failed.hint().empty()) return failed;
    std::vector<std::string> hints;
    if (lacks_a_collation(failed.text()))
      hints.push_back(
          "the live server has not the collations of the original: one is missing, or it was built with another "
          "provider or version of ICU or libc. Make it there (create collation), or name a server built as the "
          "original was with --server");
    if (std::string triggers = hint_of_event_triggers(); !triggers.empty()) hints.push_back(std::move(triggers));
    if (hints.empty()) return failed;
    return std::move(failed).with_hint(fmt::format("{}", fmt::join(hints, ". Also: ")));
  }

  std::string hint_of_event_triggers() {
    if (!of_tables()) return "";
    const auto triggers = target_->event_triggers(options_.target_database);
    if (!triggers.ok() || triggers.value().empty()) return "";
    return fmt::format(
        "event triggers of database {} ran for what was loaded: {}. If the message is theirs, turn them off meanwhile "
        "(alter event trigger NAME disable), and on again afterwards",
        options_.target_database, fmt::join(triggers.value(), ", "));
  }

  Result<void> carry_over(const source::ScratchPlace& scratch) {
    const std::string loaded = of_tables() ? options_.target_database : target_->ours();
    TRY(target_->create_roles(report_.roles_made));
    world_.progress.phase = "loading";
    LoadOptions options;
    options.database = of_tables() ? loaded : target_->maintenance();
    options.application_name = target_->loader();
    options.create = !of_tables();
    options.tablespaces = lacking_tablespaces_.empty();
    TRY_CONTEXT(load_dump(TRY(program()), live_, join_path(scratch.path(), "dump"), options), "loading {}",
                report_.what);
    end_phase("load");
    TRY(check(loaded));
    return place(loaded);
  }

  // A new database has a schema and an extension that the old one may have dropped.
  Result<void> drop_what_new_databases_have(const std::string& loaded) {
    auto session = TRY(target_->connect(loaded, TRY(left())));
    if (!wanted_.contains("schema public")) TRY(session->exec("drop schema public"));
    if (!wanted_.contains("extension plpgsql")) TRY(session->exec("drop extension plpgsql"));
    return {};
  }

  // What is made in a database gets what its default privileges say.
  Result<void> revoke_default_grants(const std::string& loaded) {
    auto session = TRY(target_->connect(loaded, TRY(left())));
    for (const std::string& revoke : TRY(grants_as_revokes(*session, target_->ours()))) {
      if (std::find(grants_.begin(), grants_.end(), revoke) == grants_.end()) TRY(session->exec(revoke));
    }
    return {};
  }

  Result<void> check(const std::string& loaded) {
    world_.progress.phase = "checking";
    TRY(of_tables() ? revoke_default_grants(loaded) : drop_what_new_databases_have(loaded));
    const Inventory found = TRY(inventory(live_, loaded));
    const auto wrong = differences(wanted_, found);
    if (!wrong.empty())
      return make_error(ErrorCode::kVerifyFailed, "what was loaded is not what was there at the instant: {}",
                        fmt::join(wrong, "; "));
    report_.objects_checked = wanted_.size();
    for (const auto& [object, value] : wanted_) {
      if (object.starts_with("rows of ")) report_.rows_checked += std::strtoull(value.c_str(), nullptr, 10);
    }
    end_phase("check");
    return {};
  }

  Result<void> place(const std::string& loaded) {
    world_.progress.phase = "analyzing";
    {
      auto session = TRY(target_->connect(loaded, TRY(left()), &world_.progress.stop));
      if (of_tables()) {
        for (size_t i = 0; i < places_.size(); i++) {
          const std::string table = TRY(session->quote_identifier(places_[i].from.name));
          TRY(session->exec("analyze " + own_schema(target_->ours(), i) + "." + table));
        }
      } else {
        TRY(session->exec("analyze"));
      }
    }
    end_phase("analyze");
    if (world_.progress.stop) return make_error(ErrorCode::kInterrupted, "stopped before the last step");
    world_.progress.phase = "putting it in place";
    const Time now = world_.clock.now();
    PlacedReport placed = TRY(
        of_tables() ? target_->place_tables(loaded, places_, keys_, now, TRY(left()))
                    : target_->place_database(options_.target_database, options_.replace, options_.end_sessions, now));
    report_.kept = std::move(placed.kept);
    for (std::string& note : placed.notes) report_.notes.push_back(std::move(note));
    if (auto marked = target_->keep_roles(); !marked.ok())
      log_warn("postgres.extract.roles_still_marked", {{"error", marked.error().text()}});
    end_phase("place");
    return {};
  }

  // The live server as it was. What fails here is left to the next run.
  void take_back() {
    world_.progress.phase = "taking back";
    const std::string database = of_tables() ? options_.target_database : "";
    auto dropped = target_->drop_ours(database, places_.size());
    if (!dropped.ok())
      log_warn("postgres.extract.left", {{"name", target_->ours()}, {"error", dropped.error().text()}});
  }

  source::World& world_;
  const Connection& live_;
  const ExtractOptions& options_;
  Random& random_;
  std::unique_ptr<ExtractTarget> target_;
  std::unique_ptr<BootedCluster> cluster_;
  std::vector<TablePlace> places_;
  std::vector<OutgoingKey> keys_;
  std::vector<std::string> grants_;  // of tables, as grants_as_revokes() tells them
  ExtractNeeds needs_;
  std::vector<std::string> lacking_tablespaces_;
  std::string programs_, boot_directory_;
  Inventory wanted_;
  ExtractReport report_;
  Duration began_ = world_.clock.monotonic(), phase_began_;
};

}  // namespace

Result<void> check_extract(source::World& world, const repo::Snapshot& snapshot, const Connection& live,
                           const ExtractOptions& options, Random& random) {
  return Extraction(world, live, options, random).look_at_live(snapshot);
}

Result<ExtractReport> extract(source::World& world, repo::Repository& repository, const repo::Snapshot& snapshot,
                              const ResolvedTarget& target, const Connection& live, const ExtractOptions& options,
                              Random& random) {
  return Extraction(world, live, options, random).run(repository, snapshot, target);
}

}  // namespace holdfast::postgres
