// Regions, chunks of entries and pages of trees: what decodes must be acceptable to
// the encoder, and come back the same.

#include "repo/extent_codec.h"
#include "repo/tree.h"
#include "repo/tree_codec.h"

namespace {

using namespace holdfast;

void try_region(ByteView input) {
  const auto extents = repo::decode_region(input);
  if (!extents.ok()) return;
  const auto again = repo::decode_region(repo::encode_region(*extents));
  CHECK_MSG(again.ok() && *again == *extents, "a region must survive encoding");
}

void try_page(ByteView input) {
  const auto page = repo::decode_page(input);
  if (!page.ok()) return;
  CHECK_MSG(equal(repo::encode_page(*page).view(), input), "what decodes must encode to the same bytes");
}

void try_chunk(ByteView input) {
  const auto entries = repo::decode_chunk(input);
  if (!entries.ok()) return;
  repo::ChunkEncoder encoder;
  for (const repo::Entry& entry : *entries)
    CHECK_MSG(encoder.add(entry).ok(), "a decoded entry must be one that may be stored");
  const auto again = repo::decode_chunk(encoder.take());
  CHECK_MSG(again.ok() && again->size() == entries->size(), "a chunk must survive encoding");
  for (size_t i = 0; i < again->size(); i++) {
    const repo::Entry& a = (*again)[i];
    const repo::Entry& b = (*entries)[i];
    CHECK(a.path == b.path && a.content == b.content && a.modified == b.modified && a.changed == b.changed &&
          a.captured == b.captured && a.inode == b.inode && a.xattrs == b.xattrs && a.link_target == b.link_target);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const ByteView input(data, size);
  try_region(input);
  try_page(input);
  try_chunk(input);
  return 0;
}
