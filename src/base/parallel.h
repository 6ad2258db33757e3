#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/result.h"

namespace holdfast {

// Runs `work(i)` for i in [0, count) on `threads` threads (at least one) and
// waits for all. The first error stops the hand-out of further items and is
// returned. Exceptions are not caught: nothing of ours throws.
Result<void> parallel_for(size_t count, size_t threads, const std::function<Result<void>(size_t)>& work);

// Runs a stream of items through `threads` workers and hands the outcomes to a
// sink in the order of the items, with at most `window` items (at least one) in
// flight, counting the one that the sink has.
//   next: called from one thread at a time; an empty optional ends the stream.
//   work: called from the workers.
//   sink: called in order, from one thread at a time.
// The first error stops everything and is returned once all threads have joined.
template <typename In, typename Out>
Result<void> ordered_pipeline(size_t threads, size_t window, const std::function<Result<std::optional<In>>()>& next,
                              const std::function<Result<Out>(In&)>& work,
                              const std::function<Result<void>(Out)>& sink);

// A queue with a bound. push blocks while it is full, pop while it is empty.
// close() lets poppers drain what is left and then get an empty optional;
// push after close is refused (returns false).
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t limit) : limit_(limit) {}
  bool push(T item) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return items_.size() < limit_ || closed_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return !items_.empty() || closed_; });
    if (items_.empty()) return std::nullopt;
    T item = std::move(items_.front());
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    not_full_.notify_all();
    not_empty_.notify_all();
  }

 private:
  const size_t limit_;
  std::mutex mutex_;
  std::condition_variable not_full_, not_empty_;
  std::deque<T> items_;
  bool closed_ = false;
};

// ---- implementation of ordered_pipeline

template <typename In, typename Out>
Result<void> ordered_pipeline(size_t threads, size_t window, const std::function<Result<std::optional<In>>()>& next,
                              const std::function<Result<Out>(In&)>& work,
                              const std::function<Result<void>(Out)>& sink) {
  struct Slot {
    std::optional<Out> out;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Slot> slots;  // in flight, in order; slots.front() has number `base`
  uint64_t base = 0;
  bool ended = false, fetching = false, sinking = false;
  std::optional<Error> failure;

  window = window ? window : 1;
  auto fail = [&](Error error) {  // with the mutex held
    if (!failure) failure = std::move(error);
    ended = true;
    changed.notify_all();
  };
  auto loop = [&] {
    std::unique_lock lock(mutex);
    while (true) {
      changed.wait(lock, [&] { return failure || ended || (!fetching && slots.size() < window); });
      if (failure || ended) return;
      fetching = true;
      lock.unlock();
      auto item = next();
      lock.lock();
      fetching = false;
      if (!item.ok()) return fail(std::move(item).error());
      if (!item.value().has_value()) {
        ended = true;
        changed.notify_all();
        return;
      }
      if (failure) return;
      const uint64_t number = base + slots.size();
      slots.emplace_back();
      changed.notify_all();
      lock.unlock();
      auto out = work(*item.value());
      lock.lock();
      if (!out.ok()) return fail(std::move(out).error());
      if (failure) return;
      slots[number - base].out.emplace(std::move(out).value());
      while (!sinking && !slots.empty() && slots.front().out && !failure) {
        sinking = true;
        Out ready = std::move(*slots.front().out);
        lock.unlock();
        auto sunk = sink(std::move(ready));
        lock.lock();
        sinking = false;
        slots.pop_front();
        base++;
        if (!sunk.ok()) return fail(std::move(sunk).error());
        changed.notify_all();
      }
    }
  };
  {
    std::vector<std::jthread> pool;
    for (size_t i = 0; i + 1 < (threads ? threads : 1); i++) pool.emplace_back(loop);
    loop();
  }
  if (failure) return std::move(*failure);
  return {};
}

}  // namespace holdfast
