#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/filesystem.h"
#include "repo/log_store.h"
#include "repo/repository.h"

namespace holdfast::recovery {

// The record of one drill, as it is stored (docs/drill.md, "Evidence, byte by byte").
struct Evidence {
  uint64_t sequence = 0;
  std::string digest;   // SHA-256 of the canonical bytes, 64 hex digits
  nlohmann::json body;  // null when the record can't be read
};

// All records, in order, and what does not hold of their chain.
struct EvidenceChain {
  std::vector<Evidence> records;
  std::vector<std::string> problems;  // "record 3 is missing"; empty: the chain holds

  // Of the newest record; empty without any.
  std::string digest() const { return records.empty() ? "" : records.back().digest; }
};

// The evidence of one stack in its repository. What this machine saw last is kept in a
// file of the registry as well, so that a chain that was cut short is noticed. Not
// thread-safe; several processes may append at once.
class EvidenceLog {
 public:
  // The repository and the file system outlive it. `registry` as in drill_registry.h.
  EvidenceLog(repo::Repository& repository, FileSystem& fs, std::string stack, std::string registry);

  // Reads and proves all records. Errors are those of reaching the store: damage is a problem
  // of the chain.
  Result<EvidenceChain> read();
  // Adds `format`, `sequence` and `previous` to the body and stores it, durably. A chain that does
  // not hold is appended to nevertheless: it stays broken where it is, also when it is the
  // record that this machine saw last that is not there, or is another one.
  Result<Evidence> append(nlohmann::json body);

  // The record stored last, unproven; `sequence` is 0 when there is none.
  Result<Evidence> newest();

  // "drills.<stack>.evidence"
  static std::string stream_of(const std::string& stack);

 private:
  struct Seen {
    uint64_t sequence = 0;
    std::string digest;
  };
  Result<Evidence> read_record(uint64_t sequence, EvidenceChain& chain);
  static void prove_link(const Evidence& record, const Evidence* before, EvidenceChain& chain);
  Result<std::optional<Seen>> seen();
  bool keeps(const Seen& seen);
  void note_seen(const Evidence& record);
  void prove_seen(const Seen& seen, EvidenceChain& chain) const;
  Result<std::vector<uint64_t>> sequences();

  FileSystem& fs_;
  const std::string stream_, head_path_;
  std::unique_ptr<repo::LogStore> logs_;
};

}  // namespace holdfast::recovery
