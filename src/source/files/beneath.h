#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/filesystem.h"
#include "base/volume.h"

namespace holdfast::files {

// A path, and the directory that it lies in held open, so that it stays the same one
// whatever is put in its place meanwhile.
class Place {
 public:
  // Follows no symbolic link between the directory `top`, open as `top_descriptor`, and
  // the one that the path, which lies below it, is in.
  static Result<Place> below(const std::string& top, int top_descriptor, const std::string& path);
  // The path as it is.
  static Place as_it_is(const std::string& path) { return {nullptr, path, path}; }
  // Another path of the same directory, which is looked up no second time.
  Place beside(const std::string& path) const { return directory_ ? in(directory_, path) : as_it_is(path); }

  // For the system; valid as long as the Place.
  const std::string& path() const { return path_; }
  // An error that names path(), as one that names what it stands for.
  Error named(const Error& error) const;
  template <typename T>
  Result<T> named(Result<T> outcome) const {
    if (outcome.ok()) return outcome;
    return named(outcome.error());
  }

 private:
  struct Directory {
    explicit Directory(int open) : descriptor(open) {}
    ~Directory();
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;
    const int descriptor;
  };
  Place(std::shared_ptr<const Directory> directory, std::string path, std::string shown)
      : directory_(std::move(directory)), path_(std::move(path)), shown_(std::move(shown)) {}
  static Place in(std::shared_ptr<const Directory> directory, const std::string& path);

  std::shared_ptr<const Directory> directory_;  // null: the path as it is
  std::string path_;
  std::string shown_;
};

// A file system of which nothing below `top` leads out of it: who owns a directory of a
// restore's target may put a symbolic link in its place at any instant, and whoever
// restores, root perhaps, would write, rename and remove where that points. Thread-safe.
class Beneath final : public FileSystem, public VolumeOpener {
 public:
  // `inner` is borrowed. `top`: absolute; whatever links lead to it are followed.
  Beneath(FileSystem& inner, std::string top) : inner_(inner), top_(std::move(top)) {}
  ~Beneath() override;
  Beneath(const Beneath&) = delete;
  Beneath& operator=(const Beneath&) = delete;

  // A path that does not lie below `top` is taken as it is.
  Result<Place> place(const std::string& path) const;

  Result<std::unique_ptr<File>> open(const std::string& path, const OpenOptions& options) override;
  // kNotFound also where the path leads through what is no directory, but a link to one.
  Result<struct stat> stat(const std::string& path) override;
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override;
  Result<void> make_directory(const std::string& path, mode_t mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> rename_exclusive(const std::string& from, const std::string& to) override;
  Result<void> hard_link(const std::string& from, const std::string& to) override;
  Result<void> symlink(const std::string& target, const std::string& path) override;
  Result<std::string> read_link(const std::string& path) override;
  Result<void> remove_file(const std::string& path) override;
  Result<void> remove_directory(const std::string& path) override;
  // Of these the file system alone counts: they are passed on.
  Result<void> sync_directory(const std::string& path) override { return inner_.sync_directory(path); }
  Result<void> sync_all(const std::string& path) override { return inner_.sync_all(path); }
  Result<uint64_t> free_bytes(const std::string& path) override { return inner_.free_bytes(path); }
  Result<std::unique_ptr<Volume>> open_volume(const std::string& path) override {
    return holdfast::open_volume(inner_, path);
  }

 private:
  int top_descriptor() const;
  // Without looking up a directory that is known by another path.
  Result<Place> place(const std::string& path, const std::string& known_path, const Place& known) const;

  FileSystem& inner_;
  const std::string top_;
  mutable std::atomic<int> top_descriptor_ = -1;  // once it exists
};

}  // namespace holdfast::files
