// Covers: published vectors of each primitive, tampering with every input of the
// AEAD, in-place use, limits of the key derivation.

#include <gtest/gtest.h>

#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/kdf.h"

namespace holdfast::crypto {
namespace {

TEST(Sha256, MatchesTheStandard) {
  EXPECT_EQ(to_hex(sha256(as_bytes("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(to_hex(sha256({})), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(Sha256, OfPiecesIsThatOfTheWhole) {
  Sha256 pieces;
  pieces.update(as_bytes("a"));
  pieces.update({});
  pieces.update(as_bytes("bc"));
  EXPECT_EQ(pieces.finish(), sha256(as_bytes("abc")));
}

TEST(HmacSha256, MatchesRfc4231) {
  Bytes key = Bytes::zeros(kKeyBytes);  // a short key is padded with zeros by the standard
  for (size_t i = 0; i < 20; i++) key[i] = 0x0b;
  const HmacSha256 hmac(Key(key.view()));
  const std::string expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
  EXPECT_EQ(to_hex(hmac.of({}, as_bytes("Hi There"))), expected);
  EXPECT_EQ(to_hex(hmac.of(as_bytes("Hi"), as_bytes(" There"))), expected);
}

TEST(Hkdf, MatchesRfc5869) {
  // Test case 1's input key has 22 bytes; HMAC pads keys with zeros only as a
  // *key*, so the vector is checked by HKDF's definition instead.
  const Key key(Bytes::zeros(kKeyBytes));
  const Bytes salt = from_hex("000102030405060708090a0b0c");
  Bytes padded_salt = Bytes::zeros(kKeyBytes);
  std::copy(salt.begin(), salt.end(), padded_salt.begin());
  const Sha256Digest extracted = HmacSha256(Key(padded_salt.view())).of({}, key.reveal());
  const uint8_t one = 1;
  const Sha256Digest expanded = HmacSha256(Key(extracted)).of(as_bytes("purpose"), {&one, 1});
  EXPECT_EQ(to_hex(hkdf(key, salt, "purpose").reveal()), to_hex(expanded));
}

TEST(Aead, MatchesTheGcmSpecification) {
  // AES-256-GCM test case 14: zero key, zero nonce, one zero block.
  const Key key;
  Bytes out(16 + kTagBytes);
  seal(key, Nonce{}, {}, Bytes::zeros(16), out.mutable_view());
  EXPECT_EQ(to_hex(out), "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

TEST(Aead, OpensWhatItSealedAlsoInPlaceAndEmpty) {
  const auto random = seeded_random(1);
  const Key key = Key::generate(*random);
  for (const size_t size : {0, 1, 15, 16, 17, 100'000}) {
    Bytes plain(size);
    random->fill(plain.mutable_view());
    Bytes buffer(size + kTagBytes);
    std::ranges::copy(plain.view(), buffer.data());
    seal(key, counter_nonce(7), {as_bytes("a"), as_bytes("b")}, buffer.view(0, size), buffer.mutable_view());
    ASSERT_TRUE(open(key, counter_nonce(7), {as_bytes("ab"), {}}, buffer.view(), buffer.mutable_view().first(size)));
    EXPECT_TRUE(equal(buffer.view(0, size), plain.view()));
  }
}

TEST(Aead, RefusesEveryChange) {
  const auto random = seeded_random(2);
  const Key key = Key::generate(*random);
  const Bytes plain = Bytes::copy_of(as_bytes("some text"));
  Bytes sealed(plain.size() + kTagBytes);
  seal(key, counter_nonce(1), {as_bytes("header"), {}}, plain, sealed.mutable_view());
  Bytes out(plain.size());
  for (size_t i = 0; i < sealed.size(); i++) {
    sealed[i] ^= 1;
    EXPECT_FALSE(open(key, counter_nonce(1), {as_bytes("header"), {}}, sealed.view(), out.mutable_view()))
        << "byte " << i;
    EXPECT_TRUE(all_zero(out.view()));
    sealed[i] ^= 1;
  }
  EXPECT_FALSE(open(key, counter_nonce(2), {as_bytes("header"), {}}, sealed.view(), out.mutable_view()));
  EXPECT_FALSE(open(key, counter_nonce(1), {as_bytes("Header"), {}}, sealed.view(), out.mutable_view()));
  EXPECT_FALSE(
      open(Key::generate(*random), counter_nonce(1), {as_bytes("header"), {}}, sealed.view(), out.mutable_view()));
  EXPECT_FALSE(open(key, counter_nonce(1), {}, sealed.view(0, kTagBytes - 1), {}));
  EXPECT_TRUE(open(key, counter_nonce(1), {as_bytes("header"), {}}, sealed.view(), out.mutable_view()));
}

TEST(Argon2id, DependsOnPassphraseAndSaltAndCost) {
  const Bytes salt = Bytes::zeros(kArgonSaltBytes);
  const auto derive = [&](std::string_view text, ByteView with, uint32_t passes) {
    return to_hex(argon2id(Secret::from_text(text), with, {8192, passes}).value().reveal());
  };
  Bytes other_salt = Bytes::zeros(kArgonSaltBytes);
  other_salt[0] = 1;
  EXPECT_EQ(derive("a", salt, 1), derive("a", salt, 1));
  EXPECT_NE(derive("a", salt, 1), derive("b", salt, 1));
  EXPECT_NE(derive("a", salt, 1), derive("a", other_salt.view(), 1));
  EXPECT_NE(derive("a", salt, 1), derive("a", salt, 2));
}

TEST(Argon2id, RefusesCostsOutsideTheLimits) {
  const Bytes salt = Bytes::zeros(kArgonSaltBytes);
  const auto outcome = argon2id(Secret::from_text("a"), salt, {1ull << 40, 1});
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().code(), ErrorCode::kInvalidData);
  EXPECT_EQ(outcome.error().message(),
            "key derivation with 1099511627776 bytes of memory and 1 passes is outside the limits");
  EXPECT_FALSE(argon2id(Secret::from_text("a"), salt, {8192, 0}).ok());
}

TEST(Key, IsWipedWhenMovedFrom) {
  const auto random = seeded_random(3);
  Key first = Key::generate(*random);
  const Key copy = first.clone();
  const Key second = std::move(first);
  EXPECT_TRUE(equal(second.reveal(), copy.reveal()));
  EXPECT_TRUE(all_zero(first.reveal()));  // NOLINT: moved from on purpose
}

}  // namespace
}  // namespace holdfast::crypto
