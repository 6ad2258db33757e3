#include "source/files/link_copy.h"

#include <algorithm>

#include "source/files/data_stream.h"

namespace holdfast::files {
namespace {

constexpr size_t kCopyBytes = 1u << 20;

Result<void> copy_content(File& from, File& to, uint64_t size_bytes) {
  Bytes buffer(kCopyBytes);
  TRY(to.truncate(size_bytes));
  for (const Range& data : data_ranges(from, {0, size_bytes}, true)) {
    for (uint64_t at = data.offset; at < data.end();) {
      const MutableByteView step{buffer.data(), std::min<uint64_t>(kCopyBytes, data.end() - at)};
      if (TRY(from.read_at(at, step)) != step.size())
        return make_error(ErrorCode::kIo, "a file of the target became shorter while it was restored");
      TRY(to.write_at(at, step));
      at += step.size();
    }
  }
  return {};
}

}  // namespace

Result<void> copy_for_link(Target& target, const std::string& first, const std::string& tree_path, OwnerNames& names,
                           Faults& faults) {
  const std::string from_path = target.path_of(first), temporary = target.temporary_of(tree_path);
  const auto from = TRY(target.fs().open(from_path, {.no_follow = true, .no_wait = true}));
  const struct stat status = TRY(from->stat());
  if (!S_ISREG(status.st_mode)) return make_error(ErrorCode::kRefused, "'{}' is no file", display_path(from_path));
  const auto to = TRY(target.create_temporary(tree_path));
  const auto copied = copy_content(*from, *to, static_cast<uint64_t>(status.st_size));
  if (!copied.ok()) {
    target.discard(tree_path);
    return copied.error().clone();
  }
  repo::Entry entry = entry_of(tree_path, status, names);
  entry.xattrs = read_attributes({from->descriptor(), from_path}, [&](const std::string& name, const Error& error) {
    faults.add(tree_path, fmt::format("attribute {} not copied", display_path(name)), error);
  });
  apply_metadata(entry, {to->descriptor(), temporary}, {.numeric_ids = true}, names, faults);
  TRY(to->close());
  target.ready(tree_path);
  return {};
}

}  // namespace holdfast::files
