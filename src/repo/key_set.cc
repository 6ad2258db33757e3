#include "repo/key_set.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/log.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"

namespace holdfast::repo {

namespace {

constexpr size_t kIdKeyDomainBytes = 1;

constexpr size_t kEpochBytes = 2 * crypto::kKeyBytes + sizeof(uint64_t);

// Key bytes that don't outlive their scope, however it is left.
struct Wiped {
  MutableByteView bytes;
  explicit Wiped(MutableByteView view) : bytes(view) {}
  ~Wiped() { crypto::wipe(bytes); }
  Wiped(const Wiped&) = delete;
  Wiped& operator=(const Wiped&) = delete;
};

struct OpenedEpoch {
  EpochKey epoch;
  crypto::Key id_key;
};

// The object is not there, or not whole. Any other trouble may be gone the next time.
bool is_lost(const Error& error) {
  return error.code() == ErrorCode::kNotFound || error.code() == ErrorCode::kDamaged ||
         error.code() == ErrorCode::kInvalidData;
}

Result<OpenedEpoch> open_epoch(const KeySet& keys, uint32_t number, ByteView object, const std::string& name) {
  const ObjectHeader header = TRY(parse_object_header(object, ObjectType::kEpoch, name));
  if (header.epoch != number) return make_error(ErrorCode::kDamaged, "object {} is of epoch {}", name, header.epoch);
  Bytes plain = TRY(open_object(keys.root(), header, object, as_bytes(keys.repository_id()), name));
  const Wiped wiped(plain.mutable_view());
  ByteReader reader(plain.view());
  OpenedEpoch opened;
  opened.epoch.number = number;
  opened.epoch.key = crypto::Key(TRY(reader.raw(crypto::kKeyBytes)));
  opened.id_key = crypto::Key(TRY(reader.raw(crypto::kKeyBytes)));
  opened.epoch.created = Time{static_cast<int64_t>(TRY(reader.u64()))};
  TRY(reader.end());
  return opened;
}

}  // namespace

KeySet::KeySet(std::string repository_id, crypto::Key root)
    : repository_id_(std::move(repository_id)), root_(std::move(root)) {}

Result<void> KeySet::load_epoch(store::ObjectStore& store, uint32_t number) {
  const std::string name = epoch_name(number, repository_id_);
  std::optional<Error> first;
  for (const std::string& copy : {name, name + std::string(kCopySuffix)}) {
    const auto object = read_whole(store, copy);
    auto opened =
        object.ok() ? open_epoch(*this, number, object->view(), copy) : Result<OpenedEpoch>(object.error().clone());
    if (opened.ok()) {
      if (first) log_warn("repo.epoch.copy-used", {{"object", name}, {"error", first->text()}});
      add_epoch(std::move(opened->epoch), opened->id_key);
      return {};
    }
    if (!first || (is_lost(*first) && !is_lost(opened.error()))) first = std::move(opened).error();
  }
  return std::move(*first);
}

Result<bool> KeySet::knows_epoch(store::ObjectStore& store, uint32_t number) {
  if (find(number)) return true;
  auto loaded = load_epoch(store, number);
  if (!loaded.ok() && !is_lost(loaded.error())) return std::move(loaded).error();
  return loaded.ok();
}

// Of this repository, by the names of their objects.
Result<std::set<uint32_t>> KeySet::list_epochs(store::ObjectStore& store) const {
  std::set<uint32_t> numbers;
  TRY(store.list(kEpochsPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    if (const auto number = epoch_of_name(info.name, repository_id_)) numbers.insert(*number);
    return {};
  }));
  if (!numbers.empty()) note_epoch(*numbers.rbegin());
  return numbers;
}

Result<void> KeySet::load_epochs(store::ObjectStore& store) {
  const std::set<uint32_t> numbers = TRY(list_epochs(store));
  std::optional<Error> failure;
  for (const uint32_t number : numbers) {
    if (find(number)) continue;
    if (auto loaded = load_epoch(store, number); !loaded.ok() && !failure) failure = std::move(loaded).error();
  }
  // What is sealed under other epochs can still be read; what needs this one says so then.
  const bool any = !epochs().empty();
  if (failure && any) log_warn("repo.epoch.unreadable", {{"error", failure->text()}});
  if (any) return {};
  if (failure) return std::move(*failure);
  return make_error(ErrorCode::kDamaged, "the repository has no epoch: its objects under epochs/ are gone");
}

void KeySet::add_epoch(EpochKey epoch, const crypto::Key& id_key) {
  const std::lock_guard lock(mutex_);
  if (!id_key_) {
    id_key_ = std::make_unique<crypto::Key>(id_key.clone());
    id_hmac_ = std::make_unique<crypto::HmacSha256>(*id_key_);
  }
  const uint32_t number = epoch.number;
  epochs_.try_emplace(number, std::make_unique<EpochKey>(std::move(epoch)));
}

