// RDB files: as they are, and once more with a right beginning, which mutations seldom
// leave alone. Pieces of a value must add up to what its key's end says.

#include <string>

#include "source/redis/lzf.h"
#include "source/redis/rdb_reader.h"

namespace {

using namespace holdfast;

class Counter : public redis::RdbVisitor {
 public:
  Result<void> begin_key(const redis::RdbKey& key) override {
    CHECK(!redis::type_name(key.type).empty());
    ignore(Result<std::string>(redis::printable_key(key.key)), "must not crash");
    bytes_ = 0;
    return {};
  }
  Result<void> value(ByteView bytes) override {
    bytes_ += bytes.size();
    return {};
  }
  Result<void> end_key(uint64_t bytes) override {
    CHECK(bytes == bytes_);
    return {};
  }

 private:
  uint64_t bytes_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Counter counter;
  redis::MemorySource source(ByteView(data, size));
  ignore(redis::read_rdb(source, counter), "must not crash");
  const std::string begun = "REDIS0011" + std::string(as_text(ByteView(data, size)));
  redis::MemorySource again(as_bytes(begun));
  ignore(redis::read_rdb(again, counter), "must not crash");
  if (size > 0) {
    const auto unpacked = redis::unpack_lzf(as_text(ByteView(data + 1, size - 1)), data[0]);
    if (unpacked.ok()) CHECK(unpacked.value().size() == data[0]);
  }
  return 0;
}
