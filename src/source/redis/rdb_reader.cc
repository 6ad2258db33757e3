#include "source/redis/rdb_reader.h"

#include <algorithm>

#include "source/redis/rdb_input.h"

namespace holdfast::redis {
namespace {

constexpr std::string_view kMagic = "REDIS";
constexpr size_t kVersionDigits = 4;
// Redis refuses keys and library texts above the largest bulk string, by default 512 MiB.
constexpr uint64_t kLongestText = 512 << 20;
constexpr uint32_t kMostDatabases = 1 << 20;
constexpr size_t kShownKeyBytes = 64;
constexpr uint64_t kStreamIdBytes = 16;

enum Type : uint8_t {
  kString = 0,
  kList = 1,
  kSet = 2,
  kZset = 3,
  kHash = 4,
  kZset2 = 5,
  kModule2 = 7,
  kHashZipmap = 9,
  kListZiplist = 10,
  kSetIntset = 11,
  kZsetZiplist = 12,
  kHashZiplist = 13,
  kListQuicklist = 14,
  kStreamListpacks = 15,
  kHashListpack = 16,
  kZsetListpack = 17,
  kListQuicklist2 = 18,
  kStreamListpacks2 = 19,
  kSetListpack = 20,
  kStreamListpacks3 = 21,
};

enum Opcode : uint8_t {
  kFunction2 = 245,
  kModuleAux = 247,
  kIdle = 248,
  kFreq = 249,
  kAux = 250,
  kResizeDb = 251,
  kExpireMilliseconds = 252,
  kExpireSeconds = 253,
  kSelectDb = 254,
  kEof = 255,
};

enum ModuleOpcode : uint64_t {
  kModuleEof = 0,
  kModuleSigned = 1,
  kModuleUnsigned = 2,
  kModuleFloat = 3,
  kModuleDouble = 4,
  kModuleString = 5,
};

// A module's id is nine characters of six bits and ten bits of version.
std::string module_name(uint64_t id) {
  constexpr std::string_view kCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string name;
  for (int i = 0; i < 9; i++) name.push_back(kCharacters[(id >> (10 + 6 * (8 - i))) & 63]);
  return name;
}

// Walks the value of one key by its grammar.
class ValueWalker {
 public:
  explicit ValueWalker(RdbInput& input) : input_(input) {}
  Result<void> walk(uint8_t type);
  // Up to the end mark; the id before it has been read.
  Result<void> walk_module();
  const std::string& module() const { return module_; }

 private:
  Result<void> strings(uint64_t each);
  Result<void> zset(bool binary_scores);
  Result<void> quicklist2();
  Result<void> stream(uint8_t type);
  Result<void> stream_group(uint8_t type);
  Result<void> consumer(uint8_t type);
  Result<void> lengths(int count);

