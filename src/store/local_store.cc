#include "store/local_store.h"

#include <dirent.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>

#include "base/inodes.h"
#include "base/log.h"
#include "base/random.h"
#include "store/descriptor_cache.h"
#include "store/names.h"

namespace holdfast::store {

namespace {

constexpr size_t kTemporaryRandomBytes = 12;
static_assert(2 * kTemporaryRandomBytes == kTemporaryDigits);

// An object is a regular file: opening what else stands in its place neither waits nor leads elsewhere.
constexpr OpenOptions kObjectOptions = {.no_follow = true, .no_wait = true};

// The object by whose bytes a repository is known, wherever its file system is mounted: it holds
// a random number (docs/format.md, "Config").
constexpr std::string_view kMarkName = "config";
constexpr uint64_t kMarkLimitBytes = 1 << 20;

Time modified_of(const struct stat& status) {
  return {static_cast<int64_t>(status.st_mtim.tv_sec) * 1'000'000'000 + status.st_mtim.tv_nsec};
}

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
};

// While it lives, what the thread makes in a file system belongs to the account, and the kernel
// asks for that account's rights alone: nothing can be made through root that it could not make
// itself. See setfsuid(2), which glibc leaves to the calling thread.
class ActingAs {
 public:
  explicit ActingAs(const Account& account) {
    ::setfsgid(account.gid);  // first, while we may
    ::setfsuid(account.uid);
  }
  ~ActingAs() {
    ::setfsuid(::geteuid());
    ::setfsgid(::getegid());
  }
  ActingAs(const ActingAs&) = delete;
  ActingAs& operator=(const ActingAs&) = delete;
};

class LocalStore final : public ObjectStore {
 public:
  LocalStore(FileSystem& fs, std::string directory) : fs_(fs), directory_(std::move(directory)) {}

  Result<void> learn_identity() {
    const struct stat status = TRY(fs_.stat(directory_));
    if (!S_ISDIR(status.st_mode)) return make_error(ErrorCode::kUnavailable, "{} is not a directory", directory_);
    auto mark = read_mark();
    const std::lock_guard lock(mutex_);
    identity_ = Identity{status.st_dev, status.st_ino};
    if (::geteuid() == 0 && status.st_uid != 0) owner_ = Account{status.st_uid, status.st_gid};
    if (mark.ok()) mark_ = std::move(mark).value();
    return {};
  }

  Result<void> create(std::string_view name, ByteView content) override {
    TRY(check_name(name));
    if (name.starts_with(kTemporaryPrefix)) {
      return make_error(ErrorCode::kInvalidData, "\"{}\" is not a name for an object: tmp/ is the store's own", name);
    }
    return as_owner<Unit>([&] { return store_object(name, content); });
  }

  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    const std::shared_ptr<OpenObject> object = TRY(open(name, /*keep=*/true));
    return read_from(*object, name, offset, length);
  }

  Result<Bytes> read_all(std::string_view name) override {
    const std::shared_ptr<OpenObject> object = TRY(open(name, /*keep=*/false));
    return read_from(*object, name, 0, object->size_bytes);
  }

  Result<ObjectInfo> stat(std::string_view name) override {
    TRY(check_name(name));
    auto status = fs_.stat(join_path(directory_, name));
    if (!status.ok()) return missing(name, std::move(status).error());
    TRY(ensure_regular(name, *status));
    return ObjectInfo{std::string(name), static_cast<uint64_t>(status->st_size), modified_of(*status)};
  }

  Result<void> list(std::string_view prefix, const std::function<Result<void>(const ObjectInfo&)>& visit) override {
    TRY(check_prefix(prefix));
    return list_directory(std::string(prefix), [&](const std::string& name) -> Result<void> {
      const auto status = fs_.stat(join_path(directory_, name));
      if (!status.ok() && status.error().code() == ErrorCode::kNotFound) return {};  // removed meanwhile
      if (!status.ok()) return status.error().clone();
      return visit({name, static_cast<uint64_t>(status->st_size), modified_of(*status)});
    });
  }

  Result<void> list_names(std::string_view prefix,
                          const std::function<Result<void>(const std::string&)>& visit) override {
    TRY(check_prefix(prefix));
    return list_directory(std::string(prefix), visit);
  }

  Result<void> remove(std::string_view name) override {
    TRY(check_name(name));
    descriptors_.drop(name);
    const std::string path = join_path(directory_, name);
    TRY(ensure_no_link(parent_path(path)));
    auto removed = fs_.remove_file(path);
    if (!removed.ok()) return missing(name, std::move(removed).error());
    return fs_.sync_directory(parent_path(path));
  }

