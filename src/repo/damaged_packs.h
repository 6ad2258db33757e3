#pragma once

#include <set>

#include "base/result.h"
#include "repo/ids.h"
#include "repo/repository.h"

namespace holdfast::repo {

// Which packs were found to be damaged: objects damaged/<pack>, docs/format.md, "Damaged
// packs". Such a pack is not built on, so that the next backup stores anew what it still
// has of it, and collection keeps a block in another pack where there is one. Reading
// goes on trying it: most of its blocks are whole. The note says nothing that can't be
// found out again, and goes with the pack.

// A pack that is noted already stays as it is noted.
Result<void> note_damaged_pack(Environment& environment, const ObjectDigest& pack);
Result<std::set<ObjectDigest>> noted_damaged_packs(store::ObjectStore& store);
// Removes the notes of packs that are not in `stored`.
Result<void> sweep_damaged_notes(store::ObjectStore& store, const std::set<ObjectDigest>& stored);

}  // namespace holdfast::repo
