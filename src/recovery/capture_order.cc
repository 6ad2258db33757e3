#include "recovery/capture_order.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

namespace holdfast::recovery {

namespace {

class Order {
 public:
  Order(const std::vector<const ComponentConfig*>& components, const std::function<bool(size_t)>& work)
      : components_(components), work_(work), states_(components.size(), State::kWaiting) {}

  void run() {
    std::unique_lock lock(mutex_);
    while (const auto next = take(lock)) {
      lock.unlock();
      const bool go_on = work_(*next);
      lock.lock();
      states_[*next] = State::kEnded;
      stopped_ |= !go_on;
      changed_.notify_all();
    }
  }

 private:
  enum class State { kWaiting, kRunning, kEnded };

  // The next to begin; waits until there is one. Empty when there will be none.
  std::optional<size_t> take(std::unique_lock<std::mutex>& lock) {
    while (true) {
      if (stopped_) return std::nullopt;
      bool any_waits = false;
      for (size_t i = 0; i < states_.size(); i++) {
        if (states_[i] != State::kWaiting) continue;
        any_waits = true;
        if (!may_begin(i)) continue;
        states_[i] = State::kRunning;
        return i;
      }
      if (!any_waits) return std::nullopt;
      // Somebody runs: the stack has no circle, so something could begin otherwise.
      changed_.wait(lock);
    }
  }

  bool may_begin(size_t component) const {
    const auto& after = components_[component]->after;
    for (size_t i = 0; i < states_.size(); i++) {
      if (states_[i] == State::kEnded) continue;
      if (std::find(after.begin(), after.end(), components_[i]->name) != after.end()) return false;
    }
    return true;
  }

  const std::vector<const ComponentConfig*>& components_;
  const std::function<bool(size_t)>& work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<State> states_;  // guarded by mutex_, as is what follows
  bool stopped_ = false;
};

}  // namespace

void in_order(const std::vector<const ComponentConfig*>& components, size_t parallel,
              const std::function<bool(size_t)>& work) {
  Order order(components, work);
  std::vector<std::jthread> others;
  for (size_t i = 1; i < std::min(parallel, components.size()); i++) others.emplace_back([&] { order.run(); });
  order.run();
}

}  // namespace holdfast::recovery
