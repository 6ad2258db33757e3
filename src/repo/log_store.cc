#include "repo/log_store.h"

#include <algorithm>
#include <map>
#include <set>

#include "repo/access.h"
#include "repo/log_codec.h"
#include "repo/read_whole.h"

// A record is one object, log/<stream>/<name>. While a key rotation re-seals it, its
// new bytes lie under log-moving/<stream>/<name> from before the old object goes
// until after the new one has its name (reseal.cc). So a record is absent only when
// it is seen in neither place, and then not in the first one either when looked at
// again: the move may have ended between the two looks.

namespace holdfast::repo {

namespace {

Result<void> check_part(std::string_view what, const std::string& part) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (!part.empty() && part != "." && part != ".." && std::all_of(part.begin(), part.end(), allowed)) return {};
  return make_error(ErrorCode::kInvalidData, "\"{}\" is not a name for a {}", part, what);
}

class StoredLogs final : public LogStore {
 public:
  StoredLogs(RepositoryAccess& repository, int level) : repository_(repository), level_(level) {}

  Result<Outcome> put(const std::string& stream, const LogRecordView& record) override {
    TRY(check_names(stream, record.name));
    // A record that is just being re-sealed is there, though its name may be free.
    const bool moving = TRY(exists(log_moving_name(stream, record.name)));
    if (!moving) {
      // A receiver runs for months: what it stores after a rotation is sealed under the new key.
      TRY(repository_.keys().ensure_newest_known(repository_.store()));
      const Bytes object = TRY(encode_log_record(repository_.keys(), repository_.random(),
                                                 log_context(stream, record.name), record.header, record.body, level_));
      auto created = repository_.store().create(log_object_name(stream, record.name), object.view());
      if (created.ok()) return keep_unless_moving(stream, record);
      if (created.error().code() != ErrorCode::kAlreadyExists) return std::move(created).error();
    }
    const LogRecord existing = TRY_CONTEXT(get(stream, record.name), "can't compare with the record that is there");
    if (equal(existing.body.view(), record.body)) return Outcome::kAlreadyThere;
    return other_bytes(stream, record.name);
  }

  Result<LogRecord> get(const std::string& stream, const std::string& name) override {
    LogRecord record;
    const auto read = [&](const std::string& object_name) -> Result<void> {
      record = TRY(read_record(stream, name, object_name));
      return {};
    };
    TRY(at_either_place(stream, name, read));
    return record;
  }

  Result<Bytes> get_header(const std::string& stream, const std::string& name) override {
    Bytes header;
    const auto read = [&](const std::string& object_name) -> Result<void> {
      Bytes object = TRY(repository_.store().read(object_name, 0, kLogPrefixBytes));
      const LogPrefix prefix = TRY(parse_log_prefix(object.view(), object_name));
      TRY(know_epoch(object.view(), object_name));
      object.append(TRY(repository_.store().read(object_name, kLogPrefixBytes, prefix.header_length)).view());
      header = TRY(decode_log_header(repository_.keys(), object.view(), log_context(stream, name), object_name));
      return {};
    };
    TRY(at_either_place(stream, name, read));
    return header;
  }

  Result<std::vector<Info>> list(const std::string& stream, const std::string& from) override {
    TRY(check_part("log", stream));
    std::map<std::string, Info> found;
    TRY(look_everywhere(stream, found, [&](const std::string& prefix) { return list_at(prefix, from, found); }));
    std::vector<Info> infos;
    for (auto& [name, info] : found) infos.push_back(std::move(info));
    return infos;
  }

  Result<std::vector<std::string>> names(const std::string& stream) override {
    TRY(check_part("log", stream));
    std::set<std::string> found;
    TRY(look_everywhere(stream, found, [&](const std::string& prefix) {
      return repository_.store().list_names(prefix, [&](const std::string& object) -> Result<void> {
        std::string name = object.substr(prefix.size());
        if (name.find('/') == std::string::npos) found.insert(std::move(name));
        return {};
      });
    }));
    return std::vector<std::string>(found.begin(), found.end());
  }

