#include "faults/fault_file_system.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/check.h"

namespace holdfast::faults {
namespace {

// The path of which "/proc/self/fd/7/name" is another name: the model knows paths alone.
std::string name_of(const std::string& path) {
  constexpr std::string_view kDescriptors = "/proc/self/fd/";
  if (!path.starts_with(kDescriptors)) return path;
  const std::string directory = path.substr(0, path.find('/', kDescriptors.size()));
  return real_file_system().read_link(directory).value() + path.substr(directory.size());
}

}  // namespace

class FaultFile;

std::string_view fault_name(FaultKind kind) {
  switch (kind) {
    case FaultKind::kNone: return "no fault";
    case FaultKind::kNoSpace: return "no space";
    case FaultKind::kIoError: return "i/o error";
    case FaultKind::kKill: return "kill";
    case FaultKind::kPowerLoss: return "power loss";
  }
  return "";
}

std::string scratch_place() {
  const char* const wanted = std::getenv("TMPDIR");
  if (wanted && *wanted) return wanted;
  return ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

// Takes whole pages alone, and passes them through the cache: whether the file system at hand
// takes direct writes makes no difference to the model.
class FaultDirectFile final : public DirectFile {
 public:
  explicit FaultDirectFile(FaultFile& file) : file_(file) {}
  uint64_t alignment() const override { return kDirectAlignment; }
  Result<std::optional<size_t>> write_at(uint64_t offset, ByteView data) override;
  Result<void> close() override { return {}; }

 private:
  FaultFile& file_;
};

class FaultFile final : public File {
 public:
  FaultFile(FaultFileSystem& fs, std::unique_ptr<File> inner, std::string name)
      : fs_(fs), inner_(std::move(inner)), name_(std::move(name)) {}

  Result<size_t> read_at(uint64_t offset, MutableByteView out) override {
    TRY(fs_.alive());
    return inner_->read_at(offset, out);
  }

  Result<void> write_at(uint64_t offset, ByteView data) override { return write("write", offset, data); }

  Result<void> write(std::string_view how, uint64_t offset, ByteView data) {
    std::lock_guard lock(fs_.mutex_);
    auto reached =
        fs_.step(fmt::format("{} {} {}+{}", how, name_, offset, data.size()), FaultFileSystem::Needs::kSpace);
    if (!reached.ok()) {
      const bool here = fs_.count_ == fs_.plan_.at && fs_.plan_.torn;
      if (!here) return reached;
      data = data.subspan(0, data.size() / 2);
    }
    TRY(fs_.disk_->will_change(inner_->descriptor()));
    TRY(inner_->write_at(offset, data));
    return reached;
  }

  Result<void> truncate(uint64_t size_bytes) override {
    return fs_.operation(fmt::format("truncate {} {}", name_, size_bytes), FaultFileSystem::Needs::kNothing,
                         [&]() -> Result<void> {
                           TRY(fs_.disk_->will_change(inner_->descriptor()));
                           return inner_->truncate(size_bytes);
                         });
  }

  // The real sync is left out: nothing here survives the machine, only the test.
  Result<void> sync() override {
    return fs_.operation(fmt::format("sync {}", name_), FaultFileSystem::Needs::kNothing, [&]() -> Result<void> {
      fs_.disk_->file_synced(inner_->descriptor());
      return {};
    });
  }

  Result<struct stat> stat() override {
    TRY(fs_.alive());
    return inner_->stat();
  }

  Result<void> close() override {
    TRY(fs_.alive());
    return inner_->close();
  }

  int descriptor() const override { return fs_.dead_ ? -1 : inner_->descriptor(); }
  std::unique_ptr<DirectFile> open_direct() override { return std::make_unique<FaultDirectFile>(*this); }

 private:
  FaultFileSystem& fs_;
  const std::unique_ptr<File> inner_;
  const std::string name_;
};

Result<std::optional<size_t>> FaultDirectFile::write_at(uint64_t offset, ByteView data) {
  CHECK(offset % kDirectAlignment == 0 && data.size() % kDirectAlignment == 0);
  TRY(file_.write("write past the cache", offset, data));
  return std::optional(data.size());
}

FaultFileSystem::FaultFileSystem(std::string root, const FaultPlan& plan, std::unique_ptr<VolatileDisk> disk)
    : root_(std::move(root)), plan_(plan), disk_(std::move(disk)) {}

FaultFileSystem::~FaultFileSystem() = default;

Result<std::unique_ptr<FaultFileSystem>> FaultFileSystem::create(const std::string& root, const FaultPlan& plan) {
  const std::string real_root = absolute_path(root);
  auto disk = TRY(VolatileDisk::create(real_root + ".attic"));
  return std::unique_ptr<FaultFileSystem>(new FaultFileSystem(real_root, plan, std::move(disk)));
}

std::vector<std::string> FaultFileSystem::trace() const {
  std::lock_guard lock(mutex_);
  return trace_;
}

Result<void> FaultFileSystem::settle() {
  std::lock_guard lock(mutex_);
  dead_ = true;
  if (plan_.kind != FaultKind::kPowerLoss) return {};
  return disk_->lose_power(plan_.seed);
}

Result<void> FaultFileSystem::alive() const {
  if (dead_) return make_error(ErrorCode::kIo, "the process is dead (fault model)");
  return {};
}

bool FaultFileSystem::covers(const std::string& path) const {
  const std::string full = absolute_path(path);
  return full.starts_with(root_) && (full.size() == root_.size() || full[root_.size()] == '/');
}

std::string FaultFileSystem::shown(const std::string& path) const {
  const std::string full = absolute_path(path);
  return full.size() > root_.size() ? full.substr(root_.size() + 1) : ".";
}

Result<void> FaultFileSystem::step(std::string what, Needs needs) {
  TRY(alive());
  const uint64_t number = ++count_;
  trace_.push_back(fmt::format("{} {}", number, what));
  const bool here = number == plan_.at;
  const bool full = plan_.kind == FaultKind::kNoSpace && fired_ && needs == Needs::kSpace;
  if (!here && !full) return {};
  if (plan_.kind == FaultKind::kNone) return {};
  fired_ = true;
  if (plan_.kind == FaultKind::kNoSpace) return Error::from_errno(ENOSPC, "can't " + what);
  if (plan_.kind == FaultKind::kIoError) return Error::from_errno(EIO, "can't " + what);
  dead_ = true;
  return alive();
}

template <typename Act>
Result<void> FaultFileSystem::operation(std::string what, Needs needs, const Act& act) {
  std::lock_guard lock(mutex_);
  TRY(step(std::move(what), needs));
  return act();
}

Result<std::unique_ptr<File>> FaultFileSystem::open(const std::string& given, const OpenOptions& options) {
  const std::string path = name_of(given);
  TRY(alive());
  FileSystem& real = real_file_system();
  if (!covers(path)) return real.open(path, options);
  std::lock_guard lock(mutex_);
  const bool creates = options.create && !TRY(exists(real, path));
  if (creates) TRY(step("create " + shown(path), Needs::kSpace));
  // Emptied by hand, so that the content before it can come back.
  OpenOptions kept = options;
  kept.truncate = false;
  auto inner = TRY(real.open(path, kept));
  if (creates) TRY(disk_->created(path, inner->descriptor()));
  if (options.truncate && !creates) {
    TRY(step("truncate " + shown(path), Needs::kNothing));
    TRY(disk_->will_change(inner->descriptor()));
    TRY(inner->truncate(0));
  }
  return std::unique_ptr<File>(std::make_unique<FaultFile>(*this, std::move(inner), shown(path)));
}

Result<struct stat> FaultFileSystem::stat(const std::string& path) {
  TRY(alive());
  return real_file_system().stat(path);
}

Result<std::vector<DirectoryEntry>> FaultFileSystem::list(const std::string& path) {
  TRY(alive());
  return real_file_system().list(path);
}

Result<std::string> FaultFileSystem::read_link(const std::string& path) {
  TRY(alive());
  return real_file_system().read_link(path);
}

Result<uint64_t> FaultFileSystem::free_bytes(const std::string& path) {
  TRY(alive());
  return real_file_system().free_bytes(path);
}

Result<void> FaultFileSystem::make_directory(const std::string& given, mode_t mode) {
  const std::string path = name_of(given);
  TRY(alive());
  if (!covers(path)) return real_file_system().make_directory(path, mode);
  return operation("make directory " + shown(path), Needs::kSpace, [&] { return disk_->make_directory(path, mode); });
}

Result<void> FaultFileSystem::rename(const std::string& given_from, const std::string& given_to) {
  const std::string from = name_of(given_from);
  const std::string to = name_of(given_to);
  TRY(alive());
  if (!covers(to)) return real_file_system().rename(from, to);
  return operation(fmt::format("rename {} to {}", shown(from), shown(to)), Needs::kNothing,
                   [&] { return disk_->rename(from, to, false); });
}

Result<void> FaultFileSystem::rename_exclusive(const std::string& given_from, const std::string& given_to) {
  const std::string from = name_of(given_from);
  const std::string to = name_of(given_to);
  TRY(alive());
  if (!covers(to)) return real_file_system().rename_exclusive(from, to);
  return operation(fmt::format("rename {} to {}", shown(from), shown(to)), Needs::kNothing,
                   [&] { return disk_->rename(from, to, true); });
}

Result<void> FaultFileSystem::hard_link(const std::string& given_from, const std::string& given_to) {
  const std::string from = name_of(given_from);
  const std::string to = name_of(given_to);
  TRY(alive());
  if (!covers(to)) return real_file_system().hard_link(from, to);
  return operation(fmt::format("link {} to {}", shown(from), shown(to)), Needs::kSpace,
                   [&] { return disk_->hard_link(from, to); });
}

Result<void> FaultFileSystem::symlink(const std::string& target, const std::string& given) {
  const std::string path = name_of(given);
  TRY(alive());
  if (!covers(path)) return real_file_system().symlink(target, path);
  return operation("symbolic link " + shown(path), Needs::kSpace, [&] { return disk_->symlink(target, path); });
}

Result<void> FaultFileSystem::remove_file(const std::string& given) {
  const std::string path = name_of(given);
  TRY(alive());
  if (!covers(path)) return real_file_system().remove_file(path);
  return operation("remove " + shown(path), Needs::kNothing, [&] { return disk_->remove_file(path); });
}

Result<void> FaultFileSystem::remove_directory(const std::string& given) {
  const std::string path = name_of(given);
  TRY(alive());
  if (!covers(path)) return real_file_system().remove_directory(path);
  return operation("remove directory " + shown(path), Needs::kNothing, [&] { return disk_->remove_directory(path); });
}

Result<void> FaultFileSystem::sync_directory(const std::string& path) {
  TRY(alive());
  if (!covers(path)) return real_file_system().sync_directory(path);
  return operation("sync directory " + shown(path), Needs::kNothing, [&] { return disk_->directory_synced(path); });
}

Result<void> FaultFileSystem::sync_all(const std::string& path) {
  TRY(alive());
  if (!covers(path)) return real_file_system().sync_all(path);
  return operation("sync everything", Needs::kNothing, [&]() -> Result<void> {
    disk_->everything_synced();
    return {};
  });
}

Result<FaultyRun> run_faulty(const std::string& disk, const FaultPlan& plan,
                             const std::function<Result<void>(FileSystem&)>& work) {
  auto faulty = TRY(FaultFileSystem::create(disk, plan));
  const auto outcome = work(*faulty);
  const auto trace = faulty->trace();
  FaultyRun run;
  run.ok = outcome.ok();
  run.told = outcome.ok() ? "run succeeded; " : "run failed (" + outcome.error().text() + "); ";
  run.operation = plan.at <= trace.size() ? trace[plan.at - 1] : fmt::format("{} after the end", plan.at);
  TRY(faulty->settle());
  return run;
}

std::string failure_words(const FaultPlan& plan, const std::string& operation, const std::string& wrong) {
  return fmt::format("{} at {}{}, seed {}: {}", fault_name(plan.kind), operation, plan.torn ? ", torn" : "", plan.seed,
                     wrong);
}

}  // namespace holdfast::faults
