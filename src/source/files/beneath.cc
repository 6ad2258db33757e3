#include "source/files/beneath.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/places.h"
#include "source/files/refusal.h"
#include "source/files/selection.h"

namespace holdfast::files {
namespace {

// A directory below another, without following a symbolic link; -1 with errno. Kernels
// before 5.6 can't be asked for that: ENOSYS.
int open_below(int top, const std::string& relative) {
  struct open_how how{};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return static_cast<int>(::syscall(SYS_openat2, top, relative.c_str(), &how, sizeof how));
}

// A file whose errors name the path that it was asked for.
class NamedFile final : public File {
 public:
  NamedFile(std::unique_ptr<File> file, Place place) : file_(std::move(file)), place_(std::move(place)) {}
  Result<size_t> read_at(uint64_t offset, MutableByteView out) override {
    return place_.named(file_->read_at(offset, out));
  }
  Result<void> write_at(uint64_t offset, ByteView data) override {
    return place_.named<void>(file_->write_at(offset, data));
  }
  Result<void> truncate(uint64_t size_bytes) override { return place_.named<void>(file_->truncate(size_bytes)); }
  Result<void> sync() override { return place_.named<void>(file_->sync()); }
  Result<struct stat> stat() override { return place_.named(file_->stat()); }
  Result<void> close() override { return place_.named<void>(file_->close()); }
  int descriptor() const override { return file_->descriptor(); }
  std::unique_ptr<DirectFile> open_direct() override { return file_->open_direct(); }

 private:
  const std::unique_ptr<File> file_;
  const Place place_;
};

}  // namespace

Result<Place> Place::below(const std::string& top, int top_descriptor, const std::string& path) {
  const std::string directory = parent_path(path);
  const size_t begin = top == "/" ? 1 : top.size() + 1;
  const int descriptor = open_below(top_descriptor, directory.size() > begin ? directory.substr(begin) : ".");
  if (descriptor < 0 && (errno == ENOSYS || errno == EPERM)) return as_it_is(path);
  if (descriptor < 0) return Error::from_errno(errno, "can't reach " + path);
  return in(std::make_shared<Directory>(descriptor), path);
}

Place Place::in(std::shared_ptr<const Directory> directory, const std::string& path) {
  std::string reached = fmt::format("/proc/self/fd/{}/{}", directory->descriptor, base_name(path));
  return {std::move(directory), std::move(reached), path};
}

Place::Directory::~Directory() { ::close(descriptor); }

Error Place::named(const Error& error) const {
  std::string message = error.message();
  for (size_t at = message.find(path_); path_ != shown_ && at != std::string::npos; at = message.find(path_, at)) {
    message.replace(at, path_.size(), shown_);
    at += shown_.size();
  }
  Error named = Error(error.code(), std::move(message))
                    .with_hint(error.hint())
                    .with_retryable(error.retryable())
                    .with_data_loss(error.data_loss());
  for (const auto& what : error.context()) named = std::move(named).with_context(what);
  return named;
}

Beneath::~Beneath() {
  if (top_descriptor_ >= 0) ::close(top_descriptor_);
}

int Beneath::top_descriptor() const {
  const int known = top_descriptor_;
  if (known >= 0) return known;
  const int opened = ::open(top_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  int none = -1;
  if (opened < 0 || top_descriptor_.compare_exchange_strong(none, opened)) return opened;
  ::close(opened);
  return top_descriptor_;
}

Result<Place> Beneath::place(const std::string& path) const {
  const bool below = path != top_ && is_at_or_below(path, top_ == "/" ? "" : top_);
  if (!below || !descriptors_have_paths()) return Place::as_it_is(path);
  const int top = top_descriptor();
  if (top < 0) return Error::from_errno(errno, "can't reach " + path);
  return Place::below(top_, top, path);
}

Result<Place> Beneath::place(const std::string& path, const std::string& known_path, const Place& known) const {
  if (parent_path(path) == parent_path(known_path)) return known.beside(path);
  return place(path);
}

Result<std::unique_ptr<File>> Beneath::open(const std::string& path, const OpenOptions& options) {
  auto where = TRY(place(path));
  auto file = TRY(where.named(inner_.open(where.path(), options)));
  return std::unique_ptr<File>(std::make_unique<NamedFile>(std::move(file), std::move(where)));
}

Result<struct stat> Beneath::stat(const std::string& path) {
  const auto where = place(path);
  if (where.ok()) return where->named(inner_.stat(where->path()));
  const bool is_no_directory = where.error().says(ELOOP) || where.error().says(ENOTDIR);
  return is_no_directory ? where.error().clone().with_code(ErrorCode::kNotFound) : where.error().clone();
}

Result<std::vector<DirectoryEntry>> Beneath::list(const std::string& path) {
  const auto where = TRY(place(path));
  return where.named(inner_.list(where.path()));
}

Result<void> Beneath::make_directory(const std::string& path, mode_t mode) {
  const auto where = TRY(place(path));
  return where.named<void>(inner_.make_directory(where.path(), mode));
}

Result<void> Beneath::rename(const std::string& from, const std::string& to) {
  const auto a = TRY(place(from)), b = TRY(place(to, from, a));
  return a.named<void>(b.named<void>(inner_.rename(a.path(), b.path())));
}

Result<void> Beneath::rename_exclusive(const std::string& from, const std::string& to) {
  const auto a = TRY(place(from)), b = TRY(place(to, from, a));
  return a.named<void>(b.named<void>(inner_.rename_exclusive(a.path(), b.path())));
}

Result<void> Beneath::hard_link(const std::string& from, const std::string& to) {
  const auto a = TRY(place(from)), b = TRY(place(to, from, a));
  return a.named<void>(b.named<void>(inner_.hard_link(a.path(), b.path())));
}

Result<void> Beneath::symlink(const std::string& target, const std::string& path) {
  const auto where = TRY(place(path));
  return where.named<void>(inner_.symlink(target, where.path()));
}

Result<std::string> Beneath::read_link(const std::string& path) {
  const auto where = TRY(place(path));
  return where.named(inner_.read_link(where.path()));
}

Result<void> Beneath::remove_file(const std::string& path) {
  const auto where = TRY(place(path));
  return where.named<void>(inner_.remove_file(where.path()));
}

Result<void> Beneath::remove_directory(const std::string& path) {
  const auto where = TRY(place(path));
  return where.named<void>(inner_.remove_directory(where.path()));
}

}  // namespace holdfast::files
