#include "base/tail.h"

#include <algorithm>

namespace holdfast {
namespace {

Result<std::string> tail_of(FileSystem& fs, const std::string& path, size_t bytes) {
  const auto file = TRY(fs.open(path, {}));
  const auto size = static_cast<uint64_t>(TRY(file->stat()).st_size);
  Bytes tail(std::min<uint64_t>(size, bytes));
  const size_t got = TRY(file->read_at(size - tail.size(), tail.mutable_view()));
  return std::string(as_text(tail.view()).substr(0, got));
}

}  // namespace

std::string tail_of_log(FileSystem& fs, const std::string& path, size_t bytes) {
  auto tail = tail_of(fs, path, bytes);
  return tail.ok() ? std::move(tail).value() : "(no log)";
}

}  // namespace holdfast