  Result<std::vector<std::string>> streams() override {
    std::set<std::string> found;
    for (const std::string_view prefix : {kLogPrefix, kLogMovingPrefix}) {
      TRY(repository_.store().list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
        const std::string rest = info.name.substr(prefix.size());
        if (const size_t slash = rest.find('/'); slash != std::string::npos) found.insert(rest.substr(0, slash));
        return {};
      }));
    }
    return std::vector<std::string>(found.begin(), found.end());
  }

  Result<void> remove(const std::string& stream, const std::string& name) override {
    TRY(check_names(stream, name));
    // The copy goes first: what is left of a removal that is cut short is the record.
    auto copy = repository_.store().remove(log_moving_name(stream, name));
    if (!copy.ok() && copy.error().code() != ErrorCode::kNotFound) return copy;
    auto removed = repository_.store().remove(log_object_name(stream, name));
    if (removed.ok() || removed.error().code() != ErrorCode::kNotFound) return removed;
    if (copy.ok()) return {};
    return absent(stream, name);
  }

 private:
  static Error other_bytes(const std::string& stream, const std::string& name) {
    return make_error(ErrorCode::kMismatch, "record {} of log {} is there already with other bytes", name, stream)
        .with_hint("another cluster writes to the same log, or this one was set back: give it a repository of its own");
  }

  // A record that we have just made under a name that was free. It was free perhaps because the
  // record that has it is being re-sealed since we looked: then its copy is there until the move
  // ends, which ours does not let happen.
  Result<Outcome> keep_unless_moving(const std::string& stream, const LogRecordView& record) {
    const std::string copy_name = log_moving_name(stream, record.name);
    if (!TRY(exists(copy_name))) return Outcome::kStored;
    const auto existing = read_record(stream, record.name, copy_name);
    if (!existing.ok() && existing.error().code() == ErrorCode::kNotFound) return Outcome::kStored;
    if (existing.ok() && equal(existing->body.view(), record.body)) return Outcome::kAlreadyThere;
    TRY_CONTEXT(repository_.store().remove(log_object_name(stream, record.name)),
                "taking back what was stored in place of a record that is being re-sealed");
    if (!existing.ok()) return existing.error().clone();
    return other_bytes(stream, record.name);
  }

  static Result<void> check_names(const std::string& stream, const std::string& name) {
    TRY(check_part("log", stream));
    return check_part("record of a log", name);
  }

  static Error absent(const std::string& stream, const std::string& name) {
    return make_error(ErrorCode::kNotFound, "there is no record {} in log {}", name, stream);
  }

  Result<LogRecord> read_record(const std::string& stream, const std::string& name, const std::string& object_name) {
    LogRecord record;
    record.name = name;
    const Bytes object = TRY(read_whole(repository_.store(), object_name));
    TRY(know_epoch(object.view(), object_name));
    record.header = TRY(decode_log_header(repository_.keys(), object.view(), log_context(stream, name), object_name));
    record.body = TRY(decode_log_body(repository_.keys(), object.view(), log_context(stream, name), object_name));
    return record;
  }

  Result<bool> exists(const std::string& object_name) {
    const auto info = repository_.store().stat(object_name);
    if (!info.ok() && info.error().code() != ErrorCode::kNotFound) return info.error().clone();
    return info.ok();
  }

  template <typename Read>
  Result<void> at_either_place(const std::string& stream, const std::string& name, const Read& read) {
    TRY(check_names(stream, name));
    const std::string here = log_object_name(stream, name);
    for (const std::string& object_name : {here, log_moving_name(stream, name), here}) {
      auto outcome = read(object_name);
      if (outcome.ok() || outcome.error().code() != ErrorCode::kNotFound) return outcome;
    }
    return absent(stream, name);
  }

  // The record may be of an epoch that began after we opened the repository.
  Result<void> know_epoch(ByteView object, const std::string& object_name) {
    const ObjectHeader header = TRY(parse_object_header(object, ObjectType::kLogRecord, object_name));
    TRY(repository_.keys().knows_epoch(repository_.store(), header.epoch));
    return {};
  }

  // What is found in one place only may be on its way to the other.
  template <typename Found, typename Look>
  Result<void> look_everywhere(const std::string& stream, const Found& found, const Look& look) {
    TRY(look(log_object_name(stream, "")));
    const size_t before = found.size();
    TRY(look(log_moving_name(stream, "")));
    if (found.size() > before || repository_.keys().epochs().size() > 1) TRY(look(log_object_name(stream, "")));
    return {};
  }

  Result<void> list_at(const std::string& prefix, const std::string& from, std::map<std::string, Info>& found) {
    return repository_.store().list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
      std::string name = info.name.substr(prefix.size());
      if (name >= from && name.find('/') == std::string::npos) {
        Info entry{name, info.size_bytes, info.modified};
        found.insert_or_assign(std::move(name), std::move(entry));
      }
      return {};
    });
  }

  RepositoryAccess& repository_;
  const int level_;
};

}  // namespace

std::unique_ptr<LogStore> open_log_store(Repository& repository, int compression_level) {
  return std::make_unique<StoredLogs>(access(repository), compression_level);
}

}  // namespace holdfast::repo
