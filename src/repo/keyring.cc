#include "repo/keyring.h"

#include <algorithm>
#include <set>

#include "base/encoding.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "repo/access.h"
#include "repo/host.h"
#include "repo/key_slot.h"
#include "repo/lease.h"
#include "repo/open_repository.h"
#include "repo/reseal.h"

namespace holdfast::repo {

namespace {

struct OpenedSlot {
  StoredSlot stored;
  SlotFields fields;
};

// Slots that open under the root key, oldest first: those that let somebody in.
Result<std::vector<OpenedSlot>> good_slots(RepositoryAccess& repository) {
  const auto warn = [](const std::string& object, const Error& error) {
    log_warn("repo.key.damaged", {{"object", object}, {"error", error.text()}});
  };
  std::vector<OpenedSlot> good;
  for (StoredSlot& stored : TRY(read_slots(repository.store(), repository.id(), warn))) {
    auto fields = decode_slot_fields(repository.keys().root(), stored.object.view(), stored.name);
    if (fields.ok())
      good.push_back({std::move(stored), std::move(fields).value()});
    else
      warn(stored.name, fields.error());
  }
  std::sort(good.begin(), good.end(), [](const OpenedSlot& a, const OpenedSlot& b) {
    return std::tie(a.fields.created, a.stored.id) < std::tie(b.fields.created, b.stored.id);
  });
  return good;
}

KeySlot describe(const std::string& id, const SlotFields& fields, const RepositoryAccess& repository) {
  return {id,
          fields.label,
          fields.host,
          fields.created,
          fields.cost.memory_bytes,
          fields.cost.passes,
          id == repository.current_slot()};
}

// The slot that this passphrase opens; null when none does.
const OpenedSlot* opened_by(PassphraseKeys& passphrase, const std::vector<OpenedSlot>& slots) {
  const auto found = std::find_if(slots.begin(), slots.end(), [&](const OpenedSlot& slot) {
    return open_slot(passphrase, slot.stored.object.view(), slot.stored.name).ok();
  });
  return found == slots.end() ? nullptr : &*found;
}

// The id of the one slot, intact or not, that begins with `prefix`.
Result<std::string> match_slot(RepositoryAccess& repository, const std::string& prefix) {
  std::set<std::string> found;
  TRY(repository.store().list(kKeysPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    std::string_view id = std::string_view(info.name).substr(kKeysPrefix.size());
    if (id.ends_with(kCopySuffix)) id.remove_suffix(kCopySuffix.size());
    if (id.starts_with(prefix)) found.emplace(id);
    return {};
  }));
  if (found.empty() || prefix.empty()) {
    return make_error(ErrorCode::kNotFound, "there is no key {}", prefix)
        .with_hint("list them with: holdfast key list");
  }
  if (found.size() > 1)
    return make_error(ErrorCode::kUsage, "{} keys begin with {}: give more digits", found.size(), prefix);
  return *found.begin();
}

// 0 of what is damaged or gone. A header alone proves nothing: it may be what is damaged.
Result<uint32_t> epoch_of_object(RepositoryAccess& repository, const std::string& object) {
  const auto bytes = digest_of_name(object).ok() ? read_digested(repository.store(), object)
                                                 : Result<Bytes>(make_error(ErrorCode::kNotFound, "not ours"));
  const auto header = bytes.ok() ? parse_any_object_header(bytes->view(), object) : bytes.error().clone();
  if (header.ok()) return header->epoch;
  if (header.error().code() == ErrorCode::kDamaged || header.error().code() == ErrorCode::kNotFound) return uint32_t{0};
  return header.error().clone();
}

// A number is used once, also where the key of it is lost: what is sealed under it may be there yet.
Result<uint32_t> next_epoch_number(RepositoryAccess& repository) {
  uint32_t last = repository.keys().newest().number;
  for (const std::string_view prefix : {kIndexPrefix, kPointsPrefix}) {
    std::vector<std::string> objects;
    TRY(repository.store().list(prefix, [&](const store::ObjectInfo& info) -> Result<void> {
      objects.push_back(info.name);
      return {};
    }));
    for (const std::string& object : objects) last = std::max(last, TRY(epoch_of_object(repository, object)));
  }
  TRY(repository.store().list(kEpochsPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    last = std::max(last, epoch_of_name(info.name, repository.id()).value_or(0));
    return {};
  }));
  if (last == UINT32_MAX) {
    return make_error(ErrorCode::kRefused, "an object claims to be of epoch {}: no other can begin after it", last)
        .with_hint("no rotation has made it: see what is wrong with: holdfast check");
  }
  return last + 1;
}

