#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "source/redis/byte_source.h"
#include "source/redis/dump_payload.h"
#include "source/redis/pipeline.h"
#include "source/redis/rdb_reader.h"

namespace holdfast::redis {

// Opens an RDB from its beginning; asked more than once.
using OpenRdb = std::function<Result<std::unique_ptr<ByteSource>>()>;

// What is learnt of an RDB before any of it is sent.
struct RdbSurvey {
  RdbSummary summary;
  struct Large {
    uint64_t offset = 0, bytes = 0;  // of the key's record; of its value
  };
  std::vector<Large> large;  // values that are streamed, in order: at most one for each MiB
  uint64_t largest_bytes = 0;
  std::string largest_key;  // for people
  uint32_t largest_db = 0;
  std::string module_key;  // for people: the first whose value is a module's; ""
};
Result<RdbSurvey> survey_rdb(const OpenRdb& open);

// "list 'jobs' of database 3"
std::string describe(const RdbKey& key);

// Writes keys of an RDB as RESTORE commands. A RESTORE says its value's length before
// the value: small values are gathered, of large ones the survey knows it, and they
// pass through. One key after the other: begin(), value() as often as it comes, end().
// What it is made with must outlive it.
class RestoreWriter {
 public:
  RestoreWriter(Pipeline& pipeline, const RdbSurvey& survey, bool replace)
      : pipeline_(pipeline), survey_(survey), replace_(replace), footer_(survey.summary.version) {}
  // The key will be called `name`.
  Result<void> begin(const RdbKey& key, std::string_view name);
  Result<void> value(ByteView bytes);
  Result<void> end(uint64_t value_bytes, Pipeline::OnReply on_reply);

 private:
  Result<void> put_line(char mark, uint64_t number);
  Result<void> put_word(std::string_view word);
  Result<void> put_head(uint64_t value_bytes);
  std::vector<std::string> options() const;

  Pipeline& pipeline_;
  const RdbSurvey& survey_;
  const bool replace_;
  size_t next_large_ = 0;
  bool streaming_ = false;
  RdbKey key_;
  std::string name_;
  DumpFooter footer_;
  Bytes gathered_;
};

}  // namespace holdfast::redis