  // The file system's clock, which on a network file system is the server's: the
  // time that it gives to a new file.
  Result<Time> server_time() override {
    auto stamped = as_owner<Time>([&] { return stamp(); });
    if (!stamped.ok() && stamped.error().code() == ErrorCode::kNoSpace)
      stamped = as_owner<Time>([&] { return touch(); });
    if (stamped.ok()) return stamped;
    if (stamped.error().code() != ErrorCode::kPermission) return stamped;
    return system_clock().now();  // readable only: nobody can hold a lease here, the machine's clock will do
  }

  std::string location() const override { return directory_; }

 private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Identity&) const = default;
  };

  std::optional<Account> owner() {
    const std::lock_guard lock(mutex_);
    return owner_;
  }

  // What root stores in another account's repository must not shut that account out. Folders
  // there may be root's, from elsewhere: then root makes it after all.
  template <typename T>
  Result<T> as_owner(const std::function<Result<T>()>& make) {
    if (const std::optional<Account> owner = this->owner()) {
      auto made = [&] {
        const ActingAs acting(*owner);
        return make();
      }();
      if (made.ok() || made.error().code() != ErrorCode::kPermission) return made;
    }
    return make();
  }

  Result<void> store_object(std::string_view name, ByteView content) {
    const std::string path = join_path(directory_, name);
    const std::string parent = parent_path(path);
    TRY(ensure_directory(parent));
    TRY(ensure_directory(join_path(directory_, "tmp")));
    const std::string temporary = temporary_path();
    auto written = write_temporary(temporary, content);
    if (written.ok()) written = fs_.rename_exclusive(temporary, path);
    if (!written.ok()) {
      ignore(fs_.remove_file(temporary), "the first error is the one to tell; collection removes leftovers");
      // No directory to write to where there was one: it may be away.
      if (written.error().code() == ErrorCode::kNotFound) TRY(still_there());
      if (written.error().code() != ErrorCode::kAlreadyExists) return not_stored(name, std::move(written).error());
      // Whoever made it may not have come to make its name durable.
      TRY(fs_.sync_directory(parent));
      return make_error(ErrorCode::kAlreadyExists, "object {} exists already", name);
    }
    TRY_CONTEXT(fs_.sync_directory(parent), "can't store object {}", name);
    if (name == kMarkName) {
      const std::lock_guard lock(mutex_);
      mark_ = Bytes::copy_of(content);
    }
    return {};
  }

  Error not_stored(std::string_view name, Error error) {
    const bool is_full = error.code() == ErrorCode::kNoSpace;
    error = std::move(error).with_context(fmt::format("can't store object {}", name));
    if (!is_full) return error;
    if (is_out_of_inodes(directory_)) return std::move(error).with_hint(hint_of_inodes(directory_));
    return std::move(error).with_hint(
        fmt::format("make room on the file system of '{}'; what is stored stays as it is", directory_));
  }

  // Directories stay once made (nothing removes them), so each is made durable once.
  Result<void> ensure_directory(const std::string& path) {
    {
      const std::lock_guard lock(mutex_);
      if (durable_.contains(path)) return {};
    }
    if (path != directory_) TRY(ensure_directory(parent_path(path)));
    // That there is something else must not be taken for an object that is there.
    if (auto made = make_directories(fs_, path); !made.ok()) {
      if (made.error().code() != ErrorCode::kAlreadyExists) return made;
      return make_error(ErrorCode::kUnavailable, "{} is no folder", path);
    }
    TRY(ensure_no_link(path));
    // Whoever made one that is there already may have been killed before its name was durable.
    if (path != directory_) TRY(fs_.sync_directory(parent_path(path)));
    {
      const std::lock_guard lock(mutex_);
      durable_.insert(path);
      if (identity_) return {};
    }
    return learn_identity();
  }

  // Nothing is made or removed through a symbolic link in the place of one of our folders: what it
  // leads to is not ours.
  Result<void> ensure_no_link(const std::string& path) {
    if (path == directory_) return {};
    {
      const std::lock_guard lock(mutex_);
      if (no_links_.contains(path)) return {};
    }
    TRY(ensure_no_link(parent_path(path)));
    const auto status = fs_.stat(path);
    if (!status.ok() && status.error().code() == ErrorCode::kNotFound) return {};
    if (!status.ok()) return status.error().clone();
    if (S_ISLNK(status->st_mode))
      return make_error(ErrorCode::kRefused, "{} is a symbolic link, not a folder of the store", path)
          .with_hint(
              "mount the folder that it leads to in its place (mount --bind), or have all of the repository there and "
              "name that in 'location'");
    const std::lock_guard lock(mutex_);
    no_links_.insert(path);
    return {};
  }

  static Result<void> ensure_regular(std::string_view name, const struct stat& status) {
    if (S_ISREG(status.st_mode)) return {};
    if (S_ISDIR(status.st_mode)) return make_error(ErrorCode::kNotFound, "there is no object {}", name);
    return make_error(ErrorCode::kDamaged, "object {} is no regular file", name);
  }

  std::string temporary_path() {
    std::array<uint8_t, kTemporaryRandomBytes> unique;
    system_random().fill(unique);
    return join_path(directory_, std::string(kTemporaryPrefix) + to_hex(unique));
  }

  Result<void> write_temporary(const std::string& path, ByteView content) {
    const auto file = TRY(fs_.open(path, {.write = true, .create = true, .exclusive = true}));
    TRY(file->write_at(0, content));
    TRY(file->sync());
    return file->close();
  }

  Result<Time> stamp() {
    TRY(ensure_directory(join_path(directory_, "tmp")));
    const std::string path = temporary_path();
    const auto file = TRY(fs_.open(path, {.write = true, .create = true, .exclusive = true}));
    auto status = file->stat();
    ignore(file->close(), "nothing was written");
    TRY(fs_.remove_file(path));
    return modified_of(TRY(std::move(status)));
  }

  // The same clock, where there is no room for a new file: nothing reads the directory's time.
  Result<Time> touch() {
    const auto directory = TRY(fs_.open(directory_, {}));
    if (::futimens(directory->descriptor(), nullptr) != 0) return Error::from_errno(errno, directory_);
    return modified_of(TRY(directory->stat()));
  }

  Result<std::shared_ptr<OpenObject>> open(std::string_view name, bool keep) {
    TRY(check_name(name));
    if (auto object = descriptors_.find(name)) return object;
    const std::string path = join_path(directory_, name);
    auto file = fs_.open(path, kObjectOptions);
    if (!file.ok()) {
      if (const auto there = fs_.stat(path); there.ok()) TRY(ensure_regular(name, *there));
      return missing(name, std::move(file).error());
    }
    const struct stat status = TRY((*file)->stat());
    TRY(ensure_regular(name, status));
    auto object =
        std::make_shared<OpenObject>(OpenObject{std::move(file).value(), static_cast<uint64_t>(status.st_size)});
    if (keep) descriptors_.keep(name, object);
    return object;
  }

  static Result<Bytes> read_from(OpenObject& object, std::string_view name, uint64_t offset, size_t length) {
    const auto cut_short = [&](uint64_t size) {
      return make_error(ErrorCode::kDamaged, "object {} is cut short: it has {} bytes, {} at {} were wanted", name,
                        size, length, offset);
    };
    if (offset > object.size_bytes || length > object.size_bytes - offset) return cut_short(object.size_bytes);
    Bytes bytes(length);
    auto got = object.file->read_at(offset, bytes.mutable_view());
    // A sector that can't be read is damage like any other: it ends nothing but what needs it.
    if (!got.ok() && got.error().code() == ErrorCode::kIo)
      return make_error(ErrorCode::kDamaged, "object {} can't be read: {}", name, got.error().message());
    if (!got.ok()) return std::move(got).error().with_context(fmt::format("can't read object {}", name));
    if (*got < length) return cut_short(offset + *got);
    return bytes;
  }

  // ENOENT proves that an object is absent only while the directory itself is the
  // one that was opened: a file system that was unmounted has no objects either.
  Error missing(std::string_view name, Error error) {
    if (error.code() == ErrorCode::kPermission) {
      return std::move(error)
          .with_context(fmt::format("object {}", name))
          .with_hint(fmt::format("run it as the account to which it belongs, or give all of the repository to one: "
                                 "chown -R ACCOUNT '{}'",
                                 directory_));
    }
    if (error.code() != ErrorCode::kNotFound) {
      return std::move(error).with_context(fmt::format("object {}", name));
    }
    if (auto there = still_there(); !there.ok()) return std::move(there).error();
    return make_error(ErrorCode::kNotFound, "there is no object {}", name);
  }

  Result<void> still_there() {
    std::optional<Identity> expected;
    {
      const std::lock_guard lock(mutex_);
      expected = identity_;
    }
    if (!expected) return {};  // never made: nothing is in it
    const auto status = fs_.stat(directory_);
    if (status.ok() && Identity{status->st_dev, status->st_ino} == *expected) return {};
    if (status.ok() && adopt({status->st_dev, status->st_ino})) {
      // What we were asked may have been answered while it was away.
      return make_error(ErrorCode::kUnavailable, "the file system of {} was mounted anew", directory_)
          .with_retryable()
          .with_hint("run it again");
    }
    return make_error(ErrorCode::kUnavailable, "{} is not the directory that it was: its file system is gone",
                      directory_)
        .with_retryable()
        .with_hint("mount it again");
  }

  Result<Bytes> read_mark() {
    const auto file = TRY(fs_.open(join_path(directory_, kMarkName), kObjectOptions));
    const struct stat status = TRY(file->stat());
    TRY(ensure_regular(kMarkName, status));
    if (static_cast<uint64_t>(status.st_size) > kMarkLimitBytes)
      return make_error(ErrorCode::kDamaged, "object {} is larger than any of its kind", kMarkName);
    Bytes bytes(static_cast<size_t>(status.st_size));
    if (TRY(file->read_at(0, bytes.mutable_view())) < bytes.size())
      return make_error(ErrorCode::kDamaged, "object {} is cut short", kMarkName);
    return bytes;
  }

  // A file system gets another device number when it is mounted again. The same repository is the
  // same store; what is open or known of the old mount is not.
  bool adopt(Identity identity) {
    const auto mark = read_mark();
    if (!mark.ok()) return false;
    {
      const std::lock_guard lock(mutex_);
      if (mark_.empty() || !equal(mark->view(), mark_.view())) return false;
      identity_ = identity;
      durable_.clear();
      no_links_.clear();
    }
    descriptors_.clear();
    log_info("store.mounted_anew", {{"location", directory_}});
    return true;
  }

  Result<void> list_directory(const std::string& prefix, const std::function<Result<void>(const std::string&)>& visit) {
    auto entries = fs_.list(prefix.empty() ? directory_ : join_path(directory_, prefix.substr(0, prefix.size() - 1)));
    if (!entries.ok()) {
      if (entries.error().code() != ErrorCode::kNotFound) return std::move(entries).error();
      return still_there();
    }
    // The byte order of whole names: what a directory holds sorts by "name/".
    std::vector<std::string> names;
    for (const DirectoryEntry& entry : *entries) {
      names.push_back(entry.name);
      if (TRY(is_directory(prefix, entry))) names.back() += '/';
    }
    std::sort(names.begin(), names.end());
    for (const std::string& leaf : names) {
      const std::string name = prefix + leaf;
      if (leaf.ends_with('/')) {
        // What no object can be in is not the repository's: the lost+found of a file system.
        if (name != kTemporaryPrefix && check_name(leaf.substr(0, leaf.size() - 1)).ok())
          TRY(list_directory(name, visit));
        continue;
      }
      TRY(visit(name));
    }
    return {};
  }

  Result<bool> is_directory(const std::string& prefix, const DirectoryEntry& entry) {
    if (entry.type != DT_UNKNOWN) return entry.type == DT_DIR;
    const auto status = fs_.stat(join_path(directory_, prefix + entry.name));
    return status.ok() && S_ISDIR(status->st_mode);
  }

  FileSystem& fs_;
  const std::string directory_;
  DescriptorCache descriptors_;
  std::mutex mutex_;
  std::set<std::string> durable_;     // guarded by mutex_
  std::set<std::string> no_links_;    // guarded by mutex_; folders that are
  std::optional<Identity> identity_;  // guarded by mutex_; empty until the directory exists
  std::optional<Account> owner_;      // guarded by mutex_; the directory's, where we are root and it is another's
  Bytes mark_;                        // guarded by mutex_; empty until there is one
};

}  // namespace

Result<std::unique_ptr<ObjectStore>> open_local_store(FileSystem& fs, const std::string& directory, bool must_exist) {
  // A link to the directory will do; where it leads to is settled now.
  std::error_code unresolved;
  const std::string absolute = absolute_path(directory);
  const std::string resolved = std::filesystem::weakly_canonical(absolute, unresolved);
  auto store = std::make_unique<LocalStore>(fs, unresolved ? absolute : resolved);
  const auto learned = store->learn_identity();
  if (!learned.ok() && (must_exist || learned.error().code() != ErrorCode::kNotFound)) {
    if (learned.error().code() != ErrorCode::kNotFound) return learned.error().clone();
    return make_error(ErrorCode::kNotFound, "there is no directory {}", directory);
  }
  return std::unique_ptr<ObjectStore>(std::move(store));
}

}  // namespace holdfast::store
