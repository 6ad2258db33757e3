#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "source/postgres/wal_archive.h"

namespace holdfast::postgres {

// Stores marks on a thread of its own, so that a store which is slow to take one keeps nobody
// from telling the server that it lives. Thread-safe. The archive outlives it; its end waits
// for the mark that is being stored.
class MarkWriter {
 public:
  // `changed` is called, on that thread, whenever a mark was stored or could not be.
  MarkWriter(WalArchive& archive, std::function<void()> changed);

  // Of marks that wait only the newest is stored.
  void offer(const WalMark& mark);
  // The newest that is stored.
  std::optional<WalMark> written() const;
  // False: it was not done within that time.
  bool wait_until_idle(Duration patience);

 private:
  void run(std::stop_token stop);

  WalArchive& archive_;
  const std::function<void()> changed_;
  mutable std::mutex mutex_;
  std::condition_variable_any turned_;
  std::optional<WalMark> waiting_;  // guarded by mutex_, as is what follows
  bool writing_ = false;
  std::optional<WalMark> written_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace holdfast::postgres
