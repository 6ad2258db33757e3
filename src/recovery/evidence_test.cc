#include "recovery/evidence.h"

#include <gtest/gtest.h>

#include "repo/scratch_repository.h"

namespace holdfast::recovery {
namespace {

using testing::Test;
using Problems = std::vector<std::string>;

// Somebody who has the passphrase, and seals anew what they have changed.
class EvidenceTest : public Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "holdfast-evidence-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    registry_ = pattern;
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(real_file_system(), registry_).ok()); }

  EvidenceLog log(const std::string& registry) {
    return EvidenceLog(*repository_, real_file_system(), "demo", registry);
  }
  void append(int count) {
    for (int i = 0; i < count; i++) {
      const auto appended = log(registry_).append({{"id", std::to_string(i)}, {"result", "passed"}});
      ASSERT_TRUE(appended.ok()) << appended.error().text();
    }
  }
  // As another machine reads it, which has seen nothing.
  Problems problems() {
    const auto chain = log(registry_ + "/elsewhere").read();
    EXPECT_TRUE(chain.ok()) << chain.error().text();
    return chain->problems;
  }
  void rewrite(const std::string& name, std::string_view body, ByteView header) {
    ASSERT_TRUE(logs_->remove(kStream, name).ok());
    ASSERT_TRUE(logs_->put(kStream, {name, Bytes::copy_of(header), Bytes::copy_of(as_bytes(body))}).ok());
  }
  repo::LogRecord record(const std::string& name) { return logs_->get(kStream, name).value(); }

  static constexpr const char* kStream = "drills.demo.evidence";
  repo::ScratchRepository scratch_;
  std::unique_ptr<repo::Repository> repository_ = scratch_.init();
  std::unique_ptr<repo::LogStore> logs_ = repo::open_log_store(*repository_);
  std::string registry_;
};

TEST_F(EvidenceTest, IsWhatTheDocumentSays) {
  append(2);
  const repo::LogRecord first = record("0000000001"), second = record("0000000002");
  EXPECT_EQ(as_text(first.body.view()),
            R"({"format":1,"id":"0","previous":"0000000000000000000000000000000000000000000000000000000000000000",)"
            R"("result":"passed","sequence":1})");
  EXPECT_EQ(first.header.size(), 32u);
  const auto json = nlohmann::json::parse(as_text(second.body.view()));
  EXPECT_EQ(json["previous"], to_hex(first.header.view()));
  EXPECT_EQ(problems(), Problems{});
}

TEST_F(EvidenceTest, BytesThatAreNoTextAreReplaced) {
  const auto appended = log(registry_).append({{"id", "a\xff\n"}});
  ASSERT_TRUE(appended.ok()) << appended.error().text();
  EXPECT_EQ(appended->body["id"], "a\xef\xbf\xbd\n");
  EXPECT_EQ(log(registry_).read()->records.at(0).digest, appended->digest);
}

TEST_F(EvidenceTest, AChangedRecordIsNoticed) {
  append(3);
  const repo::LogRecord second = record("0000000002");
  std::string body(as_text(second.body.view()));
  body.replace(body.find("passed"), 6, "failed");
  rewrite("0000000002", body, second.header.view());
  EXPECT_EQ(problems(), (Problems{"record 2 is not what its digest was computed of",
                                  "record 3 does not follow record 2 as it is"}));
}

TEST_F(EvidenceTest, AMovedRecordIsNoticed) {
  append(3);
  const repo::LogRecord second = record("0000000002"), third = record("0000000003");
  rewrite("0000000002", as_text(third.body.view()), third.header.view());
  rewrite("0000000003", as_text(second.body.view()), second.header.view());
  const Problems found = problems();
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0], "record 2 was written under another number");
  EXPECT_EQ(found[2], "record 3 was written under another number");
}

TEST_F(EvidenceTest, ARemovedRecordIsNoticed) {
  append(5);
  ASSERT_TRUE(logs_->remove(kStream, "0000000002").ok());
  EXPECT_EQ(problems(), Problems{"record 2 is missing"});
  ASSERT_TRUE(logs_->remove(kStream, "0000000003").ok());
  EXPECT_EQ(problems(), Problems{"records 2 to 3 are missing"});
}

TEST_F(EvidenceTest, TheNewestIsMissedByWhoHasSeenIt) {
  append(3);
  ASSERT_TRUE(logs_->remove(kStream, "0000000003").ok());
  EXPECT_EQ(problems(), Problems{});
  EXPECT_EQ(log(registry_).read()->problems, Problems{"record 3, which this machine has seen, is not there"});
  // Written anew it is another one.
  ASSERT_TRUE(log(registry_ + "/elsewhere").append({{"id", "forged"}}).ok());
  EXPECT_EQ(problems(), Problems{});
  EXPECT_EQ(log(registry_).read()->problems, Problems{"record 3 is not the one that this machine has seen"});
  // And what this machine appends behind it does not make it forget.
  append(2);
  EXPECT_EQ(problems(), Problems{});
  EXPECT_EQ(log(registry_).read()->problems, Problems{"record 3 is not the one that this machine has seen"});
}

TEST_F(EvidenceTest, WhatWasRemovedIsMissedAlsoAfterFurtherDrills) {
  append(3);
  for (const char* name : {"0000000003", "0000000002"}) ASSERT_TRUE(logs_->remove(kStream, name).ok());
  append(1);
  EXPECT_EQ(log(registry_).read()->problems, Problems{"record 3, which this machine has seen, is not there"});
  append(2);
  EXPECT_EQ(log(registry_).read()->problems, Problems{"record 3 is not the one that this machine has seen"});
}

TEST_F(EvidenceTest, AChainThatIsBrokenIsAppendedTo) {
  append(2);
  const repo::LogRecord second = record("0000000002");
  rewrite("0000000002", "no evidence", second.header.view());
  append(1);
  const auto chain = log(registry_ + "/elsewhere").read();
  ASSERT_TRUE(chain.ok());
  EXPECT_EQ(chain->records.size(), 3u);
  EXPECT_EQ(chain->problems,
            (Problems{"record 2 is not what its digest was computed of", "record 2 is not the evidence of a drill"}));
}

}  // namespace
}  // namespace holdfast::recovery
