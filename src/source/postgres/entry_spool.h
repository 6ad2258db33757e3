#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "repo/tree.h"

namespace holdfast::postgres {

// Entries of a snapshot whose tree can't be written yet: backup_label sorts before
// nearly everything and is known last of all, and a base backup comes in the
// server's order. Kept in a compact form (about 130 bytes for a small file, and
// 20 for each further region), so that a million files fit into memory easily.
// Not thread-safe.
class EntrySpool {
 public:
  void add(const repo::Entry& entry);
  size_t size() const { return index_.size(); }

  // Hands all entries to `visit` in the order of trees, and forgets them. Two
  // entries of one path are a defect of the caller: kInternal.
  Result<void> drain(const std::function<Result<void>(const repo::Entry&)>& visit);

 private:
  struct Place {
    uint32_t chunk;
    uint32_t offset;
  };
  ByteView at(Place place) const { return ByteView(chunks_[place.chunk]).subspan(place.offset); }
  std::vector<Bytes> chunks_;
  std::vector<Place> index_;
};

}  // namespace holdfast::postgres
