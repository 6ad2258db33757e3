#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "repo/tree.h"

namespace holdfast::files {

// What a dry run would do: all of it counted, and of each kind the first told, so that a
// snapshot of millions of files takes no more memory than one of thousands.
class Changes {
 public:
  static constexpr size_t kToldOfEachKind = 10'000;

  // "create", file, "srv/x".
  void add(std::string_view verb, repo::EntryKind kind, std::string_view path);
  void add(const Changes& others);

  // "create file srv/x", in the order in which they came.
  const std::vector<std::string>& lines() const { return lines_; }
  struct Kind {
    uint64_t count = 0;
    std::vector<size_t> told;  // where in lines()
  };
  // By "create file".
  const std::map<std::string, Kind>& kinds() const { return kinds_; }
  bool empty() const { return kinds_.empty(); }

  // What was added since `mark` counts as one step above instead: a directory that goes as a whole.
  struct Mark {
    size_t lines = 0;
    std::map<std::string, uint64_t> counts;
  };
  Mark mark() const;
  void take_back(const Mark& mark);

 private:
  void add_line(const std::string& kind, std::string line);

  std::vector<std::string> lines_;
  std::map<std::string, Kind> kinds_;
};

// What stands at a path, for people: "directory", "symbolic link", ...
const char* kind_name(repo::EntryKind kind);

}  // namespace holdfast::files
