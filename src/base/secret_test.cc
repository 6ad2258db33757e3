#include "base/secret.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <type_traits>

#include "base/filesystem.h"

namespace holdfast {
namespace {

static_assert(!std::is_copy_constructible_v<Secret>);
static_assert(!fmt::is_formattable<Secret>::value);

std::string resolved(const std::string& reference) {
  const auto secret = resolve_secret(reference);
  return secret.ok() ? std::string(as_text(secret->reveal())) : "error: " + secret.error().text();
}

TEST(Secret, ComesFromTheEnvironment) {
  ::setenv("HOLDFAST_TEST_SECRET", "s3cret\n", 1);
  EXPECT_EQ(resolved("env:HOLDFAST_TEST_SECRET"), "s3cret\n");
  ::unsetenv("HOLDFAST_TEST_SECRET");
  EXPECT_EQ(resolved("env:HOLDFAST_TEST_SECRET"),
            "error: secret env:HOLDFAST_TEST_SECRET: the environment variable HOLDFAST_TEST_SECRET is not set");
}

TEST(Secret, AReferenceMeansTheSameEverywhere) {
  for (const char* reference : {"env:NAME", "file:a", "exec:cat a"}) EXPECT_TRUE(is_secret_reference(reference));
  for (const char* value : {"", "hunter2", "environment:x", "FILE:a"}) EXPECT_FALSE(is_secret_reference(value));
  EXPECT_EQ(anchored_reference("file:pass", "/etc/holdfast"), "file:/etc/holdfast/pass");
  EXPECT_EQ(anchored_reference("file:../pass", "/etc/holdfast"), "file:/etc/pass");
  EXPECT_EQ(anchored_reference("file:/run/pass", "/etc/holdfast"), "file:/run/pass");
  EXPECT_EQ(anchored_reference("file:pass", ""), "file:" + absolute_path("pass"));
  EXPECT_EQ(anchored_reference("env:NAME", "/etc"), "env:NAME");
  EXPECT_EQ(anchored_reference("exec:./show", "/etc"), "exec:./show");
}

TEST(Secret, ComesFromAFileWithoutItsNewline) {
  const std::string path = testing::TempDir() + "holdfast-secret-" + std::to_string(::getpid());
  ASSERT_TRUE(write_file_durably(real_file_system(), path, as_bytes("two\nlines\n\n")).ok());
  EXPECT_EQ(resolved("file:" + path), "two\nlines\n");
  ASSERT_TRUE(write_file_durably(real_file_system(), path, as_bytes("\n")).ok());
  EXPECT_EQ(resolved("file:" + path), "error: secret file:" + path + ": it is empty");
  ASSERT_TRUE(real_file_system().remove_file(path).ok());
  EXPECT_EQ(resolved("file:" + path),
            "error: secret file:" + path + ": can't open " + path + ": no such file or directory");
}

TEST(Secret, ComesFromACommand) {
  EXPECT_EQ(resolved("exec:echo pass word"), "pass word");
  EXPECT_EQ(resolved("exec:echo no key >&2; exit 1"),
            "error: secret exec:echo no key >&2; exit 1: /bin/sh ended with status 1: no key");
}

TEST(Secret, ThatCanNotBeHadIsOneError) {
  for (const char* reference :
       {"env:HOLDFAST_TEST_NO_SECRET", "file:/nowhere/secret", "file:/", "exec:exit 7", "exec:true"})
    EXPECT_EQ(resolve_secret(reference).error().code(), ErrorCode::kConfig) << reference;
}

TEST(Secret, ABareValueIsRefusedAndNotRepeated) {
  for (const char* value : {"hunter2", "hunter2:more", ""}) {
    EXPECT_EQ(
        resolved(value),
        "error: a secret was given where a reference to one is wanted (write env:NAME, file:PATH or exec:COMMAND)");
  }
}

TEST(Secret, IsMovedNotShared) {
  Secret a = Secret::from_text("abc");
  const Secret b = a.clone();
  Secret c = std::move(a);
  EXPECT_EQ(as_text(c.reveal()), "abc");
  c = Secret::from_text("d");
  EXPECT_EQ(as_text(c.reveal()), "d");
  EXPECT_EQ(as_text(b.reveal()), "abc");
}

}  // namespace
}  // namespace holdfast
