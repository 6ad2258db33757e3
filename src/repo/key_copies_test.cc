// Covers: a collection whose lease ends while it makes the absent copies of what opens a
// repository, at each of its steps, alone and beside somebody who takes the lease and
// removes the very key.
#include <gtest/gtest.h>

#include <functional>

#include "repo/check.h"
#include "repo/collect.h"
#include "repo/keyring.h"
#include "repo/scratch_repository.h"
#include "repo/test_clock.h"
#include "store/test_store.h"

namespace holdfast::repo {
namespace {

// Does something once, before the given operation.
class InterruptedStore : public store::SteppedStore {
 public:
  using SteppedStore::SteppedStore;
  void interrupt(size_t at, std::function<void()> action) {
    left_ = at;
    action_ = std::move(action);
  }
  bool interrupted() const { return action_ == nullptr; }

 private:
  void step() override {
    if (action_ == nullptr || left_-- > 0) return;
    std::exchange(action_, nullptr)();
  }

  size_t left_ = 0;
  std::function<void()> action_;
};

class KeyCopies : public testing::Test {
 protected:
  // A repository with two keys, of one of which there is one object alone, and a collection in
  // it that is interrupted. False: it had ended before.
  static bool collect_interrupted(size_t at, bool remove_key_meanwhile) {
    TestClock clock;
    ScratchRepository scratch(5, clock);
    const auto repository = scratch.init();
    const KeySlot second = add_key(*repository, Secret::from_text("second"), "second").value();
    CHECK(scratch.store->remove("keys/" + second.id + ".copy").ok());

    InterruptedStore store(*scratch.store);
    Environment environment{store, clock, *scratch.random};
    const auto collector = open_repository(environment, ScratchRepository::passphrase()).value();
    bool removed = false;
    store.interrupt(at, [&] {
      clock.advance(Duration::hours(2));
      if (!remove_key_meanwhile) return;
      // A command whose time to end its lease has come can't be told from one that is dead.
      EXPECT_TRUE(remove_key(*repository, second.id).ok());
      removed = true;
    });
    Progress progress;
    const auto report = collect(*collector, {.grace = {}}, progress);
    EXPECT_TRUE(report.ok() || report.error().code() == ErrorCode::kLeaseLost) << report.error().text();
    const bool interrupted = store.interrupted();
    store.interrupt(0, nullptr);
    clock.advance(Duration::hours(2));

    EXPECT_TRUE(!removed || scratch.names("keys/" + second.id).empty()) << "a key that was removed came back";
    EXPECT_TRUE(collect(*repository, {.grace = {}}, progress).ok());
    const bool opens = open_repository(scratch.environment, Secret::from_text("second")).ok();
    EXPECT_EQ(opens, !removed);
    EXPECT_EQ(scratch.names("keys/").size(), removed ? 2u : 4u);
    const auto checked = check(*repository, {.read_data_percent = 100}, progress);
    EXPECT_TRUE(checked.ok() && checked->damage.empty());
    return interrupted;
  }
  static void at_every_step(bool remove_key_meanwhile) {
    size_t at = 0;
    for (; collect_interrupted(at, remove_key_meanwhile) && !HasFailure(); at++) SCOPED_TRACE(at);
    EXPECT_GT(at, 30u);
  }
};

TEST_F(KeyCopies, ALeaseThatEndsAnywhereLeavesNoHarm) { at_every_step(false); }

TEST_F(KeyCopies, AKeyThatIsRemovedMeanwhileStaysRemoved) { at_every_step(true); }

}  // namespace
}  // namespace holdfast::repo
