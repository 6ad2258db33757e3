#include "base/direct_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <string>

#include "base/filesystem.h"
#include "base/places.h"

namespace holdfast {
namespace {

constexpr uint64_t kLargestAlignment = 1u << 20;

// Not FUSE, which may tell of what it could not store when a descriptor is closed, nor btrfs,
// which compresses nothing that passes the cache.
bool is_for_direct_writes(int descriptor) {
  struct statfs status{};
  return ::fstatfs(descriptor, &status) == 0 && status.f_type != FUSE_SUPER_MAGIC && status.f_type != BTRFS_SUPER_MAGIC;
}

// 0 where it is not known. A page is never written both ways.
uint64_t alignment_of(int descriptor) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0 || status.st_blksize <= 0) return 0;
  const auto block = static_cast<uint64_t>(status.st_blksize), page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  if (!std::has_single_bit(block) || block > kLargestAlignment) return 0;
  return std::max({kDirectAlignment, block, page});
}

class RealDirectFile final : public DirectFile {
 public:
  RealDirectFile(int descriptor, uint64_t alignment) : descriptor_(descriptor), alignment_(alignment) {}
  ~RealDirectFile() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  RealDirectFile(const RealDirectFile&) = delete;
  RealDirectFile& operator=(const RealDirectFile&) = delete;

  uint64_t alignment() const override { return alignment_; }

  Result<std::optional<size_t>> write_at(uint64_t offset, ByteView data) override {
    ssize_t put = 0;
    do put = ::pwrite(descriptor_, data.data(), data.size(), static_cast<off_t>(offset));
    while (put < 0 && errno == EINTR);
    if (put >= 0) return std::optional(static_cast<size_t>(put));
    if (errno == EINVAL || errno == EOPNOTSUPP || errno == EPERM) return std::optional<size_t>();
    const int errno_value = errno;
    return Error::from_errno(errno_value, "can't write " + path_of());
  }

  Result<void> close() override {
    const std::string path = path_of();
    const int descriptor = std::exchange(descriptor_, -1);
    if (::close(descriptor) < 0 && errno != EINTR) return Error::from_errno(errno, "can't close " + path);
    return {};
  }

 private:
  std::string path_of() const {
    const std::string link = fmt::format("/proc/self/fd/{}", descriptor_);
    auto path = real_file_system().read_link(link);
    return path.ok() ? std::move(path).value() : link;
  }

  int descriptor_;
  const uint64_t alignment_;
};

}  // namespace

std::unique_ptr<DirectFile> open_direct_file(int descriptor) {
  if (descriptor < 0 || !descriptors_have_paths() || !is_for_direct_writes(descriptor)) return nullptr;
  const uint64_t alignment = alignment_of(descriptor);
  if (alignment == 0) return nullptr;
  const std::string path = fmt::format("/proc/self/fd/{}", descriptor);
  const int direct = ::open(path.c_str(), O_WRONLY | O_DIRECT | O_CLOEXEC);
  if (direct < 0) return nullptr;
  return std::make_unique<RealDirectFile>(direct, alignment);
}

std::unique_ptr<DirectFile> File::open_direct() { return open_direct_file(descriptor()); }

}  // namespace holdfast