  RdbInput& input_;
  std::string module_;
};

Result<void> ValueWalker::walk(uint8_t type) {
  switch (type) {
    case kString:
    case kHashZipmap:
    case kListZiplist:
    case kSetIntset:
    case kZsetZiplist:
    case kHashZiplist:
    case kHashListpack:
    case kZsetListpack:
    case kSetListpack: return input_.skip_string();
    case kList:
    case kSet:
    case kListQuicklist: return strings(1);
    case kHash: return strings(2);
    case kZset: return zset(false);
    case kZset2: return zset(true);
    case kListQuicklist2: return quicklist2();
    case kStreamListpacks:
    case kStreamListpacks2:
    case kStreamListpacks3: return stream(type);
    case kModule2: module_ = module_name(TRY(input_.length())); return walk_module();
    default: return make_error(ErrorCode::kInvalidData, "byte {}: {} is no type of a value", input_.offset(), type);
  }
}

Result<void> ValueWalker::strings(uint64_t each) {
  const uint64_t count = TRY(input_.length());
  for (uint64_t i = 0; i < count; i++) {
    for (uint64_t part = 0; part < each; part++) TRY(input_.skip_string());
  }
  return {};
}

Result<void> ValueWalker::zset(bool binary_scores) {
  const uint64_t count = TRY(input_.length());
  for (uint64_t i = 0; i < count; i++) {
    TRY(input_.skip_string());
    if (binary_scores) {
      TRY(input_.skip(8));
      continue;
    }
    const uint8_t digits = TRY(input_.u8());  // 253 to 255: not a number, and the infinities
    if (digits < 253) TRY(input_.skip(digits));
  }
  return {};
}

Result<void> ValueWalker::quicklist2() {
  const uint64_t count = TRY(input_.length());
  for (uint64_t i = 0; i < count; i++) {
    const uint64_t begin = input_.offset();
    const uint64_t container = TRY(input_.length());
    if (container != 1 && container != 2)
      return make_error(ErrorCode::kInvalidData, "byte {}: {} is no container of a list", begin, container);
    TRY(input_.skip_string());
  }
  return {};
}

Result<void> ValueWalker::lengths(int count) {
  for (int i = 0; i < count; i++) TRY(input_.length());
  return {};
}

Result<void> ValueWalker::stream(uint8_t type) {
  const uint64_t listpacks = TRY(input_.length());
  for (uint64_t i = 0; i < listpacks; i++) {
    TRY(input_.skip_raw_string(kStreamIdBytes));
    TRY(input_.skip_string());
  }
  TRY(lengths(3));                                 // entries, last id
  if (type >= kStreamListpacks2) TRY(lengths(5));  // first id, largest deleted id, entries ever added
  const uint64_t groups = TRY(input_.length());
  for (uint64_t i = 0; i < groups; i++) TRY(stream_group(type));
  return {};
}

Result<void> ValueWalker::stream_group(uint8_t type) {
  TRY(input_.skip_string());
  TRY(lengths(type >= kStreamListpacks2 ? 3 : 2));  // last delivered id, entries read
  const uint64_t pending = TRY(input_.length());
  for (uint64_t i = 0; i < pending; i++) {
    TRY(input_.skip(kStreamIdBytes + 8));  // id and time of delivery
    TRY(input_.length());
  }
  const uint64_t consumers = TRY(input_.length());
  for (uint64_t i = 0; i < consumers; i++) TRY(consumer(type));
  return {};
}

Result<void> ValueWalker::consumer(uint8_t type) {
  TRY(input_.skip_string());
  TRY(input_.skip(type >= kStreamListpacks3 ? 16 : 8));  // when it was seen, when it was active
  const uint64_t pending = TRY(input_.length());
  if (pending > UINT64_MAX / kStreamIdBytes)
    return make_error(ErrorCode::kInvalidData, "byte {}: no consumer has {} entries", input_.offset(), pending);
  return input_.skip(pending * kStreamIdBytes);
}

Result<void> ValueWalker::walk_module() {
  while (true) {
    const uint64_t begin = input_.offset();
    const uint64_t opcode = TRY(input_.length());
    switch (opcode) {
      case kModuleEof: return {};
      case kModuleSigned:
      case kModuleUnsigned: TRY(input_.length()); break;
      case kModuleFloat: TRY(input_.skip(4)); break;
      case kModuleDouble: TRY(input_.skip(8)); break;
      case kModuleString: TRY(input_.skip_string()); break;
      default: return make_error(ErrorCode::kInvalidData, "byte {}: {} is nothing that a module writes", begin, opcode);
    }
  }
}

class Reader {
 public:
  Reader(ByteSource& source, RdbVisitor& visitor) : input_(source), visitor_(visitor) {}
  Result<RdbSummary> run();

 private:
  Result<void> header();
  Result<bool> record();  // false: it was the last
  Result<void> auxiliary();
  Result<void> module_auxiliary();
  Result<void> function_library();
  Result<void> select();
  Result<void> key(uint8_t type, uint64_t offset);
  Result<void> value(const RdbKey& key);
  Result<void> trailer();
  void note_module(const std::string& name);

