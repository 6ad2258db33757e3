// Every reader of a pack's bytes: the directory, the search for records, one record,
// and the footer's plaintext, which an attacker could write who holds the key.

#include "fuzz_keys.h"
#include "repo/pack.h"
#include "repo/pack_builder.h"

namespace holdfast::fuzz {
namespace {

// A sound pack with the input's bytes as its blocks, then damaged as the input says:
// random bytes alone never get past the first seal.
void damage_a_sound_pack(ByteView input) {
  if (input.size() < 4) return;
  const auto random = seeded_random(2);
  repo::PackBuilder builder(repo::ObjectType::kDataPack, keys().newest(), 64 << 10, {}, *random);
  const ByteView content = input.subspan(4).first(std::min<size_t>(input.size() - 4, 4096));
  for (const ByteView block : {content, content.first(content.size() / 2)}) {
    const auto place = builder.reserve(keys().id_of(repo::BlockKind::kData, block), repo::BlockKind::kData,
                                       block.size(), block.size());
    builder.fill(place, repo::BlockKind::kData, block.size(), false, block);
  }
  Bytes pack = builder.finish();
  const size_t at = (static_cast<size_t>(input[0]) << 8 | input[1]) % pack.size();
  pack[at] ^= input[2];
  if (input[3] & 1) pack.resize(pack.size() - at % 100 % pack.size());
  const auto scan = repo::scan_pack(keys(), pack.view(), "fuzz");
  if (scan.ok()) CHECK(scan->records.size() <= 2);
  if (!input[2] && !(input[3] & 1)) CHECK(scan.ok() && scan->records.size() == 2 && scan->damage.empty());
}

}  // namespace
}  // namespace holdfast::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace holdfast;
  const ByteView input(data, size);
  ignore(repo::read_directory(fuzz::keys(), input, "fuzz"), "must not crash");
  ignore(repo::scan_pack(fuzz::keys(), input, "fuzz"), "must not crash");
  ignore(repo::parse_record_header(input), "must not crash");
  ignore(repo::decode_directory(input, size), "must not crash");
  CHECK(repo::find_record_headers(input).size() <= size);
  fuzz::damage_a_sound_pack(input);
  return 0;
}
