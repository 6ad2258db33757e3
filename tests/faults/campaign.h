#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "base/random.h"
#include "faults/fault_file_system.h"
#include "repo/repository.h"
#include "store/object_store.h"

namespace holdfast::faults {

// What a directory holds, as a person would compare it: "a/b" -> kind, mode,
// time and content in one string.
using Description = std::map<std::string, std::string>;
Description describe(const std::string& directory);
// The first few differences, in words; "" when there is none.
std::string difference(const Description& expected, const Description& found);

// A directory store whose clock can be put forward, so that the leases of a
// process that was killed come to their end.
class ShiftedStore final : public store::ObjectStore {
 public:
  ShiftedStore(std::unique_ptr<store::ObjectStore> inner, Duration ahead) : inner_(std::move(inner)), ahead_(ahead) {}
  Result<void> create(std::string_view name, ByteView content) override { return inner_->create(name, content); }
  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    return inner_->read(name, offset, length);
  }
  Result<Bytes> read_all(std::string_view name) override { return inner_->read_all(name); }
  Result<store::ObjectInfo> stat(std::string_view name) override { return inner_->stat(name); }
  Result<void> list(std::string_view prefix,
                    const std::function<Result<void>(const store::ObjectInfo&)>& visit) override {
    return inner_->list(prefix, visit);
  }
  Result<void> remove(std::string_view name) override { return inner_->remove(name); }
  Result<Time> server_time() override { return TRY(inner_->server_time()) + ahead_; }
  std::string location() const override { return inner_->location(); }

 private:
  const std::unique_ptr<store::ObjectStore> inner_;
  const Duration ahead_;
};

// A repository in a directory, open on some file system.
struct OpenRepository {
  std::unique_ptr<store::ObjectStore> store;
  std::unique_ptr<repo::Repository> repository;
};
Result<OpenRepository> open_at(FileSystem& fs, const std::string& directory, const std::string& passphrase,
                               Duration ahead = {});

// A point that exists and what restoring it must give.
struct Expected {
  repo::PointId id;
  Description content;
};

// The world of a campaign: a source that changes, a repository with points of it,
// and copies of that repository to break. Everything is below one scratch folder.
class Campaign {
 public:
  static constexpr const char* kPassphrase = "correct horse";

  Campaign();
  ~Campaign();

  const std::string& source() const { return source_; }
  const std::string& pristine() const { return pristine_; }
  const std::string& copy() const { return copy_; }
  const std::string& target() const { return target_; }
  // The points of pristine(), oldest first.
  const std::vector<Expected>& points() const { return points_; }
  const Description& source_content() const { return source_content_; }

  // The source has a file from now on that restores write past the page cache.
  void add_large_file() { has_large_file_ = true; }
  // Gives the source another state; the same one for the same number.
  void change_source(int state);
  // Makes copy() a fresh copy of pristine(), and target() an empty directory.
  void refresh();

  // Captures the source into a repository and commits; `before_commit` is called in between, and
  // may add to the point.
  using BeforeCommit = std::function<void(repo::Point& point)>;
  Result<repo::PointId> backup(repo::Repository& repository, const BeforeCommit& before_commit = nullptr);
  // backup() into pristine(), remembered in points().
  void protect(const BeforeCommit& before_commit = nullptr);
  // The newest point was removed from pristine().
  void forget_newest() { points_.pop_back(); }
  // Looks at the source again, after a test changed something in it.
  void remember_source() { source_content_ = describe(source_); }
  // Restores a point and says how it differs from what it must be; "" if not at all.
  std::string restored_difference(repo::Repository& repository, const Expected& point);
  // The same, into target(), from copy().
  std::string restore_into_target(const Expected& point);

 private:
  std::string restored_difference(repo::Repository& repository, const Expected& point, const std::string& to);

  std::string base_, source_, pristine_, copy_, target_;
  std::vector<Expected> points_;
  Description source_content_;
  bool has_large_file_ = false;
};

}  // namespace holdfast::faults