Epoch describe(const EpochKey& epoch) {
  Epoch described;
  described.number = epoch.number;
  described.created = epoch.created;
  return described;
}

}  // namespace

Result<std::vector<KeySlot>> list_keys(Repository& repository) {
  RepositoryAccess& ours = access(repository);
  std::vector<KeySlot> slots;
  for (const OpenedSlot& slot : TRY(good_slots(ours))) slots.push_back(describe(slot.stored.id, slot.fields, ours));
  return slots;
}

Result<std::vector<Epoch>> list_epochs(Repository& repository) {
  RepositoryAccess& ours = access(repository);
  TRY(ours.keys().load_epochs(ours.store()));
  const auto index = TRY(ours.index());
  std::vector<Epoch> epochs;
  for (const uint32_t number : ours.keys().epochs()) {
    epochs.push_back(describe(*ours.keys().find(number)));
    for (const PackInfo& pack : index->packs()) {
      if (pack.epoch != number) continue;
      epochs.back().packs++;
      epochs.back().packed_bytes += pack.size_bytes;
    }
  }
  return epochs;
}

namespace {

// A slot is good from its first object on: what failed may have been only the copy.
Error not_stored(RepositoryAccess& repository, ByteView slot, Error error) {
  const std::string id = to_hex(crypto::sha256(slot));
  if (!repository.store().stat(std::string(kKeysPrefix) + id).ok()) return error;
  return std::move(error)
      .with_context(fmt::format("key {} was added and opens the repository, but its second copy could not be stored",
                                id.substr(0, 8)))
      .with_hint("give the same passphrase again once that is mended: it makes the copy");
}

}  // namespace

Result<KeySlot> add_key(Repository& repository, const Secret& passphrase, const std::string& label) {
  RepositoryAccess& ours = access(repository);
  if (passphrase.empty()) return make_error(ErrorCode::kUsage, "the passphrase is empty");
  const auto slots = TRY(good_slots(ours));
  if (slots.empty()) return make_error(ErrorCode::kDamaged, "no key slot of the repository can be read");
  PassphraseKeys derived(passphrase, ours.id());
  if (const OpenedSlot* same = opened_by(derived, slots)) {
    // Whoever added it may not have come to make its copy.
    TRY(store_slot(ours.store(), same->stored.object.view()));
    return make_error(ErrorCode::kAlreadyExists, "key {} has this passphrase already", same->stored.id.substr(0, 8));
  }
  SlotFields fields;
  fields.cost = slots.front().fields.cost;
  for (const OpenedSlot& slot : slots) {
    if (slot.stored.id == ours.current_slot()) fields.cost = slot.fields.cost;
  }
  fields.label = label;
  fields.host = host_name();
  fields.created = ours.clock().now();
  const Bytes object = TRY(encode_slot(derived, ours.id(), ours.keys().root(), fields, ours.random()));
  auto stored = store_slot(ours.store(), object.view());
  if (!stored.ok()) return not_stored(ours, object.view(), std::move(stored).error());
  const std::string id = std::move(stored).value();
  log_info("repo.key.added", {{"key", id}});
  return describe(id, fields, ours);
}

