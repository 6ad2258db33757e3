// Covers: whom a restored cluster belongs to, on this machine and on another.
#include "source/postgres/materialise_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/accounts.h"
#include "source/postgres/test_rig.h"

namespace holdfast::postgres {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class MaterialisePlanTest : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_SERVER();
    auto made = TestCluster::create();
    ASSERT_OK(made);
    cluster_ = std::move(made).value();
    auto captured = rig_.capture(*cluster_);
    ASSERT_OK(captured);
    snapshot_ = std::move(captured).value();
  }
  MaterialisePlan plan(const nlohmann::json& owner) {
    repo::Snapshot snapshot = snapshot_;
    snapshot.source["owner"] = owner;
    MaterialiseOptions options;
    options.to = cluster_->scratch() + "/restored";
    options.dry_run = true;
    auto made = MaterialisePlan::make(rig_.world, rig_.repository(), snapshot, {}, options);
    EXPECT_TRUE(made.ok()) << made.error().text();
    return std::move(made).value();
  }

  TestRig rig_;
  std::unique_ptr<TestCluster> cluster_;
  repo::Snapshot snapshot_;
};

TEST_F(MaterialisePlanTest, ACaptureNamesTheAccount) {
  const uid_t owner = cluster_->user().uid.value_or(::geteuid());
  EXPECT_EQ(snapshot_.source["owner"]["user"], account_name(owner));
  EXPECT_FALSE(snapshot_source(snapshot_).value().owner_group.empty());
}

// The path of a server elsewhere may be of somebody else's here; a link's owner tells nothing.
TEST_F(MaterialisePlanTest, ACaptureNamesNobodyElse) {
  const std::string link = cluster_->scratch() + "/link";
  ASSERT_EQ(::symlink(cluster_->data().c_str(), link.c_str()), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::lchown(link.c_str(), 1, 1), 0);
  }
  const auto owner_in = [&](const std::string& directory, CaptureMethod method) {
    auto session = repo::WriteSession::begin(rig_.repository(), {}).value();
    CaptureOptions options;
    options.component = "db";
    options.connection = &cluster_->connection();
    options.data_directory = directory;
    options.method = method;
    const auto captured = capture(rig_.world, *session, options, nullptr);
    EXPECT_TRUE(captured.ok()) << captured.error().text();
    return captured->source["owner"].value("user", "");
  };
  EXPECT_EQ(owner_in(link, CaptureMethod::kFiles), account_name(cluster_->user().uid.value_or(::geteuid())));
  EXPECT_EQ(owner_in("/etc", CaptureMethod::kProtocol), "");
}

TEST_F(MaterialisePlanTest, WhoIsNotRootKeepsWhatIsRestored) {
  if (::geteuid() == 0) GTEST_SKIP() << "root gives files away";
  EXPECT_EQ(plan({{"user", "daemon"}}).uid(), std::nullopt);
}

// The number may be somebody else's on a new machine.
TEST_F(MaterialisePlanTest, ItGoesToTheAccountOfThatName) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files away";
  const auto daemon = find_account("daemon"), postgres = find_account("postgres");
  if (!daemon || !postgres || !find_group("tty")) GTEST_SKIP() << "there are not daemon, postgres and the group tty";
  const MaterialisePlan by_name = plan({{"user", "daemon"}, {"group", "tty"}});
  EXPECT_EQ(by_name.uid(), daemon->uid);
  EXPECT_EQ(by_name.gid(), find_group("tty"));
  EXPECT_THAT(by_name.notes(), IsEmpty());
  EXPECT_EQ(plan({{"user", "daemon"}, {"group", "of-nobody"}}).gid(), daemon->gid);

  const MaterialisePlan not_here = plan({{"user", "of-nobody"}});
  EXPECT_EQ(not_here.uid(), postgres->uid);
  EXPECT_THAT(not_here.notes(), ElementsAre(HasSubstr("it belonged to 'of-nobody', an account that is not here: it "
                                                      "will belong to 'postgres'")));
  const MaterialisePlan of_older_point = plan(nlohmann::json::object());
  EXPECT_EQ(of_older_point.uid(), postgres->uid);
  EXPECT_THAT(of_older_point.notes(), IsEmpty()) << "the number is that of postgres here, too";
}

}  // namespace
}  // namespace holdfast::postgres