  RdbInput input_;
  RdbVisitor& visitor_;
  RdbSummary summary_;
  RdbKey next_;  // what has been said of the key that comes
};

Result<void> Reader::header() {
  std::string text;
  for (size_t i = 0; i < kMagic.size() + kVersionDigits; i++) {
    text.push_back(static_cast<char>(TRY_CONTEXT(input_.u8(), "it is no RDB file")));
  }
  const std::string_view digits = std::string_view(text).substr(kMagic.size());
  if (!text.starts_with(kMagic) || digits.find_first_not_of("0123456789") != std::string_view::npos)
    return make_error(ErrorCode::kInvalidData, "it is no RDB file: it does not begin with REDIS and a version");
  summary_.version = std::stoi(std::string(digits));
  if (summary_.version < kOldestRdbVersion || summary_.version > kNewestRdbVersion) {
    return make_error(ErrorCode::kUnsupported, "it is RDB version {}; versions {} to {} are read", summary_.version,
                      kOldestRdbVersion, kNewestRdbVersion)
        .with_hint("those are what Redis 3.2 to 7.2 write");
  }
  return visitor_.version(summary_.version);
}

void Reader::note_module(const std::string& name) {
  auto& modules = summary_.modules;
  if (std::find(modules.begin(), modules.end(), name) == modules.end()) modules.push_back(name);
}

Result<void> Reader::auxiliary() {
  const std::string name = TRY(input_.string(kLongestText));
  const std::string value = TRY(input_.string(kLongestText));
  if (name == "redis-ver") summary_.redis_version = value;
  if (name == "repl-stream-db") {
    const bool number =
        !value.empty() && value.size() <= 6 && value.find_first_not_of("0123456789") == std::string::npos;
    if (number) summary_.stream_db = static_cast<uint32_t>(std::stoul(value));
  }
  return visitor_.auxiliary(name, value);
}

Result<void> Reader::function_library() {
  const std::string code = TRY_CONTEXT(input_.string(kLongestText), "a function library");
  summary_.functions++;
  return visitor_.function_library(code);
}

Result<void> Reader::module_auxiliary() {
  const std::string name = module_name(TRY(input_.length()));
  const uint64_t begin = input_.offset();
  if (TRY(input_.length()) != kModuleUnsigned)
    return make_error(ErrorCode::kInvalidData, "byte {}: the data of module {} does not say when it applies", begin,
                      name);
  TRY(input_.length());
  note_module(name);
  TRY_CONTEXT(ValueWalker(input_).walk_module(), "data of module {}", name);
  return visitor_.module_auxiliary(name);
}

Result<void> Reader::select() {
  const uint64_t begin = input_.offset();
  const uint64_t db = TRY(input_.length());
  if (db >= kMostDatabases) return make_error(ErrorCode::kInvalidData, "byte {}: {} is no database", begin, db);
  next_.db = static_cast<uint32_t>(db);
  return {};
}

Result<void> Reader::value(const RdbKey& key) {
  const uint64_t begin = input_.offset();
  input_.begin_tap([this](ByteView piece) { return visitor_.value(piece); });
  ValueWalker walker(input_);
  TRY(walker.walk(key.type));
  TRY(input_.end_tap());
  if (!walker.module().empty()) note_module(walker.module());
  return visitor_.end_key(input_.offset() - begin);
}

Result<void> Reader::key(uint8_t type, uint64_t offset) {
  if (type > kStreamListpacks3 || type == 6 || type == 8)
    return make_error(ErrorCode::kInvalidData, "byte {}: {} is no opcode and no type of a value", offset, type);
  next_.type = type;
  next_.offset = offset;
  next_.key = TRY(input_.string(kLongestText));
  TRY(visitor_.begin_key(next_));
  TRY_CONTEXT(value(next_), "{} '{}' of database {}", type_name(type), printable_key(next_.key), next_.db);
  summary_.keys++;
  summary_.keys_of[next_.db]++;
  if (next_.expires_ms) summary_.expiring++;
  RdbKey fresh;
  fresh.db = next_.db;
  next_ = std::move(fresh);
  return {};
}

Result<bool> Reader::record() {
  const uint64_t offset = input_.offset();
  const uint8_t opcode = TRY(input_.u8());
  switch (opcode) {
    case kEof: return false;
    case kAux: TRY(auxiliary()); return true;
    case kSelectDb: TRY(select()); return true;
    case kResizeDb:
      TRY(input_.length());
      TRY(input_.length());
      return true;
    case kExpireMilliseconds: next_.expires_ms = static_cast<int64_t>(TRY(input_.little_endian(8))); return true;
    case kExpireSeconds:
      next_.expires_ms = int64_t{static_cast<int32_t>(TRY(input_.little_endian(4)))} * 1000;
      return true;
    case kIdle: next_.idle_seconds = TRY(input_.length()); return true;
    case kFreq: next_.frequency = TRY(input_.u8()); return true;
    case kModuleAux: TRY(module_auxiliary()); return true;
    case kFunction2: TRY(function_library()); return true;
    default: TRY(key(opcode, offset)); return true;
  }
}

Result<void> Reader::trailer() {
  const uint64_t computed = input_.checksum();
  const uint64_t stored = TRY(input_.little_endian(8));
  summary_.checksummed = stored != 0;
  if (summary_.checksummed && stored != computed) {
    return make_error(ErrorCode::kInvalidData, "its checksum is {:016x}, its content's is {:016x}", stored, computed);
  }
  if (!TRY(input_.at_end()))
    return make_error(ErrorCode::kInvalidData, "byte {}: bytes follow after its end", input_.offset());
  summary_.bytes = input_.offset();
  return {};
}

Result<RdbSummary> Reader::run() {
  TRY(header());
  while (TRY(record())) {
  }
  TRY(trailer());
  return std::move(summary_);
}

}  // namespace

std::string_view type_name(uint8_t rdb_type) {
  switch (rdb_type) {
    case kString: return "string";
    case kList:
    case kListZiplist:
    case kListQuicklist:
    case kListQuicklist2: return "list";
    case kSet:
    case kSetIntset:
    case kSetListpack: return "set";
    case kZset:
    case kZset2:
    case kZsetZiplist:
    case kZsetListpack: return "zset";
    case kHash:
    case kHashZipmap:
    case kHashZiplist:
    case kHashListpack: return "hash";
    case kStreamListpacks:
    case kStreamListpacks2:
    case kStreamListpacks3: return "stream";
    case kModule2: return "module";
    default: return "value";
  }
}

std::string printable_key(std::string_view key) {
  std::string text;
  for (const char character : key.substr(0, kShownKeyBytes)) {
    const auto byte = static_cast<uint8_t>(character);
    if (byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != '\'') {
      text.push_back(character);
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return key.size() > kShownKeyBytes ? text + "..." : text;
}

Result<RdbSummary> read_rdb(ByteSource& source, RdbVisitor& visitor) { return Reader(source, visitor).run(); }

}  // namespace holdfast::redis