Result<void> remove_key(Repository& repository, const std::string& slot, bool even_in_use) {
  RepositoryAccess& ours = access(repository);
  const std::string id = TRY(match_slot(ours, slot));
  // Two removals at once could each count on the key that the other removes.
  const auto lease = TRY(Lease::take(ours.environment(), {.kind = LeaseKind::kCollector, .purpose = "key removal"}));
  const auto slots = TRY(good_slots(ours));
  const bool others =
      std::any_of(slots.begin(), slots.end(), [&](const OpenedSlot& each) { return each.stored.id != id; });
  if (!others) {
    return make_error(ErrorCode::kRefused, "key {} is the last one: without it nobody could open the repository",
                      id.substr(0, 8))
        .with_hint("add another first: holdfast key add");
  }
  if (id == ours.current_slot() && !even_in_use) {
    return make_error(ErrorCode::kRefused,
                      "key {} is the one that this command opened the repository with: without it every command that "
                      "gives the same passphrase fails",
                      id.substr(0, 8))
        .with_hint("to replace it use 'holdfast key change'; to remove it all the same say --even-in-use");
  }
  TRY(remove_slot(ours.store(), id));
  // Whoever took the lease from us may have made the second object again before the first went.
  TRY_CONTEXT(lease->ensure_held(), "key {} may open the repository still: repeat the command", id.substr(0, 8));
  log_info("repo.key.removed", {{"key", id}});
  return lease->release();
}

Result<KeySlot> change_key(Repository& repository, const Secret& passphrase) {
  RepositoryAccess& ours = access(repository);
  const auto slots = TRY(good_slots(ours));
  std::string label = "changed";
  for (const OpenedSlot& slot : slots) {
    if (slot.stored.id == ours.current_slot()) label = slot.fields.label;
  }
  auto outcome = add_key(repository, passphrase, label);
  if (!outcome.ok() && outcome.error().code() == ErrorCode::kAlreadyExists) {
    // An earlier change was cut short once it had added the key: what is left is its end.
    PassphraseKeys derived(passphrase, ours.id());
    const OpenedSlot* same = opened_by(derived, slots);
    if (same && same->stored.id != ours.current_slot()) outcome = describe(same->stored.id, same->fields, ours);
  }
  KeySlot added = TRY(std::move(outcome));
  TRY_CONTEXT(remove_key(repository, ours.current_slot(), true),
              "the new passphrase is good, but the old one still is too");
  return added;
}

Result<Epoch> rotate_epoch(Repository& repository, bool reseal_all, Progress& progress) {
  RepositoryAccess& ours = access(repository);
  TRY(ours.keys().load_epochs(ours.store()));
  EpochKey epoch{TRY(next_epoch_number(ours)), ours.clock().now(), crypto::Key::generate(ours.random())};
  auto stored = store_epoch(ours.store(), ours.keys(), epoch, ours.keys().id_key(), ours.random());
  if (!stored.ok() && stored.error().code() == ErrorCode::kAlreadyExists) {
    return make_error(ErrorCode::kLocked, "another rotation made epoch {} at the same time", epoch.number)
        .with_retryable();
  }
  TRY(std::move(stored));
  const Epoch described = describe(epoch);
  ours.keys().add_epoch(std::move(epoch), ours.keys().id_key());
  log_info("repo.epoch.begun", {{"epoch", uint64_t{described.number}}});
  // An index of no packs, by which everybody sees that the epoch has begun if its key gets lost.
  const Bytes mark = ours.keys().seal(ObjectType::kIndex, encode_index({}).view(), {}, ours.random());
  TRY_CONTEXT(create_digested(ours.store(), kIndexPrefix, mark.view()), "epoch {} has begun, but", described.number);
  if (!reseal_all) return described;
  const auto failures =
      TRY_CONTEXT(reseal(ours, described.number, progress), "epoch {} has begun, but", described.number);
  if (failures.empty()) return described;
  return make_error(ErrorCode::kIncomplete, "epoch {} has begun, but {} objects stay under older keys: {}: {}",
                    described.number, failures.size(), failures.front().object, failures.front().problem)
      .with_hint("see what it touches: holdfast explain");
}

}  // namespace holdfast::repo
