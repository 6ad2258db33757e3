#include "crypto/aead.h"

#include <openssl/evp.h>

#include <limits>
#include <memory>

#include "base/check.h"

namespace holdfast::crypto {

namespace {

const EVP_CIPHER* gcm_algorithm() {
  static const EVP_CIPHER* const algorithm = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK_MSG(algorithm != nullptr, "this OpenSSL has no AES-256-GCM");
  return algorithm;
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

EVP_CIPHER_CTX* context_of_thread() {
  thread_local const std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context(EVP_CIPHER_CTX_new());
  CHECK(context != nullptr);
  return context.get();
}

constexpr size_t kMaxMessageBytes = std::numeric_limits<int>::max();

}  // namespace

Nonce counter_nonce(uint32_t counter) {
  Nonce nonce{};
  for (size_t i = 0; i < sizeof counter; i++) nonce[i] = static_cast<uint8_t>(counter >> (8 * i));
  return nonce;
}

void seal(const Key& key, const Nonce& nonce, const AssociatedData& aad, ByteView plain, MutableByteView out) {
  CHECK(out.size() == plain.size() + kTagBytes);
  CHECK(plain.size() <= kMaxMessageBytes);
  EVP_CIPHER_CTX* context = context_of_thread();
  int length = 0;
  CHECK(EVP_EncryptInit_ex2(context, gcm_algorithm(), key.reveal().data(), nonce.data(), nullptr) == 1);
  for (const ByteView& part : {aad.first, aad.second}) {
    if (!part.empty())
      CHECK(EVP_EncryptUpdate(context, nullptr, &length, part.data(), static_cast<int>(part.size())) == 1);
  }
  if (!plain.empty()) {
    CHECK(EVP_EncryptUpdate(context, out.data(), &length, plain.data(), static_cast<int>(plain.size())) == 1);
  }
  uint8_t none[kTagBytes];
  CHECK(EVP_EncryptFinal_ex(context, none, &length) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, out.data() + plain.size()) == 1);
}

bool open(const Key& key, const Nonce& nonce, const AssociatedData& aad, ByteView sealed, MutableByteView out) {
  if (sealed.size() < kTagBytes || sealed.size() > kMaxMessageBytes) return false;
  const size_t size = sealed.size() - kTagBytes;
  CHECK(out.size() == size);
  EVP_CIPHER_CTX* context = context_of_thread();
  int length = 0;
  CHECK(EVP_DecryptInit_ex2(context, gcm_algorithm(), key.reveal().data(), nonce.data(), nullptr) == 1);
  for (const ByteView& part : {aad.first, aad.second}) {
    if (!part.empty())
      CHECK(EVP_DecryptUpdate(context, nullptr, &length, part.data(), static_cast<int>(part.size())) == 1);
  }
  // The tag is copied first: `out` may be `sealed`.
  uint8_t tag[kTagBytes];
  std::copy(sealed.end() - kTagBytes, sealed.end(), tag);
  if (size) CHECK(EVP_DecryptUpdate(context, out.data(), &length, sealed.data(), static_cast<int>(size)) == 1);
  CHECK(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag) == 1);
  uint8_t none[kTagBytes];
  if (EVP_DecryptFinal_ex(context, none, &length) == 1) return true;
  wipe(out);
  return false;
}

}  // namespace holdfast::crypto
