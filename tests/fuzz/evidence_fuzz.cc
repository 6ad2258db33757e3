// The records of drills, as they are read: the body of one and, when the first byte is odd, a digest
// of something else.

#include "crypto/digest.h"
#include "fuzz_repository.h"
#include "recovery/evidence.h"
#include "repo/log_store.h"

namespace {

using namespace holdfast;

constexpr const char* kFirst = "0000000001";
constexpr const char* kSecond = "0000000002";

Result<void> store_record(repo::LogStore& logs, const std::string& stream, ByteView body, bool right) {
  crypto::Sha256Digest digest = crypto::sha256(body);
  if (!right) digest[0] ^= 1;
  repo::LogRecord record{kFirst, Bytes::copy_of(ByteView(digest.data(), digest.size())), Bytes::copy_of(body)};
  TRY(logs.put(stream, record));
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  auto& fuzz = fuzz::FuzzRepository::get();
  const auto logs = repo::open_log_store(*fuzz.repository);
  const std::string stream = recovery::EvidenceLog::stream_of("fuzz");
  const bool right = data[0] % 2 == 0;
  CHECK(store_record(*logs, stream, ByteView(data + 1, size - 1), right).ok());

  // No registry: what this machine has seen is not asked.
  recovery::EvidenceLog evidence(*fuzz.repository, real_file_system(), "fuzz", "/proc/no-registry");
  const auto chain = evidence.read();
  CHECK_MSG(chain.ok() && chain->records.size() == 1, "damage is a problem of the chain, not an error");
  CHECK_MSG(right || !chain->problems.empty(), "a wrong digest is noticed");
  const auto appended = evidence.append({{"outcome", "passed"}});
  CHECK(appended.ok() && appended->sequence == 2);
  const auto again = evidence.read();
  CHECK(again.ok() && again->records.size() == 2 && again->problems.size() >= chain->problems.size());
  for (const char* name : {kFirst, kSecond}) CHECK(logs->remove(stream, name).ok());
  return 0;
}
