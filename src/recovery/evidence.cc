#include "recovery/evidence.h"

#include <algorithm>
#include <charconv>

#include "base/json_number.h"
#include "base/log.h"
#include "crypto/digest.h"

namespace holdfast::recovery {

namespace {

constexpr int kFormat = 1;
constexpr int kDigitsOfSequence = 10;
constexpr int kAttemptsToAppend = 100;
constexpr uint64_t kMaxHeadBytes = 4096;
constexpr const char* kUnreadable = "unreadable";

std::string digest_of(ByteView bytes) {
  const crypto::Sha256Digest digest = crypto::sha256(bytes);
  return to_hex(ByteView(digest.data(), digest.size()));
}

std::string no_digest() { return std::string(64, '0'); }

std::string record_name(uint64_t sequence) { return fmt::format("{:0{}}", sequence, kDigitsOfSequence); }

// 0 for what is no record's name.
uint64_t sequence_of(const std::string& name) {
  uint64_t sequence = 0;
  const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), sequence);
  const bool whole = problem == std::errc() && end == name.data() + name.size();
  return whole && record_name(sequence) == name ? sequence : 0;
}

// Whatever texts hold (names of files and tables may be any bytes), the bytes are UTF-8.
Bytes canonical(const nlohmann::json& body) {
  return Bytes::copy_of(as_bytes(body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
}

bool is_damage(const Error& error) {
  return error.code() == ErrorCode::kDamaged || error.code() == ErrorCode::kInvalidData ||
         error.code() == ErrorCode::kNotFound;
}

}  // namespace

std::string EvidenceLog::stream_of(const std::string& stack) {
  return stack.empty() ? "drills.evidence" : "drills." + stack + ".evidence";
}

EvidenceLog::EvidenceLog(repo::Repository& repository, FileSystem& fs, std::string stack, std::string registry)
    : fs_(fs),
      stream_(stream_of(stack)),
      head_path_(join_path(registry, fmt::format("{}.{}.head", repository.id(), stack))),
      logs_(repo::open_log_store(repository)) {}

Result<std::vector<uint64_t>> EvidenceLog::sequences() {
  std::vector<uint64_t> found;
  for (const auto& info : TRY(logs_->list(stream_))) {
    if (const uint64_t sequence = sequence_of(info.name)) found.push_back(sequence);
  }
  std::sort(found.begin(), found.end());
  return found;
}

// A record whose header does not fit its body, or that can't be read, is a problem of the
// chain; its digest is that of the bytes that are there.
Result<Evidence> EvidenceLog::read_record(uint64_t sequence, EvidenceChain& chain) {
  Evidence record;
  record.sequence = sequence;
  auto stored = logs_->get(stream_, record_name(sequence));
  if (!stored.ok()) {
    if (!is_damage(stored.error())) return std::move(stored).error();
    record.digest = kUnreadable;
    chain.problems.push_back(fmt::format("record {} can't be read: {}", sequence, stored.error().text()));
    return record;
  }
  record.digest = digest_of(stored->body.view());
  if (to_hex(stored->header.view()) != record.digest)
    chain.problems.push_back(fmt::format("record {} is not what its digest was computed of", sequence));
  record.body = nlohmann::json::parse(as_text(stored->body), nullptr, false);
  if (!record.body.is_object()) {
    chain.problems.push_back(fmt::format("record {} is not the evidence of a drill", sequence));
    record.body = nullptr;
  }
  return record;
}

void EvidenceLog::prove_link(const Evidence& record, const Evidence* before, EvidenceChain& chain) {
  const uint64_t expected = before ? before->sequence + 1 : 1;
  if (record.sequence == expected + 1)
    chain.problems.push_back(fmt::format("record {} is missing", expected));
  else if (record.sequence > expected)
    chain.problems.push_back(fmt::format("records {} to {} are missing", expected, record.sequence - 1));
  if (record.body.is_null()) return;
  const auto text = [&](const char* key) {
    const auto at = record.body.find(key);
    return at != record.body.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const auto number = record.body.find("sequence");
  if (number == record.body.end() || !number->is_number_unsigned() || number->get<uint64_t>() != record.sequence)
    chain.problems.push_back(fmt::format("record {} was written under another number", record.sequence));
  // After a gap, or one that can't be read, nobody can tell.
  if (record.sequence != expected || (before && before->body.is_null())) return;
  if (text("previous") != (before ? before->digest : no_digest()))
    chain.problems.push_back(fmt::format("record {} does not follow {}", record.sequence,
                                         before ? fmt::format("record {} as it is", before->sequence) : "nothing"));
}

Result<EvidenceChain> EvidenceLog::read() {
  EvidenceChain chain;
  for (const uint64_t sequence : TRY(sequences())) {
    Evidence record = TRY(read_record(sequence, chain));
    prove_link(record, chain.records.empty() ? nullptr : &chain.records.back(), chain);
    chain.records.push_back(std::move(record));
  }
  if (const auto last = TRY(seen())) prove_seen(*last, chain);
  if (chain.problems.empty() && !chain.records.empty()) note_seen(chain.records.back());
  return chain;
}

void EvidenceLog::prove_seen(const Seen& seen, EvidenceChain& chain) const {
  const auto at = std::find_if(chain.records.begin(), chain.records.end(),
                               [&](const Evidence& record) { return record.sequence == seen.sequence; });
  if (at == chain.records.end()) {
    chain.problems.push_back(fmt::format("record {}, which this machine has seen, is not there", seen.sequence));
  } else if (at->digest != seen.digest && at->digest != kUnreadable) {
    chain.problems.push_back(fmt::format("record {} is not the one that this machine has seen", seen.sequence));
  }
}

Result<std::optional<EvidenceLog::Seen>> EvidenceLog::seen() {
  const auto content = read_file(fs_, head_path_, kMaxHeadBytes);
  if (!content.ok()) {
    // Another account's registry says nothing to us.
    const ErrorCode code = content.error().code();
    if (code == ErrorCode::kNotFound || code == ErrorCode::kPermission) return std::optional<Seen>();
    return content.error().clone();
  }
  const auto json = nlohmann::json::parse(as_text(*content), nullptr, false);
  try {
    return std::optional<Seen>({whole_number<uint64_t>(json, "sequence"), json.at("digest").get<std::string>()});
  } catch (const nlohmann::json::exception&) {
    return make_error(ErrorCode::kInvalidData, "{} does not say which evidence was seen last", head_path_)
        .with_hint("remove it, when you know why it is so: the chain is then proven without it");
  }
}

// Whether the log has the record as it was seen.
bool EvidenceLog::keeps(const Seen& seen) {
  EvidenceChain unused;
  const auto record = read_record(seen.sequence, unused);
  return record.ok() && record->digest == seen.digest;
}

// A machine that can't keep it proves less, and nothing else. What it saw last is noted over
// only where it is there still: a record that is missed must stay so.
void EvidenceLog::note_seen(const Evidence& record) {
  const auto last = seen();
  if (!last.ok() || (*last && ((**last).sequence >= record.sequence || !keeps(**last)))) return;
  const nlohmann::ordered_json json = {{"sequence", record.sequence}, {"digest", record.digest}};
  auto written = make_directories(fs_, parent_path(head_path_));
  if (written.ok()) written = write_file_durably(fs_, head_path_, as_bytes(json.dump() + "\n"));
  if (!written.ok()) log_warn("recovery.evidence.head", {{"path", head_path_}, {"error", written.error().text()}});
}

Result<Evidence> EvidenceLog::newest() {
  const std::vector<uint64_t> all = TRY(sequences());
  if (all.empty()) return Evidence{0, no_digest(), nullptr};
  EvidenceChain unused;
  return read_record(all.back(), unused);
}

Result<Evidence> EvidenceLog::append(nlohmann::json body) {
  body["format"] = kFormat;
  for (int attempt = 0; attempt < kAttemptsToAppend; attempt++) {
    const Evidence last = TRY(newest());
    body["sequence"] = last.sequence + 1;
    body["previous"] = last.digest;
    repo::LogRecord record;
    record.name = record_name(last.sequence + 1);
    record.body = canonical(body);
    const crypto::Sha256Digest digest = crypto::sha256(record.body.view());
    record.header = Bytes::copy_of(ByteView(digest.data(), digest.size()));
    auto stored = logs_->put(stream_, record);
    if (!stored.ok() && stored.error().code() == ErrorCode::kMismatch) continue;  // another drill took the number
    TRY_CONTEXT(std::move(stored), "storing the evidence");
    // As it will be read: what was not UTF-8 is replaced.
    Evidence evidence{last.sequence + 1, digest_of(record.body.view()), nlohmann::json::parse(as_text(record.body))};
    note_seen(evidence);
    return evidence;
  }
  return make_error(ErrorCode::kUnavailable, "other drills store evidence faster than this one can");
}

}  // namespace holdfast::recovery
