#include "crypto/kdf.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>

#include <memory>

#include "base/check.h"

namespace holdfast::crypto {

Key hkdf(const Key& key, ByteView salt, std::string_view purpose) {
  static EVP_KDF* const algorithm = EVP_KDF_fetch(nullptr, "HKDF", nullptr);
  CHECK_MSG(algorithm != nullptr, "this OpenSSL has no HKDF");
  const std::unique_ptr<EVP_KDF_CTX, void (*)(EVP_KDF_CTX*)> context(EVP_KDF_CTX_new(algorithm), EVP_KDF_CTX_free);
  CHECK(context != nullptr);
  // The parameters are read only, but OpenSSL's constructors take non-const pointers.
  const auto octets = [](const char* name, ByteView bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(bytes.data()), bytes.size());
  };
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
      octets(OSSL_KDF_PARAM_KEY, key.reveal()),
      octets(OSSL_KDF_PARAM_SALT, salt),
      octets(OSSL_KDF_PARAM_INFO, as_bytes(purpose)),
      OSSL_PARAM_construct_end(),
  };
  Key derived;
  CHECK(EVP_KDF_derive(context.get(), derived.mutable_bytes().data(), kKeyBytes, parameters) == 1);
  return derived;
}

Result<Key> argon2id(const Secret& passphrase, ByteView salt, const ArgonCost& cost) {
  if (salt.size() != kArgonSaltBytes || cost.memory_bytes < kArgonMinimum.memory_bytes ||
      cost.memory_bytes > kArgonLimit.memory_bytes || cost.passes < kArgonMinimum.passes ||
      cost.passes > kArgonLimit.passes) {
    return make_error(ErrorCode::kInvalidData,
                      "key derivation with {} bytes of memory and {} passes is outside the limits", cost.memory_bytes,
                      cost.passes);
  }
  static_assert(kArgonSaltBytes == crypto_pwhash_argon2id_SALTBYTES);
  static_assert(kArgonMinimum.memory_bytes == crypto_pwhash_argon2id_MEMLIMIT_MIN);
  CHECK_MSG(sodium_init() >= 0, "libsodium does not start");
  Key key;
  const ByteView text = passphrase.reveal();
  const int outcome =
      crypto_pwhash_argon2id(key.mutable_bytes().data(), kKeyBytes, as_text(text).data(), text.size(), salt.data(),
                             cost.passes, cost.memory_bytes, crypto_pwhash_argon2id_ALG_ARGON2ID13);
  if (outcome != 0) {
    return make_error(ErrorCode::kNoSpace, "no memory to derive the key: {} bytes are needed", cost.memory_bytes);
  }
  return key;
}

}  // namespace holdfast::crypto
