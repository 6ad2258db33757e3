#include "source/redis/restore_command.h"

#include <algorithm>

namespace holdfast::redis {
namespace {

constexpr uint64_t kGatheredBytes = 1 << 20;  // values above are streamed

class Surveyor : public RdbVisitor {
 public:
  explicit Surveyor(RdbSurvey& survey) : survey_(survey) {}

  Result<void> begin_key(const RdbKey& key) override {
    key_ = &key;
    survey_.largest_db = std::max(survey_.largest_db, key.db);
    return {};
  }

  Result<void> end_key(uint64_t bytes) override {
    if (survey_.module_key.empty() && type_name(key_->type) == "module") survey_.module_key = describe(*key_);
    if (bytes > kGatheredBytes) survey_.large.push_back({key_->offset, bytes});
    if (bytes > survey_.largest_bytes) {
      survey_.largest_bytes = bytes;
      survey_.largest_key = describe(*key_);
    }
    return {};
  }

 private:
  RdbSurvey& survey_;
  const RdbKey* key_ = nullptr;  // of the reader, until its end_key()
};

}  // namespace

std::string describe(const RdbKey& key) {
  return fmt::format("{} '{}' of database {}", type_name(key.type), printable_key(key.key), key.db);
}

Result<RdbSurvey> survey_rdb(const OpenRdb& open) {
  RdbSurvey survey;
  Surveyor surveyor(survey);
  auto source = TRY(open());
  survey.summary = TRY(read_rdb(*source, surveyor));
  return survey;
}

Result<void> RestoreWriter::begin(const RdbKey& key, std::string_view name) {
  key_ = key;
  name_ = name;
  footer_ = DumpFooter(survey_.summary.version);
  footer_.add(ByteView(&key_.type, 1));
  gathered_.clear();
  streaming_ = next_large_ < survey_.large.size() && survey_.large[next_large_].offset == key.offset;
  return streaming_ ? put_head(survey_.large[next_large_++].bytes) : Result<void>();
}

Result<void> RestoreWriter::value(ByteView bytes) {
  footer_.add(bytes);
  if (streaming_) return pipeline_.write(bytes);
  gathered_.append(bytes);
  return {};
}

Result<void> RestoreWriter::end(uint64_t value_bytes, Pipeline::OnReply on_reply) {
  if (!streaming_) {
    TRY(put_head(value_bytes));
    TRY(pipeline_.write(gathered_));
  }
  TRY(pipeline_.write(footer_.finish()));
  TRY(pipeline_.write(as_bytes("\r\n")));
  for (const std::string& word : options()) TRY(put_word(word));
  return pipeline_.end(std::move(on_reply));
}

Result<void> RestoreWriter::put_line(char mark, uint64_t number) {
  return pipeline_.write(as_bytes(fmt::format("{}{}\r\n", mark, number)));
}

Result<void> RestoreWriter::put_word(std::string_view word) {
  TRY(put_line('$', word.size()));
  TRY(pipeline_.write(as_bytes(word)));
  return pipeline_.write(as_bytes("\r\n"));
}

std::vector<std::string> RestoreWriter::options() const {
  std::vector<std::string> words = {"ABSTTL"};
  if (replace_) words.emplace_back("REPLACE");
  // A server takes one of them; which one it heeds is its own policy.
  if (key_.frequency) {
    words.insert(words.end(), {"FREQ", std::to_string(*key_.frequency)});
  } else if (key_.idle_seconds) {
    words.insert(words.end(), {"IDLETIME", std::to_string(*key_.idle_seconds)});
  }
  return words;
}

// RESTORE key ttl payload, up to the value. A ttl of 0 is none.
Result<void> RestoreWriter::put_head(uint64_t value_bytes) {
  const int64_t expires = key_.expires_ms ? std::max<int64_t>(*key_.expires_ms, 1) : 0;
  TRY(put_line('*', 4 + options().size()));
  TRY(put_word("RESTORE"));
  TRY(put_word(name_));
  TRY(put_word(std::to_string(expires)));
  TRY(put_line('$', 1 + value_bytes + kDumpFooterBytes));
  return pipeline_.write(ByteView(&key_.type, 1));
}

}  // namespace holdfast::redis
