#include "repo/key_copies.h"

#include <functional>
#include <set>

#include "base/log.h"
#include "repo/config.h"
#include "repo/key_slot.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"

namespace holdfast::repo {

namespace {

using Proof = std::function<Result<void>(ByteView object, const std::string& name)>;

bool is_absent(store::ObjectStore& store, const std::string& name) {
  const auto there = store.stat(name);
  return !there.ok() && there.error().code() == ErrorCode::kNotFound;
}

Result<void> complete_pair(store::ObjectStore& store, Lease& lease, const std::string& first, const std::string& second,
                           const Proof& prove) {
  const bool lacks_first = is_absent(store, first), lacks_second = is_absent(store, second);
  if (lacks_first == lacks_second) return {};
  const std::string &from = lacks_first ? second : first, &to = lacks_first ? first : second;
  const Bytes object = TRY(read_whole(store, from));
  // What is damaged is for check to tell, and not to be doubled.
  if (!prove(object.view(), from).ok()) return {};
  TRY(lease.ensure_held(Lease::kCommitMargin));
  auto created = store.create(to, object.view());
  if (!created.ok()) return created.error().code() == ErrorCode::kAlreadyExists ? Result<void>() : std::move(created);
  auto held = lease.ensure_held();
  if (!held.ok()) {
    TRY(store.remove(to));
    return held;
  }
  log_info("repo.key.copied", {{"object", to}});
  return {};
}

}  // namespace

Result<void> complete_key_objects(RepositoryAccess& repository, Lease& lease) {
  store::ObjectStore& store = repository.store();
  const std::string copy(kCopySuffix);
  const auto is_config = [&](ByteView object, const std::string& name) -> Result<void> {
    const Config config = TRY(decode_config(object, name));
    if (config.repository_id == repository.id()) return {};
    return make_error(ErrorCode::kDamaged, "object {} is of another repository", name);
  };
  TRY(complete_pair(store, lease, std::string(kConfigName), std::string(kConfigCopyName), is_config));

  const auto not_here = [](const std::string&, const Error&) {};  // damage is for check to tell
  const auto is_slot = [&](ByteView object, const std::string& name) -> Result<void> {
    TRY(decode_slot_fields(repository.keys().root(), object, name));
    return {};
  };
  for (const StoredSlot& slot : TRY(read_slots(store, repository.id(), not_here))) {
    const std::string name = std::string(kKeysPrefix) + slot.id;
    TRY(complete_pair(store, lease, name, name + copy, is_slot));
  }

  const auto is_epoch = [&](ByteView object, const std::string& name) {
    return check_epoch(repository.keys(), object, name);
  };
  std::set<uint32_t> epochs;
  TRY(store.list(kEpochsPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (const auto number = epoch_of_name(info.name, repository.id())) epochs.insert(*number);
    return {};
  }));
  for (const uint32_t number : epochs) {
    const std::string name = epoch_name(number, repository.id());
    TRY(complete_pair(store, lease, name, name + copy, is_epoch));
  }
  return {};
}

}  // namespace holdfast::repo
