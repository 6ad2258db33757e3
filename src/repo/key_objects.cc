#include <set>

#include "crypto/digest.h"
#include "repo/access.h"
#include "repo/config.h"
#include "repo/key_slot.h"
#include "repo/read_whole.h"

// What a repository can't be opened without, looked at object by object. Reading
// takes whichever copy is good; only this tells that one of them is not.

namespace holdfast::repo {

namespace {

using Report = std::function<void(const std::string&, const Error&)>;

Result<void> check_config(RepositoryAccess& repository, const Report& damaged) {
  for (const std::string& name : {std::string(kConfigName), std::string(kConfigCopyName)}) {
    const auto object = read_whole(repository.store(), name);
    if (!object.ok() && object.error().code() == ErrorCode::kNotFound && name == kConfigCopyName)
      continue;  // init was cut short
    const auto config = object.ok() ? decode_config(object->view(), name) : Result<Config>(object.error().clone());
    if (!config.ok())
      damaged(name, config.error());
    else if (config->repository_id != repository.id()) {
      damaged(name, make_error(ErrorCode::kDamaged, "object {} is of repository {}", name, config->repository_id));
    }
  }
  return {};
}

Result<void> check_slots(RepositoryAccess& repository, const Report& damaged) {
  for (const StoredSlot& slot : TRY(read_slots(repository.store(), repository.id(), damaged))) {
    const auto fields = decode_slot_fields(repository.keys().root(), slot.object.view(), slot.name);
    if (!fields.ok()) damaged(slot.name, fields.error());
  }
  return {};
}

Result<void> check_epochs(RepositoryAccess& repository, const Report& damaged) {
  std::set<std::string> names;
  TRY(repository.store().list(kEpochsPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (epoch_of_name(info.name, repository.id())) names.insert(info.name);
    return {};
  }));
  for (const std::string& name : names) {
    const auto object = read_whole(repository.store(), name);
    const auto checked =
        object.ok() ? check_epoch(repository.keys(), object->view(), name) : Result<void>(object.error().clone());
    if (!checked.ok()) damaged(name, checked.error());
  }
  for (const uint32_t number : repository.keys().epochs()) {
    const std::string name = epoch_name(number, repository.id());
    if (!names.contains(name)) damaged(name, make_error(ErrorCode::kDamaged, "object {} is gone", name));
  }
  return {};
}

}  // namespace

Result<void> check_key_objects(RepositoryAccess& repository, const Report& damaged) {
  TRY(check_config(repository, damaged));
  TRY(check_slots(repository, damaged));
  return check_epochs(repository, damaged);
}

}  // namespace holdfast::repo
