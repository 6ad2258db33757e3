#include "engine/attempt.h"

#include <cctype>

#include "base/encoding.h"
#include "base/json_number.h"
#include "crypto/digest.h"

namespace holdfast::engine {
namespace {

constexpr uint64_t kMaxStatus_bytes = 64 << 10;
constexpr size_t kMaxWords = 100'000;

void put_pairs(ByteWriter& writer, const std::vector<std::pair<std::string, std::string>>& pairs) {
  writer.varint(pairs.size());
  for (const auto& [name, value] : pairs) {
    writer.string(name);
    writer.string(value);
  }
}

}  // namespace

// A name for a directory, whatever a document calls its steps.
std::string attempts_directory(const std::string& id) {
  constexpr size_t kLongest = 100;
  std::string name;
  for (const char c : id)
    name += std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '~' ? c : '_';
  return "steps/" + (name.empty() ? "_" : name.substr(0, kLongest));
}

Json AttemptEnd::to_json() const {
  Json json = {{"status", exit_status},        {"signal", signal},
               {"timed_out", timed_out},       {"stopped", stopped},
               {"ended_us", ended.ns / 1000},  {"took_ms", took.in_milliseconds()},
               {"output_bytes", output_bytes}, {"dropped_bytes", dropped_bytes}};
  if (!failure.empty()) json["failure"] = failure;
  return json;
}

bool AttemptEnd::answers() const {
  // What a shell says of a program that it can't run, can't find, or that a signal killed.
  constexpr int kCannotRun = 126, kKilled_most = 128 + 64;
  const bool shells_word = exit_status >= kCannotRun && exit_status <= kKilled_most;
  return failure.empty() && signal == 0 && !timed_out && !stopped && !shells_word;
}

std::string end_words(const AttemptEnd& end) {
  if (!end.failure.empty()) return "could not be started: " + end.failure;
  if (end.timed_out) return "was ended by its timeout";
  if (end.stopped) return "was stopped";
  if (end.signal != 0) return fmt::format("was killed by signal {}", end.signal);
  return fmt::format("ended with status {}", end.exit_status);
}

Result<AttemptEnd> AttemptEnd::from_json(const Json& json) {
  try {
    AttemptEnd end;
    end.exit_status = whole_number<int>(json, "status");
    end.signal = whole_number<int>(json, "signal");
    end.timed_out = json.at("timed_out").get<bool>();
    end.stopped = json.at("stopped").get<bool>();
    end.ended = Time::from_unix_microseconds(whole_number<int64_t>(json, "ended_us"));
    end.took = Duration::milliseconds(whole_number<int64_t>(json, "took_ms"));
    end.output_bytes = whole_number<uint64_t>(json, "output_bytes");
    end.dropped_bytes = whole_number<uint64_t>(json, "dropped_bytes");
    end.failure = json.value("failure", "");
    return end;
  } catch (const nlohmann::json::exception& exception) {
    return make_error(ErrorCode::kInvalidData, "not the end of an attempt: {}", exception.what());
  }
}

std::string AttemptOrder::argv_sha256() const {
  ByteWriter writer;
  for (const std::string& word : argv) writer.string(word);
  writer.string(input);
  return to_hex(crypto::sha256(writer.view()));
}

std::string AttemptOrder::encode() const {
  ByteWriter writer;
  writer.varint(argv.size());
  for (const std::string& word : argv) writer.string(word);
  put_pairs(writer, environment);
  writer.varint(secrets.size());
  for (const NamedSecret& secret : secrets) {
    writer.string(secret.name);
    writer.bytes(secret.value.reveal());
  }
  writer.string(working_directory);
  writer.varint(file_mask);
  writer.string(input);
  writer.u64(timeout ? static_cast<uint64_t>(timeout->ns) : 0);
  return std::string(as_text(writer.view()));
}

Result<AttemptOrder> AttemptOrder::decode(std::string_view text) {
  ByteReader reader(as_bytes(text));
  AttemptOrder order;
  for (uint64_t left = TRY(reader.varint_at_most(kMaxWords, "words")); left > 0; left--) {
    order.argv.emplace_back(TRY(reader.string()));
  }
  for (uint64_t left = TRY(reader.varint_at_most(kMaxWords, "variables")); left > 0; left--) {
    std::string name(TRY(reader.string()));
    order.environment.emplace_back(std::move(name), TRY(reader.string()));
  }
  for (uint64_t left = TRY(reader.varint_at_most(kMaxWords, "secrets")); left > 0; left--) {
    std::string name(TRY(reader.string()));
    const ByteView value = TRY(reader.bytes());
    order.secrets.push_back({std::move(name), Secret(Bytes::copy_of(value))});
  }
  order.working_directory = TRY(reader.string());
  order.file_mask = static_cast<mode_t>(TRY(reader.varint_at_most(0777, "umask")));
  order.input = TRY(reader.string());
  const uint64_t timeout_ns = TRY(reader.u64());
  if (timeout_ns > 0) order.timeout = Duration::nanoseconds(static_cast<int64_t>(timeout_ns));
  TRY(reader.end());
  return order;
}

Result<std::optional<AttemptEnd>> read_status(FileSystem& fs, const AttemptFiles& files) {
  auto content = read_file(fs, files.status(), kMaxStatus_bytes);
  if (!content.ok() && content.error().code() == ErrorCode::kNotFound) return std::optional<AttemptEnd>();
  if (!content.ok()) return std::move(content).error();
  const Json json = Json::parse(as_text(*content), nullptr, false);
  if (!json.is_object()) return make_error(ErrorCode::kInvalidData, "{} is not as it was written", files.status());
  return std::optional<AttemptEnd>(TRY_CONTEXT(AttemptEnd::from_json(json), "{}", files.status()));
}

}  // namespace holdfast::engine
