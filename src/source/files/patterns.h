#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace holdfast::files {

// Whether `text` (bytes with '/' between parts) is matched whole by `pattern`:
// '?' and '*' and [a-z] [!a-z] stay within a part, "**" as a whole part crosses
// them, '\' takes the next byte as it is.
bool glob_matches(std::string_view pattern, std::string_view text);
// Whether a pattern may match more than the text that it is.
bool has_wildcard(std::string_view text);

// Excludes, in the manner of .gitignore. The last pattern that matches decides;
// '!' takes back in. A trailing '/' matches directories only.
//   "*.tmp"            a name, anywhere
//   "/srv/data/cache"  an absolute path
//   "cache/*.o"        a path below any root
//   "**/node_modules"  likewise, at any depth
// What is inside an excluded directory is never looked at. Immutable.
class ExcludePatterns {
 public:
  // kConfig names the pattern that can't be understood.
  static Result<ExcludePatterns> create(const std::vector<std::string>& patterns);

  // `path` is relative to "/", `below_root` to the root that it was found under.
  bool excludes(std::string_view path, std::string_view below_root, bool is_directory) const;
  bool empty() const { return patterns_.empty(); }

 private:
  enum class Scope { kName, kAbsolute, kBelowRoot };
  struct Pattern {
    std::string text;
    Scope scope = Scope::kName;
    bool negated = false;
    bool directories_only = false;
  };
  static Result<Pattern> parse(std::string_view text);
  std::vector<Pattern> patterns_;
};

// What a partial restore takes: paths ("srv/data/a", with or without a leading
// '/') and patterns ("*.conf" a name anywhere, "srv/**/x" a path). Choosing a
// directory chooses all of it. Empty chooses everything.
class Choice {
 public:
  // `never`: a path of the tree that is not taken, nor what is below it, though it be chosen.
  // Nor is what `is_too_long` (null: nothing is).
  using IsTooLong = std::function<bool(std::string_view)>;
  explicit Choice(const std::vector<std::string>& wanted, std::optional<std::string> never = std::nullopt,
                  IsTooLong is_too_long = nullptr);
  // Whether this very path is named (not whether something above it is).
  bool names(std::string_view path) const;
  // Whether this path, or a directory above it, is named, and it is taken.
  bool covers(std::string_view path) const { return is_chosen(path) && !is_too_long(path); }
  bool avoids(std::string_view path) const;
  // What is chosen, and yet not taken.
  bool leaves_for_its_length(std::string_view path) const { return is_too_long(path) && is_chosen(path); }
  bool is_too_long(std::string_view path) const { return is_too_long_ && is_too_long_(path); }
  bool everything() const { return wanted_.empty(); }

 private:
  bool is_chosen(std::string_view path) const;

  std::vector<std::string> wanted_;
  std::optional<std::string> never_;
  IsTooLong is_too_long_;
};

}  // namespace holdfast::files
