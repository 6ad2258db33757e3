#include <algorithm>
#include <optional>

#include "base/log.h"
#include "repo/access.h"
#include "repo/config.h"
#include "repo/host.h"
#include "repo/key_slot.h"
#include "repo/open_repository.h"
#include "store/names.h"

// Creating and opening a repository. `config` is made last and exclusively, so that
// a location is a repository only when its keys are there, and of two that are made
// at once in one place one wins: key slots and epochs carry the repository's id, and
// those of another are not looked at.

namespace holdfast::repo {

namespace {

// Fails unless the location is empty or holds only what an init that never ended left.
Result<void> ensure_empty(store::ObjectStore& store) {
  bool has_config = false;
  std::string other;
  TRY(store.list("", [&](const store::ObjectInfo& info) -> Result<void> {
    has_config |= info.name == kConfigName || info.name == kConfigCopyName;
    const bool left_over = info.name.starts_with(kKeysPrefix) || info.name.starts_with(kEpochsPrefix) ||
                           store::is_temporary_name(info.name);
    if (!left_over && other.empty()) other = info.name;
    return {};
  }));
  // What a store hides as unfinished objects of its own may be somebody's files.
  TRY(store.list(store::kTemporaryPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (!store::is_temporary_name(info.name) && other.empty()) other = info.name;
    return {};
  }));
  if (has_config) {
    return make_error(ErrorCode::kAlreadyExists, "there is a repository at {} already", store.location())
        .with_hint("it can be used as it is; for a new one give another location");
  }
  if (other.empty()) return {};
  if (auto lost = TRY(lost_config(store)))
    return std::move(*lost).with_hint(
        "bring back either of the two from a copy of the repository; for a new one give another location");
  return make_error(ErrorCode::kTargetNotEmpty, "{} holds {}, which is not of a repository", store.location(), other)
      .with_hint("give an empty or new location");
}

// A collection that saw the first object without its copy may have made it.
Result<void> create_copy(store::ObjectStore& store, const std::string& name, ByteView object) {
  auto created = store.create(name, object);
  if (!created.ok() && created.error().code() == ErrorCode::kAlreadyExists) return {};
  return created;
}

Result<void> store_config(store::ObjectStore& store, const Config& config) {
  const Bytes object = encode_config(config);
  TRY(store.create(kConfigName, object.view()));
  return create_copy(store, std::string(kConfigCopyName), object.view());
}

struct OpenedSlot {
  crypto::Key root;
  std::string id;
};

// Anybody who may write here can add a slot that takes long to try: those come last.
bool cheaper_to_try(const StoredSlot& a, const StoredSlot& b) {
  const auto cost = [](const StoredSlot& slot) {
    const auto header = decode_slot_header(slot.object.view(), slot.name);
    return header.ok() ? std::pair(header->cost.memory_bytes, header->cost.passes) : std::pair(UINT64_MAX, UINT32_MAX);
  };
  return cost(a) < cost(b);
}

Result<OpenedSlot> open_any_slot(store::ObjectStore& store, const std::string& repository_id,
                                 const Secret& passphrase) {
  std::vector<std::string> broken;
  auto slots = TRY(read_slots(store, repository_id, [&](const std::string& name, const Error& error) {
    log_warn("repo.key.damaged", {{"object", name}, {"error", error.text()}});
    broken.push_back(name);
  }));
  std::sort(slots.begin(), slots.end(), cheaper_to_try);
  PassphraseKeys keys(passphrase, repository_id);
  std::optional<Error> untried;
  bool wrong_passphrase = false;
  for (const StoredSlot& slot : slots) {
    auto root = open_slot(keys, slot.object.view(), slot.name);
    if (root.ok()) return OpenedSlot{std::move(root).value(), slot.id};
    if (root.error().code() == ErrorCode::kWrongPassphrase) {
      wrong_passphrase = true;
      continue;
    }
    // A slot that can't be tried, such as one of absurd cost that anybody who may write here
    // can have made, keeps nobody from the others.
    log_warn("repo.key.damaged", {{"object", slot.name}, {"error", root.error().text()}});
    broken.push_back(slot.name);
    if (!untried) untried = std::move(root).error();
  }
  if (untried && !wrong_passphrase) return std::move(*untried);
  if (slots.empty()) {
    return make_error(ErrorCode::kDamaged, "no key slot of the repository at {} can be read", store.location())
        .with_hint("bring back any object of its keys/ folder from a copy");
  }
  Error wrong = make_error(ErrorCode::kWrongPassphrase, "no key of the repository at {} opens with this passphrase",
                           store.location());
  if (broken.empty()) return wrong;
  return std::move(wrong).with_hint(fmt::format("object {} could not be tried", broken.front()));
}

}  // namespace

Result<void> store_epoch(store::ObjectStore& store, const KeySet& keys, const EpochKey& epoch,
                         const crypto::Key& id_key, Random& random) {
  const std::string name = epoch_name(epoch.number, keys.repository_id());
  const Bytes object = encode_epoch(keys, epoch, id_key, random);
  TRY(store.create(name, object.view()));
  return create_copy(store, name + std::string(kCopySuffix), object.view());
}

Result<std::unique_ptr<Repository>> init_repository(Environment environment, const Secret& passphrase,
                                                    const InitOptions& options) {
  // 1. Nothing else may be there.
  store::ObjectStore& store = environment.store;
  if (passphrase.empty()) return make_error(ErrorCode::kUsage, "the passphrase is empty");
  TRY(ensure_empty(store));
  // 2. Keys.
  std::array<uint8_t, 16> id;
  environment.random.fill(id);
  const Config config{to_hex(id), environment.clock.now()};
  auto keys = std::make_unique<KeySet>(config.repository_id, crypto::Key::generate(environment.random));
  EpochKey epoch{1, config.created, crypto::Key::generate(environment.random)};
  const crypto::Key id_key = crypto::Key::generate(environment.random);
  PassphraseKeys derived(passphrase, config.repository_id);
  const SlotFields fields{{options.kdf_memory_bytes, options.kdf_passes}, "first", host_name(), config.created};
  const Bytes slot = TRY(encode_slot(derived, config.repository_id, keys->root(), fields, environment.random));
  const std::string slot_id = TRY(store_slot(store, slot.view()));
  TRY(store_epoch(store, *keys, epoch, id_key, environment.random));
  // 3. From here on it is a repository.
  TRY(store_config(store, config));
  keys->add_epoch(std::move(epoch), id_key);
  log_info("repo.created", {{"location", store.location()}, {"id", config.repository_id}});
  return make_open_repository(environment, std::move(keys), slot_id);
}

Result<std::unique_ptr<Repository>> open_repository(Environment environment, const Secret& passphrase) {
  const Config config = TRY(read_config(environment.store));
  OpenedSlot slot = TRY(open_any_slot(environment.store, config.repository_id, passphrase));
  auto keys = std::make_unique<KeySet>(config.repository_id, std::move(slot.root));
  TRY_CONTEXT(keys->load_epochs(environment.store), "can't read the keys of the repository at {}",
              environment.store.location());
  return make_open_repository(environment, std::move(keys), std::move(slot.id));
}

}  // namespace holdfast::repo
