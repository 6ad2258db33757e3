// The plaintext of an index object, and the object itself.

#include "fuzz_keys.h"
#include "repo/index.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const ByteView input(data, size);
  ignore(fuzz::keys().open(repo::ObjectType::kIndex, input, {}, "fuzz"), "must not crash");
  auto parts = repo::decode_index(input);
  if (!parts.ok()) return 0;
  CHECK_MSG(equal(repo::encode_index(*parts).view(), input), "what decodes must encode to the same bytes");
  const auto index = repo::Index::from_parts(std::move(parts).value());
  for (const repo::IndexEntry& entry : index->entries()) CHECK(!index->find(entry.id).empty());
  return 0;
}
