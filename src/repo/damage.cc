#include "repo/damage.h"

#include <algorithm>

namespace holdfast::repo {

void DamageList::add(const std::string& object, const std::string& problem) {
  std::lock_guard lock(mutex_);
  Problems& problems = objects_[object];
  if (std::find(problems.told.begin(), problems.told.end(), problem) != problems.told.end()) return;
  if (problems.told.size() < kMaxPerObject)
    problems.told.push_back(problem);
  else
    problems.untold++;
}

bool DamageList::contains(const std::string& object) const {
  std::lock_guard lock(mutex_);
  return objects_.count(object) > 0;
}

std::vector<Damage> DamageList::take() {
  std::lock_guard lock(mutex_);
  std::vector<Damage> list;
  for (const auto& [object, problems] : objects_) {
    for (const std::string& problem : problems.told) list.push_back({object, problem});
    if (problems.untold) list.push_back({object, fmt::format("and {} problems more", problems.untold)});
  }
  objects_.clear();
  return list;
}

bool is_damage(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kDamaged:
    case ErrorCode::kNotFound:
    case ErrorCode::kInvalidData:
    case ErrorCode::kNewerFormat: return true;
    default: return false;
  }
}

Result<std::shared_ptr<const Index>> load_index_despite_damage(RepositoryAccess& repository,
                                                               const Index::OnDamaged& damaged) {
  TRY(repository.keys().load_epochs(repository.store()));
  constexpr int kAttempts = 5;  // an object that is gone was replaced while we read
  for (int attempt = 1;; attempt++) {
    auto index = Index::load(repository.store(), repository.keys(), damaged);
    if (index.ok()) return std::shared_ptr<const Index>(std::move(index).value());
    if (index.error().code() != ErrorCode::kNotFound || attempt == kAttempts) return std::move(index).error();
  }
}

}  // namespace holdfast::repo