Result<const crypto::Key*> KeySet::epoch_key(uint32_t number) const {
  if (const EpochKey* epoch = find(number)) return &epoch->key;
  return make_error(ErrorCode::kDamaged, "the key of epoch {} is not known", number)
      .with_hint(fmt::format("object {} is missing or damaged", epoch_name(number, repository_id_)));
}

const EpochKey& KeySet::newest() const {
  const std::lock_guard lock(mutex_);
  CHECK(!epochs_.empty());
  return *epochs_.rbegin()->second;
}

void KeySet::note_epoch(uint32_t number) const {
  const std::lock_guard lock(mutex_);
  newest_seen_ = std::max(newest_seen_, number);
}

Result<void> KeySet::ensure_newest_known(store::ObjectStore& store) {
  TRY(list_epochs(store));
  const uint32_t seen = [&] {
    const std::lock_guard lock(mutex_);
    return newest_seen_;
  }();
  const uint32_t known = newest().number;
  if (seen <= known || TRY(knows_epoch(store, seen))) return {};
  return make_error(ErrorCode::kDamaged,
                    "epoch {} has begun, but its key can't be read: nothing is written under that of epoch {}", seen,
                    known)
      .with_hint(fmt::format("bring back object {} from a copy, or begin another epoch: holdfast key rotate, then "
                             "holdfast check --repair-index",
                             epoch_name(seen, repository_id_)));
}

std::vector<uint32_t> KeySet::epochs() const {
  const std::lock_guard lock(mutex_);
  std::vector<uint32_t> numbers;
  for (const auto& [number, epoch] : epochs_) numbers.push_back(number);
  return numbers;
}

const EpochKey* KeySet::find(uint32_t number) const {
  const std::lock_guard lock(mutex_);
  const auto at = epochs_.find(number);
  return at == epochs_.end() ? nullptr : at->second.get();
}

BlockId KeySet::id_of(BlockKind kind, ByteView plain) const {
  const std::array<uint8_t, kIdKeyDomainBytes> domain{static_cast<uint8_t>(kind)};
  const crypto::Sha256Digest digest = id_hmac_->of(domain, plain);
  BlockId id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

Bytes KeySet::seal(ObjectType type, ByteView plain, std::string_view context, Random& random) const {
  const EpochKey& epoch = newest();
  return seal_object(epoch.key, epoch.number, type, plain, as_bytes(context), random);
}

Result<Bytes> KeySet::open(ObjectType type, ByteView object, std::string_view context, std::string_view name) const {
  const ObjectHeader header = TRY(parse_object_header(object, type, name));
  const crypto::Key* const key = TRY_CONTEXT(epoch_key(header.epoch), "can't open object {}", name);
  return open_object(*key, header, object, as_bytes(context), name);
}

std::string epoch_name(uint32_t number, std::string_view repository_id) {
  return fmt::format("{}{:08d}.{}", kEpochsPrefix, number, repository_id);
}

std::optional<uint32_t> epoch_of_name(std::string_view name, std::string_view repository_id) {
  if (name.ends_with(kCopySuffix)) name.remove_suffix(kCopySuffix.size());
  if (!name.starts_with(kEpochsPrefix)) return std::nullopt;
  uint64_t number = 0;
  for (const char c : name.substr(kEpochsPrefix.size(), name.find('.') - kEpochsPrefix.size())) {
    if (c < '0' || c > '9' || number > UINT32_MAX / 10) return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  if (number == 0 || number > UINT32_MAX) return std::nullopt;
  if (name != epoch_name(static_cast<uint32_t>(number), repository_id)) return std::nullopt;
  return static_cast<uint32_t>(number);
}

Result<void> check_epoch(const KeySet& keys, ByteView object, const std::string& name) {
  TRY(open_epoch(keys, epoch_of_name(name, keys.repository_id()).value_or(0), object, name));
  return {};
}

Bytes encode_epoch(const KeySet& keys, const EpochKey& epoch, const crypto::Key& id_key, Random& random) {
  std::array<uint8_t, kEpochBytes> plain;  // does not move as it grows
  const Wiped wiped(plain);
  ByteWriter created;
  created.u64(static_cast<uint64_t>(epoch.created.ns));
  auto end = std::copy_n(epoch.key.reveal().begin(), crypto::kKeyBytes, plain.begin());
  end = std::copy_n(id_key.reveal().begin(), crypto::kKeyBytes, end);
  std::copy_n(created.view().begin(), created.size(), end);
  return seal_object(keys.root(), epoch.number, ObjectType::kEpoch, plain, as_bytes(keys.repository_id()), random);
}

}  // namespace holdfast::repo
