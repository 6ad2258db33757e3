#include "engine/output_tail.h"

#include "base/filesystem.h"

namespace holdfast::engine {
namespace {
constexpr uint64_t kWindow_bytes = 16 << 10;
}  // namespace

std::vector<std::string> tail_lines(const std::string& path, size_t count) {
  FileSystem& fs = real_file_system();
  auto file = fs.open(path, {});
  if (!file.ok()) return {};
  const auto stat = (*file)->stat();
  if (!stat.ok()) return {};
  const auto size = static_cast<uint64_t>(stat->st_size);
  const uint64_t from = size > kWindow_bytes ? size - kWindow_bytes : 0;
  Bytes content(size - from);
  const auto got = (*file)->read_at(from, content.mutable_view());
  if (!got.ok()) return {};
  std::string_view text = as_text(content.view(0, *got));
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (lines.size() > count) lines.erase(lines.begin(), lines.end() - static_cast<ptrdiff_t>(count));
  return lines;
}

}  // namespace holdfast::engine
