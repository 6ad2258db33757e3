#include "crypto/digest.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace holdfast::crypto {

namespace {

// Fetched once: looking an algorithm up takes longer than hashing a small message.
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  CHECK_MSG(algorithm != nullptr, "this OpenSSL has no SHA-256");
  return algorithm;
}

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

Context make_context() {
  Context context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  CHECK(EVP_DigestInit_ex(context.get(), sha256_algorithm(), nullptr) == 1);
  return context;
}

Sha256Digest finish_context(EVP_MD_CTX* context) {
  Sha256Digest digest;
  unsigned length = 0;
  CHECK(EVP_DigestFinal_ex(context, digest.data(), &length) == 1 && length == digest.size());
  return digest;
}

void add(EVP_MD_CTX* context, ByteView bytes) {
  if (!bytes.empty()) CHECK(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
}

EVP_MD_CTX* scratch_context() {
  thread_local const Context context(EVP_MD_CTX_new());
  CHECK(context != nullptr);
  return context.get();
}

}  // namespace

Sha256Digest sha256(ByteView bytes) {
  EVP_MD_CTX* context = scratch_context();
  CHECK(EVP_DigestInit_ex(context, sha256_algorithm(), nullptr) == 1);
  add(context, bytes);
  return finish_context(context);
}

struct Sha256::State {
  Context context = make_context();
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::~Sha256() = default;
void Sha256::update(ByteView bytes) { add(state_->context.get(), bytes); }
Sha256Digest Sha256::finish() { return finish_context(state_->context.get()); }

// HMAC by its definition, from two saved states: EVP_MAC would hash the key's two
// pads again for every message, which for small blocks is half of the work.
struct HmacSha256::State {
  Context inner = make_context();
  Context outer = make_context();
};

HmacSha256::HmacSha256(const Key& key) : state_(std::make_unique<State>()) {
  constexpr size_t kHashBlockBytes = 64;
  std::array<uint8_t, kHashBlockBytes> pad{};
  for (size_t i = 0; i < kHashBlockBytes; i++) pad[i] = (i < kKeyBytes ? key.reveal()[i] : 0) ^ 0x36;
  add(state_->inner.get(), pad);
  for (uint8_t& byte : pad) byte ^= 0x36 ^ 0x5c;
  add(state_->outer.get(), pad);
  wipe(pad);
}

HmacSha256::~HmacSha256() = default;
HmacSha256::HmacSha256(HmacSha256&&) noexcept = default;
HmacSha256& HmacSha256::operator=(HmacSha256&&) noexcept = default;

Sha256Digest HmacSha256::of(ByteView prefix, ByteView bytes) const {
  EVP_MD_CTX* context = scratch_context();
  CHECK(EVP_MD_CTX_copy_ex(context, state_->inner.get()) == 1);
  add(context, prefix);
  add(context, bytes);
  const Sha256Digest inner = finish_context(context);
  CHECK(EVP_MD_CTX_copy_ex(context, state_->outer.get()) == 1);
  add(context, inner);
  return finish_context(context);
}

}  // namespace holdfast::crypto
