#include "repo/key_slot.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/encoding.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "repo/access.h"
#include "repo/object_names.h"
#include "repo/read_whole.h"
#include "repo/sealed_object.h"

namespace holdfast::repo {

namespace {

// Object header | repository id 16 | memory u64 | passes u32 | sealed root 48 | sealed fields
constexpr size_t kIdBytes = 16;
constexpr size_t kPrefixBytes = ObjectHeader::kBytes + kIdBytes + 8 + 4;
constexpr size_t kSealedRootBytes = crypto::kKeyBytes + crypto::kTagBytes;
constexpr size_t kMaxTextBytes = 1024;
constexpr size_t kMaxSlotBytes = 64 << 10;
constexpr std::string_view kRootPurpose = "holdfast key slot: root key";
constexpr std::string_view kFieldsPurpose = "holdfast key slot: fields";

Error damaged(const std::string& name, std::string_view problem) {
  return make_error(ErrorCode::kDamaged, "object {} is damaged: {}", name, problem);
}

Bytes encode_fields(const SlotFields& fields) {
  ByteWriter writer;
  writer.u64(static_cast<uint64_t>(fields.created.ns));
  writer.string(std::string_view(fields.label).substr(0, kMaxTextBytes));
  writer.string(std::string_view(fields.host).substr(0, kMaxTextBytes));
  return writer.take();
}

Bytes sealed_under(const crypto::Key& key, ByteView aad, ByteView plain) {
  Bytes sealed(plain.size() + crypto::kTagBytes);
  crypto::seal(key, crypto::counter_nonce(0), {aad, {}}, plain, sealed.mutable_view());
  return sealed;
}

}  // namespace

PassphraseKeys::PassphraseKeys(const Secret& passphrase, std::string repository_id)
    : passphrase_(passphrase), repository_id_(std::move(repository_id)) {}

Result<const crypto::Key*> PassphraseKeys::key(const crypto::ArgonCost& cost) {
  for (const auto& derived : derived_) {
    if (derived->cost.memory_bytes == cost.memory_bytes && derived->cost.passes == cost.passes) return &derived->key;
  }
  const Bytes salt = from_hex(repository_id_);
  derived_.push_back(std::make_unique<Derived>(Derived{cost, TRY(crypto::argon2id(passphrase_, salt.view(), cost))}));
  return &derived_.back()->key;
}

Result<Bytes> encode_slot(PassphraseKeys& passphrase, const std::string& repository_id, const crypto::Key& root,
                          const SlotFields& fields, Random& random) {
  const crypto::Key* const passphrase_key = TRY(passphrase.key(fields.cost));
  const ObjectHeader header = new_object_header(ObjectType::kKeySlot, 0, random);
  ByteWriter writer;
  writer.raw(header.encode());
  writer.raw(from_hex(repository_id).view());
  writer.u64(fields.cost.memory_bytes);
  writer.u32(fields.cost.passes);
  CHECK(writer.size() == kPrefixBytes);
  const Bytes prefix = Bytes::copy_of(writer.view());
  writer.raw(
      sealed_under(crypto::hkdf(*passphrase_key, header.salt, kRootPurpose), prefix.view(), root.reveal()).view());
  writer.raw(sealed_under(crypto::hkdf(root, header.salt, kFieldsPurpose), prefix.view(), encode_fields(fields).view())
                 .view());
  return writer.take();
}

Result<SlotHeader> decode_slot_header(ByteView object, const std::string& name) {
  TRY(parse_object_header(object, ObjectType::kKeySlot, name));
  if (object.size() < kPrefixBytes + kSealedRootBytes + crypto::kTagBytes || object.size() > kMaxSlotBytes) {
    return damaged(name, "it has the wrong size");
  }
  ByteReader reader(object.subspan(ObjectHeader::kBytes));
  SlotHeader header;
  header.repository_id = to_hex(TRY(reader.raw(kIdBytes)));
  header.cost.memory_bytes = TRY(reader.u64());
  header.cost.passes = TRY(reader.u32());
  return header;
}

Result<crypto::Key> open_slot(PassphraseKeys& passphrase, ByteView object, const std::string& name) {
  const SlotHeader slot = TRY(decode_slot_header(object, name));
  const ObjectHeader header = TRY(parse_object_header(object, ObjectType::kKeySlot, name));
  const crypto::Key* const passphrase_key = TRY_CONTEXT(passphrase.key(slot.cost), "key slot {}", name);
  const crypto::Key key = crypto::hkdf(*passphrase_key, header.salt, kRootPurpose);
  crypto::Key root;
  if (!crypto::open(key, crypto::counter_nonce(0), {object.first(kPrefixBytes), {}},
                    object.subspan(kPrefixBytes, kSealedRootBytes), root.mutable_bytes())) {
    return make_error(ErrorCode::kWrongPassphrase, "key slot {} does not open with this passphrase", name);
  }
  return root;
}

Result<SlotFields> decode_slot_fields(const crypto::Key& root, ByteView object, const std::string& name) {
  const SlotHeader slot = TRY(decode_slot_header(object, name));
  const ObjectHeader header = TRY(parse_object_header(object, ObjectType::kKeySlot, name));
  const ByteView sealed = object.subspan(kPrefixBytes + kSealedRootBytes);
  Bytes plain(sealed.size() - crypto::kTagBytes);
  if (!crypto::open(crypto::hkdf(root, header.salt, kFieldsPurpose), crypto::counter_nonce(0),
                    {object.first(kPrefixBytes), {}}, sealed, plain.mutable_view())) {
    return damaged(name, "its label does not open");
  }
  ByteReader reader(plain.view());
  SlotFields fields;
  fields.cost = slot.cost;
  fields.created = Time{static_cast<int64_t>(TRY(reader.u64()))};
  fields.label = TRY(reader.string(kMaxTextBytes));
  fields.host = TRY(reader.string(kMaxTextBytes));
  TRY(reader.end());
  return fields;
}

Result<std::vector<StoredSlot>> read_slots(store::ObjectStore& store, const std::string& repository_id,
                                           const std::function<void(const std::string&, const Error&)>& on_damaged) {
  std::map<std::string, std::vector<std::string>> names;  // id -> object, copy
  TRY(store.list(kKeysPrefix, [&](const store::ObjectInfo& info) -> Result<void> {
    std::string_view id = std::string_view(info.name).substr(kKeysPrefix.size());
    if (id.ends_with(kCopySuffix)) id.remove_suffix(kCopySuffix.size());
    names[std::string(id)].push_back(info.name);
    return {};
  }));
  std::vector<StoredSlot> slots;
  for (const auto& [id, objects] : names) {
    std::optional<StoredSlot> good;
    for (const std::string& name : objects) {
      auto object = read_whole(store, name);
      if (object.ok() && to_hex(crypto::sha256(object->view())) != id)
        object = damaged(name, "its bytes are not those that its name stands for");
      auto header = object.ok() ? decode_slot_header(object->view(), name) : Result<SlotHeader>(object.error().clone());
      if (header.ok() && header->repository_id != repository_id) continue;  // left by an init that lost a race
      if (!header.ok())
        on_damaged(name, header.error());
      else if (!good)
        good = StoredSlot{id, name, std::move(object).value()};
    }
    if (good) slots.push_back(std::move(*good));
  }
  return slots;
}

Result<std::string> store_slot(store::ObjectStore& store, ByteView object) {
  const ObjectDigest digest = TRY_CONTEXT(create_digested(store, kKeysPrefix, object), "can't store the key slot");
  const std::string id = digest.hex();
  auto copied = store.create(fmt::format("{}{}{}", kKeysPrefix, id, kCopySuffix), object);
  if (!copied.ok() && copied.error().code() != ErrorCode::kAlreadyExists) return std::move(copied).error();
  return id;
}

Result<void> remove_slot(store::ObjectStore& store, const std::string& id) {
  const std::string name = std::string(kKeysPrefix) + id;
  for (const std::string& object : {name + std::string(kCopySuffix), name}) {
    auto removed = store.remove(object);
    if (!removed.ok() && removed.error().code() != ErrorCode::kNotFound) return removed;
  }
  return {};
}

}  // namespace holdfast::repo
