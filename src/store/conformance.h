#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "store/object_store.h"

// The contract of ObjectStore as tests. A new implementation instantiates them:
//   INSTANTIATE_TEST_SUITE_P(Mine, ObjectStoreConformance, testing::Values(StoreMaker{"mine", make}));
namespace holdfast::store {

struct StoreMaker {
  std::string name;
  // An empty store, and whatever it needs to live, in one.
  std::function<std::shared_ptr<ObjectStore>()> make;
};
inline void PrintTo(const StoreMaker& maker, std::ostream* out) { *out << maker.name; }

class ObjectStoreConformance : public testing::TestWithParam<StoreMaker> {
 protected:
  std::shared_ptr<ObjectStore> store_ = GetParam().make();

  void put(std::string_view name, std::string_view content) {
    const auto created = store_->create(name, as_bytes(content));
    ASSERT_TRUE(created.ok()) << created.error().text();
  }
  std::string get(std::string_view name) {
    const auto content = store_->read_all(name);
    return content.ok() ? std::string(as_text(content->view()))
                        : "error: " + std::string(error_name(content.error().code()));
  }
  std::vector<std::string> names(std::string_view prefix) {
    std::vector<std::string> found;
    const auto listed = store_->list(prefix, [&](const ObjectInfo& info) -> Result<void> {
      found.push_back(info.name);
      return {};
    });
    EXPECT_TRUE(listed.ok()) << listed.error().text();
    return found;
  }
  template <typename T>
  static std::string outcome(const Result<T>& result) {
    return result.ok() ? "ok" : std::string(error_name(result.error().code())) + ": " + result.error().message();
  }
};

TEST_P(ObjectStoreConformance, GivesBackWhatWasCreated) {
  put("a", "first");
  put("deep/er/b.c-d_e", "second");
  put("empty", "");
  EXPECT_EQ(get("a"), "first");
  EXPECT_EQ(get("deep/er/b.c-d_e"), "second");
  EXPECT_EQ(get("empty"), "");
}

TEST_P(ObjectStoreConformance, KeepsWhatExists) {
  put("a", "first");
  EXPECT_EQ(outcome(store_->create("a", as_bytes("other"))), "already-exists: object a exists already");
  EXPECT_EQ(get("a"), "first");
}

TEST_P(ObjectStoreConformance, ReadsRanges) {
  put("a", "0123456789");
  EXPECT_EQ(as_text(store_->read("a", 3, 4).value().view()), "3456");
  EXPECT_EQ(store_->read("a", 10, 0).value().size(), 0u);
  EXPECT_EQ(as_text(store_->read("a", 9, 1).value().view()), "9");
}

TEST_P(ObjectStoreConformance, SaysThatAnObjectIsTooShort) {
  put("a", "0123456789");
  EXPECT_EQ(outcome(store_->read("a", 3, 8)), "damaged: object a is cut short: it has 10 bytes, 8 at 3 were wanted");
  EXPECT_EQ(outcome(store_->read("a", 11, 0)), "damaged: object a is cut short: it has 10 bytes, 0 at 11 were wanted");
  EXPECT_FALSE(store_->read("a", 1, SIZE_MAX).ok());
  EXPECT_FALSE(store_->read("a", UINT64_MAX, 2).ok());
}

TEST_P(ObjectStoreConformance, SaysThatAnObjectIsAbsent) {
  put("dir/a", "x");
  const std::string expected = "not-found: there is no object b";
  EXPECT_EQ(outcome(store_->read("b", 0, 1)), expected);
  EXPECT_EQ(outcome(store_->read_all("b")), expected);
  EXPECT_EQ(outcome(store_->stat("b")), expected);
  EXPECT_EQ(outcome(store_->remove("b")), expected);
  EXPECT_EQ(outcome(store_->read_all("dir")), "not-found: there is no object dir");
  EXPECT_EQ(outcome(store_->stat("dir")), "not-found: there is no object dir");
}

TEST_P(ObjectStoreConformance, TellsSizeAndTime) {
  const Time before = store_->server_time().value();
  put("a", "12345");
  const ObjectInfo info = store_->stat("a").value();
  EXPECT_EQ(info.name, "a");
  EXPECT_EQ(info.size_bytes, 5u);
  EXPECT_GE(info.modified, before);
  EXPECT_LE(info.modified, store_->server_time().value());
}

TEST_P(ObjectStoreConformance, ListsByPrefixInByteOrder) {
  for (const char* name : {"b/2", "b/1/x", "b/1.y", "a", "b/10", "c/z"}) put(name, "x");
  EXPECT_EQ(names(""), (std::vector<std::string>{"a", "b/1.y", "b/1/x", "b/10", "b/2", "c/z"}));
  EXPECT_EQ(names("b/"), (std::vector<std::string>{"b/1.y", "b/1/x", "b/10", "b/2"}));
  EXPECT_EQ(names("b/1/"), (std::vector<std::string>{"b/1/x"}));
  EXPECT_EQ(names("nothing/"), (std::vector<std::string>{}));
}

TEST_P(ObjectStoreConformance, StopsAListingWhenTheVisitorFails) {
  put("a", "x");
  put("b", "x");
  int seen = 0;
  const auto listed = store_->list("", [&](const ObjectInfo&) -> Result<void> {
    seen++;
    return make_error(ErrorCode::kInterrupted, "enough");
  });
  EXPECT_EQ(outcome(listed), "interrupted: enough");
  EXPECT_EQ(seen, 1);
}

TEST_P(ObjectStoreConformance, RemovesForGoodAndLetsTheNameBeUsedAgain) {
  put("dir/a", "first");
  EXPECT_EQ(as_text(store_->read("dir/a", 0, 5).value().view()), "first");
  ASSERT_TRUE(store_->remove("dir/a").ok());
  EXPECT_EQ(get("dir/a"), "error: not-found");
  EXPECT_EQ(names(""), (std::vector<std::string>{}));
  EXPECT_FALSE(store_->read("dir/a", 0, 5).ok());
  put("dir/a", "other");
  EXPECT_EQ(as_text(store_->read("dir/a", 0, 5).value().view()), "other");
}

TEST_P(ObjectStoreConformance, RefusesNamesOutsideTheContract) {
  const std::string long_name(513, 'a');
  for (const std::string& name : {std::string(), std::string("/a"), std::string("a/"), std::string("a//b"),
                                  std::string("../a"), std::string("a/../b"), std::string("."), std::string("a b"),
                                  std::string("a\\b"), std::string("a\0b", 3), std::string("\xc3\xa9"), long_name}) {
    EXPECT_EQ(store_->create(name, {}).error().code(), ErrorCode::kInvalidData) << name;
    EXPECT_EQ(store_->read_all(name).error().code(), ErrorCode::kInvalidData) << name;
    EXPECT_EQ(store_->remove(name).error().code(), ErrorCode::kInvalidData) << name;
  }
  EXPECT_EQ(outcome(store_->create("../a", {})), "invalid-data: \"../a\" is not a name for an object");
}

TEST_P(ObjectStoreConformance, HoldsLargeObjects) {
  Bytes large(9 << 20);
  seeded_random(7)->fill(large.mutable_view());
  ASSERT_TRUE(store_->create("large", large.view()).ok());
  EXPECT_TRUE(equal(store_->read_all("large").value().view(), large.view()));
  EXPECT_TRUE(equal(store_->read("large", 5'000'001, 1'000'000).value().view(), large.view(5'000'001, 1'000'000)));
}

TEST_P(ObjectStoreConformance, LetsOneOfManyCreate) {
  std::atomic<int> winners{0};
  std::atomic<int> refused{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; i++) {
      threads.emplace_back([&, i] {
        const auto created = store_->create("contended", as_bytes(std::string(1000, static_cast<char>('a' + i))));
        if (created.ok())
          winners++;
        else if (created.error().code() == ErrorCode::kAlreadyExists)
          refused++;
      });
    }
  }
  EXPECT_EQ(winners, 1);
  EXPECT_EQ(refused, 7);
  const std::string content = get("contended");
  EXPECT_EQ(content, std::string(1000, content[0]));
}

}  // namespace holdfast::store
