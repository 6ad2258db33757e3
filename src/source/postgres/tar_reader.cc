#include <archive.h>
#include <archive_entry.h>

#include <sys/stat.h>

#include "source/postgres/base_backup.h"

namespace holdfast::postgres {
namespace {

struct ArchiveDeleter {
  void operator()(struct archive* archive) const { archive_read_free(archive); }
};

bool is_safe(std::string_view path) {
  if (path.empty() || path.starts_with('/') || path.find('\0') != std::string_view::npos) return false;
  while (!path.empty()) {
    const size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) break;
    path = path.substr(slash + 1);
  }
  return true;
}

}  // namespace

struct TarReader::State {
  Pull pull;
  std::optional<Error> failure;
  std::unique_ptr<struct archive, ArchiveDeleter> archive;
  bool opened = false;

  static la_ssize_t read_some(struct archive* archive, void* self, const void** buffer) {
    auto* state = static_cast<State*>(self);
    auto bytes = state->pull();
    if (!bytes.ok()) {
      state->failure = std::move(bytes).error();
      archive_set_error(archive, ARCHIVE_FATAL, "the stream failed");
      return -1;
    }
    *buffer = bytes.value().data();
    return static_cast<la_ssize_t>(bytes.value().size());
  }

  Error error() {
    if (failure) return std::move(*failure);
    const char* text = archive_error_string(archive.get());
    return make_error(ErrorCode::kInvalidData, "the server's tar stream can't be read: {}", text ? text : "unknown");
  }
};

TarReader::TarReader(Pull pull) : state_(std::make_unique<State>()) {
  state_->pull = std::move(pull);
  state_->archive.reset(archive_read_new());
  CHECK(state_->archive != nullptr);
  archive_read_support_format_tar(state_->archive.get());
  archive_read_support_format_empty(state_->archive.get());
}
TarReader::~TarReader() = default;

Result<std::optional<TarMember>> TarReader::next() {
  struct archive* archive = state_->archive.get();
  if (!state_->opened) {
    state_->opened = true;
    if (archive_read_open(archive, state_.get(), nullptr, State::read_some, nullptr) != ARCHIVE_OK)
      return state_->error();
  }
  struct archive_entry* entry = nullptr;
  const int status = archive_read_next_header(archive, &entry);
  if (status == ARCHIVE_EOF) return std::optional<TarMember>();
  if (status != ARCHIVE_OK && status != ARCHIVE_WARN) return state_->error();
  TarMember member;
  const char* path = archive_entry_pathname(entry);
  member.path = path ? path : "";
  while (member.path.starts_with("./")) member.path.erase(0, 2);
  while (member.path.ends_with('/')) member.path.pop_back();
  if (!is_safe(member.path)) {
    return make_error(ErrorCode::kInvalidData, "the server's tar stream names a member '{}'", member.path);
  }
  const auto type = archive_entry_filetype(entry);
  if (type == AE_IFDIR)
    member.kind = repo::EntryKind::kDirectory;
  else if (type == AE_IFLNK)
    member.kind = repo::EntryKind::kSymlink;
  else if (type != AE_IFREG)
    return make_error(ErrorCode::kInvalidData, "'{}' in the server's tar stream is a special file", member.path);
  member.size_bytes = member.kind == repo::EntryKind::kFile ? static_cast<uint64_t>(archive_entry_size(entry)) : 0;
  member.mode = archive_entry_perm(entry) & 07777;
  member.uid = static_cast<uint32_t>(archive_entry_uid(entry));
  member.gid = static_cast<uint32_t>(archive_entry_gid(entry));
  member.modified = {archive_entry_mtime(entry) * 1'000'000'000 + archive_entry_mtime_nsec(entry)};
  if (const char* target = archive_entry_symlink(entry)) member.link_target = target;
  return std::optional<TarMember>(std::move(member));
}

Result<size_t> TarReader::read(MutableByteView out) {
  size_t total = 0;
  while (total < out.size()) {
    const la_ssize_t got = archive_read_data(state_->archive.get(), out.data() + total, out.size() - total);
    if (got < 0) return state_->error();
    if (got == 0) break;
    total += static_cast<size_t>(got);
  }
  return total;
}

}  // namespace holdfast::postgres
