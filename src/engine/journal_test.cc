#include "engine/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <cstdlib>

#include "base/filesystem.h"

namespace holdfast::engine {
namespace {

using testing::HasSubstr;

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = "/tmp/holdfast-journal-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    directory_ = name;
    path_ = directory_ + "/journal.db";
  }
  void TearDown() override { ignore(remove_tree(real_file_system(), directory_), "scratch"); }

  static Event event(std::string_view kind, const std::string& step = "") {
    Event made;
    made.time = Time::from_unix_microseconds(1'772'357'400'123'456);
    made.kind = kind;
    made.step = step;
    made.attempt = step.empty() ? 0 : 1;
    made.payload = {{"words", "fünf \" quotes"}};
    return made;
  }
  void write_three() {
    auto journal = Journal::create(path_, "20260301-0930-7f3a");
    ASSERT_TRUE(journal.ok()) << journal.error().text();
    (*journal)->append(event(kind::kRunCreated));
    ASSERT_TRUE((*journal)->commit().ok());
    (*journal)->append(event(kind::kStepStarted, "first"));
    (*journal)->append(event(kind::kStepFinished, "first"));
    ASSERT_TRUE((*journal)->commit().ok());
    (*journal)->append(event(kind::kRunFinished));  // never committed
  }
  void meddle(const char* sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
    char* problem = nullptr;
    EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, &problem), SQLITE_OK) << problem;
    sqlite3_free(problem);
    sqlite3_close(database);
  }

  std::string directory_, path_;
};

TEST_F(JournalTest, KeepsWhatWasCommittedAndNothingElse) {
  write_three();
  auto journal = Journal::open(path_);
  ASSERT_TRUE(journal.ok()) << journal.error().text();
  ASSERT_EQ((*journal)->events().size(), 3u);
  EXPECT_EQ((*journal)->run(), "20260301-0930-7f3a");
  EXPECT_EQ((*journal)->events()[1].step, "first");
  EXPECT_EQ((*journal)->events()[2].payload["words"], "fünf \" quotes");
  EXPECT_EQ((*journal)->events()[2].time, Time::from_unix_microseconds(1'772'357'400'123'456));
}

TEST_F(JournalTest, GoesOnWhereItWas) {
  write_three();
  {
    auto journal = Journal::open(path_);
    ASSERT_TRUE(journal.ok());
    (*journal)->append(event(kind::kRunStopped));
    ASSERT_TRUE((*journal)->commit().ok());
  }
  const auto events = Journal::read(path_);
  ASSERT_TRUE(events.ok());
  EXPECT_EQ(events->size(), 4u);
  EXPECT_EQ(events->back().seq, 4u);
}

TEST_F(JournalTest, IsForItsOwnerAlone) {
  auto journal = Journal::create(path_, "run");
  ASSERT_TRUE(journal.ok());
  (*journal)->append(event(kind::kRunCreated));
  ASSERT_TRUE((*journal)->commit().ok());
  for (const char* ending : {"", "-wal", "-shm"}) {
    const auto file = real_file_system().stat(path_ + ending);
    ASSERT_TRUE(file.ok()) << ending;
    EXPECT_EQ(file->st_mode & 0777, 0600u) << ending;
  }
}

TEST_F(JournalTest, IsReadWhileItIsWritten) {
  auto journal = Journal::create(path_, "run");
  ASSERT_TRUE(journal.ok());
  (*journal)->append(event(kind::kRunCreated));
  ASSERT_TRUE((*journal)->commit().ok());
  const auto events = Journal::read(path_);
  ASSERT_TRUE(events.ok()) << events.error().text();
  EXPECT_EQ(events->size(), 1u);
}

TEST_F(JournalTest, RefusesToBeChanged) {
  write_three();
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &database), SQLITE_OK);
  EXPECT_NE(sqlite3_exec(database, "UPDATE event SET kind = 'x'", nullptr, nullptr, nullptr), SQLITE_OK);
  EXPECT_STREQ(sqlite3_errmsg(database), "the journal is append-only");
  EXPECT_NE(sqlite3_exec(database, "DELETE FROM event", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(database);
}

TEST_F(JournalTest, NamesTheEventThatWasMeddledWith) {
  for (const char* column :
       {"time_us = 1", "run = 'x'", "step = 'x'", "attempt = 7", "kind = 'x'", "payload = '{}'", "digest = x'00'"}) {
    ignore(remove_tree(real_file_system(), path_), "from the round before");
    ignore(remove_tree(real_file_system(), path_ + "-wal"), "likewise");
    ignore(remove_tree(real_file_system(), path_ + "-shm"), "likewise");
    write_three();
    meddle((std::string("DROP TRIGGER event_is_never_changed; UPDATE event SET ") + column + " WHERE seq = 2").c_str());
    const auto journal = Journal::open(path_);
    ASSERT_FALSE(journal.ok()) << column;
    EXPECT_EQ(journal.error().code(), ErrorCode::kInvalidData);
    EXPECT_THAT(journal.error().message(), HasSubstr("event 2 is not as it was written")) << column;
  }
}

TEST_F(JournalTest, NamesTheEventThatIsMissing) {
  write_three();
  meddle("DROP TRIGGER event_is_never_removed; DELETE FROM event WHERE seq = 2");
  const auto journal = Journal::open(path_);
  ASSERT_FALSE(journal.ok());
  EXPECT_THAT(journal.error().message(), HasSubstr("event 2 is missing"));
}

TEST_F(JournalTest, RefusesANewerOne) {
  write_three();
  meddle("PRAGMA user_version = 2");
  const auto journal = Journal::open(path_);
  ASSERT_FALSE(journal.ok());
  EXPECT_EQ(journal.error().code(), ErrorCode::kNewerFormat);
}

}  // namespace
}  // namespace holdfast::engine
