#include <fcntl.h>
#include <sys/sysmacros.h>

#include "source/files/data_stream.h"
#include "source/files/test_support.h"

namespace holdfast::files {
namespace {

// Makes and changes random trees. Everything follows from the seed.
class RandomTree {
 public:
  RandomTree(std::string root, uint64_t seed) : root_(std::move(root)), random_(seeded_random(seed)) {
    directories_.push_back(root_);
  }

  void grow(int steps) {
    for (int i = 0; i < steps; i++) make_something();
  }

  // Changes contents, metadata and names of some of what is there.
  void change(int steps) {
    for (int i = 0; i < steps && !files_.empty(); i++) {
      const size_t which = random_->below(files_.size());
      const std::string path = files_[which];
      switch (random_->below(6)) {
        case 0: write(path, random_->below(1 << 20), bytes(random_->below(200'000))); break;
        case 1: ASSERT_EQ(truncate(path.c_str(), static_cast<off_t>(random_->below(300'000))), 0); break;
        case 2:
          unlink(path.c_str());
          files_.erase(files_.begin() + static_cast<ptrdiff_t>(which));
          break;
        case 3: ASSERT_EQ(chmod(path.c_str(), random_mode()), 0); break;
        case 4: set_time(path); break;
        case 5: {
          const std::string to = new_path();
          ASSERT_EQ(rename(path.c_str(), to.c_str()), 0);
          files_[which] = to;
        }
      }
    }
  }

 private:
  std::string new_path() {
    static const char* const kNames[] = {"a",        "b.txt", "-",         " space", "caf\xc3\xa9",
                                         "\xff\xfe", "a-b",   "new\nline", "..x",    "\x01"};
    const std::string name = kNames[random_->below(10)] + std::to_string(number_++);
    return directories_[random_->below(directories_.size())] + "/" + name;
  }
  mode_t random_mode() { return 0600 | static_cast<mode_t>(random_->below(010000)); }
  std::string bytes(size_t size) {
    std::string result(size, 'x');
    // Half of it noise, half of it text that repeats.
    random_->fill({reinterpret_cast<uint8_t*>(result.data()), size / 2});
    return result;
  }
  void write(const std::string& path, uint64_t offset, const std::string& content) {
    auto file = real_file_system().open(path, {.write = true, .create = true, .mode = 0644});
    ASSERT_TRUE(file.ok()) << file.error().text();
    ASSERT_TRUE(file.value()->write_at(offset, as_bytes(content)).ok());
  }
  void set_time(const std::string& path) {
    const struct timespec time{static_cast<time_t>(random_->below(2'000'000'000)),
                               static_cast<long>(random_->below(1'000'000'000))};
    const struct timespec times[2] = {time, time};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }

  void make_something() {
    const std::string path = new_path();
    switch (random_->below(12)) {
      case 0:
      case 1:
        ASSERT_EQ(mkdir(path.c_str(), 0700 | static_cast<mode_t>(random_->below(01000))), 0);
        directories_.push_back(path);
        return;
      case 2:
        ASSERT_EQ(symlink(("to " + path).c_str(), path.c_str()), 0);
        set_time(path);
        return;
      case 3: ASSERT_EQ(mkfifo(path.c_str(), 0600), 0); return;
      case 4: ASSERT_EQ(mknod(path.c_str(), S_IFSOCK | 0666, 0), 0); return;
      case 5:
        if (files_.empty()) return;
        ASSERT_EQ(link(files_[random_->below(files_.size())].c_str(), path.c_str()), 0);
        break;
      case 6: write(path, random_->below(50) * 65536, bytes(1 + random_->below(10'000))); break;  // begins with a hole
      case 7: write(path, 0, bytes(random_->below(3 << 20))); break;
      case 8: write(path, 0, ""); break;
      case 9:
        if (is_root() && mknod(path.c_str(), S_IFCHR | 0600, makedev(1, 3)) == 0) return;
        [[fallthrough]];
      default: write(path, 0, bytes(random_->below(20'000))); break;
    }
    files_.push_back(path);
    if (random_->below(4) == 0) setxattr(path.c_str(), "user.test", path.data(), path.size() % 50, 0);
    if (random_->below(4) == 0) {
      ASSERT_EQ(chmod(path.c_str(), random_mode()), 0);
    }
    if (is_root() && random_->below(4) == 0) {
      ASSERT_EQ(
          chown(path.c_str(), static_cast<uid_t>(random_->below(50'000)), static_cast<gid_t>(random_->below(50'000))),
          0);
    }
    if (random_->below(2) == 0) set_time(path);
  }

  const std::string root_;
  const std::unique_ptr<Random> random_;
  std::vector<std::string> directories_, files_;
  int number_ = 0;
};

class RoundTripTest : public FilesTest, public testing::WithParamInterface<uint64_t> {
 protected:
  // Content and holes, without help of the code under test.
  void expect_same_tree(const std::string& a, const std::string& b) {
    auto names = real_file_system().list(a).value();
    EXPECT_EQ(names.size(), real_file_system().list(b).value().size()) << a;
    for (const auto& [name, type] : names) {
      const std::string left = a + "/" + name, right = b + "/" + name;
      const struct stat x = status_of(left), y = status_of(right);
      EXPECT_EQ(x.st_mode, y.st_mode) << left;
      EXPECT_EQ(x.st_nlink, y.st_nlink) << left;
      EXPECT_EQ(x.st_uid, y.st_uid) << left;
      EXPECT_EQ(x.st_gid, y.st_gid) << left;
      EXPECT_EQ(x.st_rdev, y.st_rdev) << left;
      EXPECT_EQ(x.st_mtim.tv_sec, y.st_mtim.tv_sec) << left;
      EXPECT_EQ(x.st_mtim.tv_nsec, y.st_mtim.tv_nsec) << left;
      if (S_ISDIR(x.st_mode)) expect_same_tree(left, right);
      if (S_ISREG(x.st_mode)) {
        EXPECT_TRUE(read(left) == read(right)) << left;
        EXPECT_EQ(holes(left), holes(right)) << left;
      }
      if (S_ISLNK(x.st_mode)) {
        EXPECT_EQ(real_file_system().read_link(left).value(), real_file_system().read_link(right).value());
      }
    }
  }
  static std::vector<Range> holes(const std::string& path) {
    auto file = real_file_system().open(path, {});
    EXPECT_TRUE(file.value()->stat().ok());
    return data_ranges(*file.value(), {0, static_cast<uint64_t>(file.value()->stat().value().st_size)}, true);
  }
};

TEST_P(RoundTripTest, RandomTreesComeBackAsTheyWere) {
  RandomTree tree(source, GetParam());
  tree.grow(150);
  auto snapshot = take();
  for (int round = 0; round < 3; round++) {
    EXPECT_TRUE(snapshot.faults.empty()) << snapshot.faults[0];
    const std::string to = scratch / ("target" + std::to_string(round));
    const auto report = put_back(snapshot, {.to = to});
    EXPECT_TRUE(report.faults.empty()) << report.faults[0];
    expect_same_tree(source, to + source);
    EXPECT_EQ(differences(snapshot, to), std::vector<std::string>());
    tree.change(30);
    tree.grow(20);
    const auto next = take(&snapshot);
    // The older target becomes the newer state by a delta.
    put_back(next, {.to = to, .delta = true, .remove_extra = true});
    EXPECT_EQ(differences(next, to), std::vector<std::string>());
    snapshot = next;
  }
}

// The seed is in the name of each case.
INSTANTIATE_TEST_SUITE_P(Seeds, RoundTripTest, testing::Range<uint64_t>(1, 9),
                         [](const auto& seed) { return "Seed" + std::to_string(seed.param); });

}  // namespace
}  // namespace holdfast::files
