#pragma once

#include <optional>
#include <string>
#include <vector>

#include "source/postgres/capture_pipeline.h"
#include "source/postgres/control_file.h"
#include "source/postgres/previous_snapshot.h"
#include "source/postgres/snapshot_source.h"
#include "source/source.h"

namespace holdfast::postgres {

// Turns a data directory into tasks for a CapturePipeline, in the order of trees.
// A file that looks as it did when the previous snapshot read it is taken over
// unread. global/pg_control is left out: it is captured last, by itself.
class DirectorySource {
 public:
  struct Options {
    PreviousSnapshot* previous = nullptr;
    // False: relation files are of a page size that we don't know, and are captured as
    // plain bytes.
    bool with_pages = true;
    bool by_log = false;                     // it is known what the log has changed since `previous`
    std::vector<std::string> configuration;  // files of settings, by their paths in the tree
  };
  DirectorySource(source::World& world, const std::string& data_directory, const std::string& version_directory,
                  const Options& options)
      : world_(world), walk_(world.fs, data_directory, version_directory, options.configuration), options_(options) {}
  Result<std::optional<CaptureTask>> next();
  // "oid", location, directory of those passed so far.
  const std::vector<std::pair<std::string, std::string>>& tablespaces() const { return tablespaces_; }
  // Links passed so far in whose place the snapshot has what they lead to; the first of them.
  const std::vector<SnapshotLink>& links() const { return links_; }
  const std::vector<std::string>& faults() const { return walk_.faults(); }

 private:
  Result<std::shared_ptr<CapturedFile>> prepare(FoundFile found);
  Result<void> compare(CapturedFile& file);
  source::World& world_;
  FileWalk walk_;
  const Options options_;
  std::shared_ptr<CapturedFile> current_;  // whose regions are being handed out
  uint64_t offset_ = 0;
  std::vector<std::pair<std::string, std::string>> tablespaces_;  // oid, location
  std::vector<SnapshotLink> links_;
};

// An entry with what lstat says.
repo::Entry entry_of(const std::string& path, const struct stat& status);

// Stores `content` as the file `entry` and adds it.
Result<void> add_small_file(repo::WriteSession& session, EntrySpool& entries, repo::Entry entry, ByteView content);

// The files that the server reads its settings from, as far as we may know them.
std::vector<std::string> configuration_files(ServerSession& server);

// Where configuration files that live outside the data directory are kept in a
// snapshot; not restored from there unless the data directory has none. Returns those
// that can't be read.
constexpr const char* kConfigPrefix = ".holdfast/config/";
Result<std::vector<std::string>> capture_outside_configuration(source::World& world, repo::WriteSession& session,
                                                               const std::vector<std::string>& files,
                                                               const std::string& data_directory, EntrySpool& entries);

}  // namespace holdfast::postgres
