#include "base/parallel.h"

#include <algorithm>
#include <atomic>

namespace holdfast {

Result<void> parallel_for(size_t count, size_t threads, const std::function<Result<void>(size_t)>& work) {
  std::atomic<size_t> next{0};
  std::atomic<bool> stopped{false};
  std::mutex mutex;
  std::optional<Error> failure;
  const auto loop = [&] {
    while (!stopped.load(std::memory_order_relaxed)) {
      const size_t item = next.fetch_add(1);
      if (item >= count) return;
      auto outcome = work(item);
      if (outcome.ok()) continue;
      stopped = true;
      std::lock_guard lock(mutex);
      if (!failure) failure = std::move(outcome).error();
    }
  };
  {
    const size_t wanted = std::clamp<size_t>(threads, 1, std::max<size_t>(count, 1));
    std::vector<std::jthread> pool;
    for (size_t i = 0; i + 1 < wanted; i++) pool.emplace_back(loop);
    loop();
  }
  if (failure) return std::move(*failure);
  return {};
}

}  // namespace holdfast
