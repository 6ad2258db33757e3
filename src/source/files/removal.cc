#include "source/files/removal.h"

#include "base/places.h"
#include "base/units.h"
#include "source/files/candidate.h"
#include "source/files/faults.h"
#include "source/files/restore_plan.h"

namespace holdfast::files {
namespace {

constexpr size_t kExamples = 5;

}  // namespace

Result<dev_t> Removal::device_of(const std::string& directory) const {
  const auto status = TRY(target_.fs().stat(directory));
  if (!S_ISLNK(status.st_mode)) return status.st_dev;
  return TRY(target_.fs().stat(directory + "/.")).st_dev;
}

const char* Removal::reason_to_leave(const std::string& tree_path, const struct stat& status, dev_t device) const {
  const bool is_directory = S_ISDIR(status.st_mode);
  if (const char* reason = spared_.reason(tree_path, is_directory)) return reason;
  // Of files the device number means little: an overlay gives them that of a layer.
  if (is_directory && status.st_dev != device) return kElsewhere;
  return is_mount_point(target_.path_of(tree_path)) ? kElsewhere : nullptr;
}

Result<bool> Removal::remove(const std::string& tree_path, dev_t device) {
  const std::string path = target_.path_of(tree_path);
  const auto found = target_.fs().stat(path);
  if (!found.ok() && found.error().code() == ErrorCode::kNotFound) return true;
  if (!found.ok()) return found.error().clone();
  const struct stat& status = found.value();
  if (const char* reason = reason_to_leave(tree_path, status, device)) {
    leave(tree_path, reason);
    return false;
  }
  if (S_ISDIR(status.st_mode)) {
    const Changes::Mark before = changes_.mark();
    bool empty = true;
    for (const auto& [name, type] : TRY(target_.fs().list(path))) {
      if (!TRY(remove(join_path(tree_path, name), device))) empty = false;
    }
    if (!empty) return false;
    changes_.take_back(before);
    if (!dry_run_) TRY(target_.fs().remove_directory(path));
  } else if (!dry_run_) {
    TRY(target_.fs().remove_file(path));
  }
  changes_.add("remove", kind_of(status.st_mode), tree_path);
  return true;
}

void Removal::leave(const std::string& tree_path, const char* reason) {
  left_++;
  if (examples_.size() < kExamples) examples_.push_back(fmt::format("{} ({})", display_path(tree_path), reason));
}

std::vector<std::string> Removal::notes() const {
  if (left_ == 0) return {};
  return {fmt::format("{} that the point does not have {} left in place: {}{}",
                      left_ == 1 ? "1 path" : format_count(left_) + " paths", left_ == 1 ? "was" : "were",
                      fmt::join(examples_, ", "), left_ > examples_.size() ? ", ..." : "")};
}

}  // namespace holdfast::files
