#include "store/memory_store.h"

#include <map>
#include <mutex>

#include "store/names.h"

namespace holdfast::store {

namespace {

class MemoryStore final : public ObjectStore {
 public:
  explicit MemoryStore(Clock& clock) : clock_(clock) {}

  Result<void> create(std::string_view name, ByteView content) override {
    TRY(check_name(name));
    const std::lock_guard lock(mutex_);
    const auto [at, fresh] = objects_.try_emplace(std::string(name));
    if (!fresh) return make_error(ErrorCode::kAlreadyExists, "object {} exists already", name);
    at->second.content = std::make_shared<const Bytes>(Bytes::copy_of(content));
    at->second.modified = clock_.now();
    return {};
  }

  Result<Bytes> read(std::string_view name, uint64_t offset, size_t length) override {
    const std::shared_ptr<const Bytes> content = TRY(find(name)).content;
    if (offset > content->size() || length > content->size() - offset) {
      return make_error(ErrorCode::kDamaged, "object {} is cut short: it has {} bytes, {} at {} were wanted", name,
                        content->size(), length, offset);
    }
    return Bytes::copy_of(content->view(offset, length));
  }

  Result<Bytes> read_all(std::string_view name) override { return Bytes::copy_of(TRY(find(name)).content->view()); }

  Result<ObjectInfo> stat(std::string_view name) override {
    const Object object = TRY(find(name));
    return ObjectInfo{std::string(name), object.content->size(), object.modified};
  }

  Result<void> list(std::string_view prefix, const std::function<Result<void>(const ObjectInfo&)>& visit) override {
    TRY(check_prefix(prefix));
    std::vector<ObjectInfo> found;  // the visitor may call us
    {
      const std::lock_guard lock(mutex_);
      for (auto at = objects_.lower_bound(prefix); at != objects_.end() && at->first.starts_with(prefix); ++at) {
        found.push_back({at->first, at->second.content->size(), at->second.modified});
      }
    }
    for (const ObjectInfo& info : found) TRY(visit(info));
    return {};
  }

  Result<void> remove(std::string_view name) override {
    TRY(check_name(name));
    const std::lock_guard lock(mutex_);
    const auto at = objects_.find(name);
    if (at == objects_.end()) return absent(name);
    objects_.erase(at);
    return {};
  }

  Result<Time> server_time() override { return clock_.now(); }
  std::string location() const override { return "memory"; }

 private:
  struct Object {
    std::shared_ptr<const Bytes> content;  // shared with readers that copy it outside of the lock
    Time modified;
  };

  static Error absent(std::string_view name) { return make_error(ErrorCode::kNotFound, "there is no object {}", name); }

  Result<Object> find(std::string_view name) {
    TRY(check_name(name));
    const std::lock_guard lock(mutex_);
    const auto at = objects_.find(name);
    if (at == objects_.end()) return absent(name);
    return at->second;
  }

  Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Object, std::less<>> objects_;
};

}  // namespace

std::unique_ptr<ObjectStore> make_memory_store(Clock& clock) { return std::make_unique<MemoryStore>(clock); }

}  // namespace holdfast::store
