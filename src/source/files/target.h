#pragma once

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "source/files/content_reader.h"
#include "source/files/metadata.h"
#include "source/source.h"

namespace holdfast::files {

// The place that a restore writes to, and the one way in which anything appears
// there: first whole under a temporary name beside its own, then, once a batch of
// them is durable, under its own name. A crash leaves temporaries, which the next
// restore of the same things replaces. Thread-safe.
class Target {
 public:
  // `directory`: "" or "/" for where things were.
  Target(FileSystem& fs, const std::string& directory, bool replace);
  ~Target();

  std::string path_of(std::string_view tree_path) const;
  // Name for the time until publish(); hidden, in the same directory.
  std::string temporary_of(std::string_view tree_path) const;
  // The nearest directory that exists already, at or above the target.
  Result<std::string> existing_ancestor() const;

  // A new, empty, private file under the temporary name.
  Result<std::unique_ptr<File>> create_temporary(const std::string& tree_path);
  // Makes way for a temporary that is not a file.
  Result<void> clear_temporary(const std::string& tree_path);
  // The temporary is whole and closed: publish() may rename it.
  void ready(const std::string& tree_path);
  void discard(const std::string& tree_path);

  // Makes all that is ready durable, then visible. Without `replace` an existing
  // name is kAlreadyExists.
  Result<void> publish(size_t threads);

  bool replaces() const { return replace_; }
  FileSystem& fs() { return fs_; }

 private:
  FileSystem& fs_;
  const std::string prefix_;  // "" or "/dir"
  const bool replace_;
  std::mutex mutex_;
  std::vector<std::string> ready_;
};

}  // namespace holdfast::files
