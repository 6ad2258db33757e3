#pragma once

#include <atomic>
#include <optional>
#include <string>
#include <vector>

#include "source/files/candidate.h"
#include "source/files/content_store.h"
#include "source/files/faults.h"
#include "source/files/metadata.h"
#include "source/source.h"

namespace holdfast::files {

// Opens what the walk found to be a file, in whose place there may be something else by
// now: never through a symbolic link, and without waiting for the writer of a FIFO.
Result<std::unique_ptr<File>> open_for_capture(FileSystem& fs, const std::string& path);

// Does the work that the planner hands out: reads what has to be read and makes
// entries of it. A file that changes while it is read is read again, up to
// kAttempts times in all; then what was read last is kept and a fault says so.
// Thread-safe.
class FileCapture {
 public:
  static constexpr int kAttempts = 4;

  FileCapture(source::World& world, ContentStore& content, OwnerNames& names, Faults& faults)
      : world_(world), content_(content), names_(names), faults_(faults) {}

  // The outcome of a work item. An entry that is missing could not be read (a
  // fault says why) or has vanished.
  struct Outcome {
    WorkItem item;
    std::vector<std::optional<repo::Entry>> entries;  // one per neighbour
    std::optional<ContentStore::Stored> piece;        // empty: the piece can't be relied on
  };
  Result<Outcome> run(WorkItem& item);

  // One file on its own, without a bundle.
  Result<std::optional<repo::Entry>> capture_alone(const Candidate& candidate);
  // The entry of a large file all of whose pieces were stored.
  Result<std::optional<repo::Entry>> finish_large(const LargeFile& large, repo::Content content);

  uint64_t vanished() const { return vanished_; }
  uint64_t read_again() const { return read_again_; }

 private:
  class Bundle;
  Result<Outcome> run_neighbours(WorkItem& item);
  Result<Outcome> run_piece(WorkItem& item);
  Result<std::optional<repo::Entry>> capture_one(Candidate& candidate, Bundle* bundle);
  Result<bool> take_over(Candidate& candidate, Bundle* bundle);
  // Reads a file once. What the source fails in is in the outcome; Result errors
  // are of the repository and end the capture.
  struct Reading {
    bool steady = false;  // nothing changed meanwhile
    std::optional<Error> failure;
  };
  // `keep`: also content that is not steady. The entry follows what was read.
  Result<Reading> read_once(Candidate& candidate, File& file, Bundle* bundle, bool keep);
  Result<Reading> read_small(Candidate& candidate, File& file, Bundle& bundle, bool keep);
  // Of a file that has more bytes than the system tells.
  Result<Reading> read_untold(Candidate& candidate, File& file);
  // Whether the file's last content is `bytes`; if so it is taken over.
  Result<bool> take_over_equal(Candidate& candidate, ByteView bytes);
  Reading judge(const Candidate& candidate, File& file, bool whole);
  Result<std::unique_ptr<File>> open_source(const Candidate& candidate) {
    return open_for_capture(world_.fs, "/" + candidate.entry.path);
  }
  // Reads what an object other than a regular file has: link text, attributes.
  std::optional<repo::Entry> describe(const Candidate& candidate);
  std::optional<repo::Entry> give_up(const Candidate& candidate, const Error& error);
  void read_entry_attributes(repo::Entry& entry, const Handle& handle);

  source::World& world_;
  ContentStore& content_;
  OwnerNames& names_;
  Faults& faults_;
  std::atomic<uint64_t> vanished_{0}, read_again_{0};
};

}  // namespace holdfast::files
