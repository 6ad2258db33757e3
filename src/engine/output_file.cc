#include "engine/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace holdfast::engine {
namespace {
constexpr uint64_t kLimit_bytes = 64u << 20;
}  // namespace

Result<OutputFile> OutputFile::create(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return Error::from_errno(errno, path);
  return OutputFile(fd);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      redactor_(std::move(other.redactor_)),
      written_bytes_(other.written_bytes_),
      dropped_bytes_(other.dropped_bytes_) {}

OutputFile::~OutputFile() {
  if (fd_ >= 0) ::close(fd_);
}

void OutputFile::put(std::string_view text) {
  const size_t room = static_cast<size_t>(std::min<uint64_t>(text.size(), kLimit_bytes - written_bytes_));
  size_t done = 0;
  while (done < room) {
    const ssize_t count = ::write(fd_, text.data() + done, room - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  written_bytes_ += done;
  dropped_bytes_ += text.size() - done;
}

void OutputFile::write(std::string_view text) {
  if (redactor_.empty()) {
    put(text);
  } else {
    put(redactor_.feed(text));
  }
}

void OutputFile::flush() {
  if (!redactor_.empty()) put(redactor_.flush());
}

}  // namespace holdfast::engine
