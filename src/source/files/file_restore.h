#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/direct_writer.h"
#include "source/files/content_reader.h"
#include "source/files/restore.h"
#include "source/files/target.h"

namespace holdfast::files {

// Makes files, symbolic links, devices, FIFOs and sockets under their temporary
// names, with all their metadata. Thread-safe.
//
// A file whose stored content is damaged is left out and remembered, so that one
// bad block does not keep everything else from being recovered. So is what the target
// refuses to take (of_entry): that is a fault.
class FileRestore {
 public:
  FileRestore(source::World& world, repo::Repository& repository, Target& target, const RestoreOptions& options,
              OwnerNames& names, Faults& faults)
      : world_(world), repository_(repository), target_(target), options_(options), names_(names), faults_(faults) {}

  // Anything but a directory or a hard link.
  Result<void> restore(const repo::Entry& entry);

  // A file of several regions, which are written side by side.
  struct Large {
    repo::Entry entry;
    std::unique_ptr<File> file;
    std::atomic<size_t> regions_left{0};
    std::atomic<bool> damaged{false};
  };
  // Null when the target refuses it, which is a fault by now.
  Result<std::shared_ptr<Large>> begin_large(repo::Entry entry);
  // Of the last region that is done, the file is finished.
  Result<void> restore_region(Large& large, size_t region, uint64_t offset);

  struct Damage {
    uint64_t files = 0;
    std::vector<std::string> examples;  // the first few, with the reason
  };
  Damage damage() const;
  uint64_t bytes() const { return bytes_; }
  uint64_t bytes_written() const { return bytes_written_; }

 private:
  Result<void> check_stop() const;
  Result<void> restore_file(const repo::Entry& entry);
  Result<void> write_anew(const repo::Entry& entry);
  // With delta: keeps what is right of a file that is there.
  Result<void> restore_over(const repo::Entry& entry, File& existing);
  Result<void> rewrite(const repo::Entry& entry, File& existing, uint64_t equal_bytes);
  Result<void> restore_special(const repo::Entry& entry);
  bool is_there(const repo::Entry& entry);
  Result<void> write_extent(DirectWriter& writer, File& file, ContentReader& reader, const PlacedExtent& placed);
  // False when it can't be read any more.
  Result<bool> copy_range(File& from, DirectWriter& to, uint64_t begin, uint64_t end);
  Result<void> finish_file(const repo::Entry& entry, File& file);
  Result<void> settle(const repo::Entry& entry, Result<void> outcome);

  source::World& world_;
  repo::Repository& repository_;
  Target& target_;
  const RestoreOptions& options_;
  OwnerNames& names_;
  Faults& faults_;
  std::atomic<uint64_t> bytes_{0}, bytes_written_{0};
  mutable std::mutex mutex_;
  Damage damage_;
};

}  // namespace holdfast::files
