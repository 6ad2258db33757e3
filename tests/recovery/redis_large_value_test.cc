// Covers: a value of hundreds of megabytes is captured, restored, loaded into a running
// server and verified without ever being whole in our memory.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "base/units.h"
#include "source/redis/capture.h"
#include "source/redis/load.h"
#include "source/redis/materialise.h"
#include "source/redis/test_restore_rig.h"
#include "source/redis/verify.h"
#include "store/local_store.h"

namespace holdfast::redis {
namespace {

constexpr uint64_t kValueBytes = 200 << 20;
// Blocks that are read ahead, packs under way, and buffers; far from the value.
constexpr uint64_t kMostResidentBytes = 150 << 20;

template <typename T>
T take(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.error().text());
  return std::move(result).value();
}

uint64_t status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return std::strtoull(line.c_str() + name.size() + 1, nullptr, 10) * 1024;
  }
  return 0;
}

// The highest resident size from here on, over what it is now.
class Peak {
 public:
  Peak() {
    std::ofstream("/proc/self/clear_refs") << "5";
    before_ = status_bytes("VmRSS");
  }
  uint64_t grown() const { return status_bytes("VmHWM") - std::min(before_, status_bytes("VmHWM")); }

 private:
  uint64_t before_ = 0;
};

void fill(PrivateServer& server) {
  auto session = take(server.connect());
  Pipeline pipeline(*session);
  auto random = seeded_random(11);
  Bytes piece(1 << 20);
  const auto head = fmt::format("*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n${}\r\n", kValueBytes);
  ASSERT_TRUE(pipeline.write(as_bytes(head)).ok());
  for (uint64_t sent = 0; sent < kValueBytes; sent += piece.size()) {
    random->fill(piece.mutable_view());
    ASSERT_TRUE(pipeline.write(piece).ok());
  }
  ASSERT_TRUE(pipeline.write(as_bytes("\r\n")).ok());
  ASSERT_TRUE(pipeline.end([](Reply&) -> Result<void> { return {}; }).ok());
  ASSERT_TRUE(pipeline.send({"SET", "small", "1"}, [](Reply&) -> Result<void> { return {}; }).ok());
  ASSERT_TRUE(pipeline.drain().ok());
}

TEST(RedisLargeValue, PassesThroughInPieces) {
  RestoreRig rig;
  auto store = take(store::open_local_store(rig.world.fs, rig.path("repository"), false));
  repo::InitOptions cheap;
  cheap.kdf_memory_bytes = 8 << 10;
  cheap.kdf_passes = 1;
  auto repository =
      take(repo::init_repository({*store, system_clock(), system_random()}, Secret::from_text("test"), cheap));
  auto server = take(rig.serve("master"));
  fill(*server);
  const std::string digest = take(RestoreRig::digest(*server));

  const Peak peak;
  auto session = take(repo::WriteSession::begin(*repository, {}));
  repo::Point point;
  point.snapshots.push_back(take(capture(rig.world, *session, rig.address("master"))));
  point.snapshots.front().component = "cache";
  ASSERT_TRUE(session->commit(point).ok());
  session.reset();
  server.reset();
  const repo::Snapshot& snapshot = point.snapshots.front();

  auto logs = repo::open_log_store(*repository);
  auto log = take(CommandLog::open(*logs, "cache"));
  const ResolvedTarget target = take(resolve_target(*log, {snapshot}, {}));
  MaterialiseOptions to;
  to.to = rig.path("restored");
  ASSERT_EQ(take(materialise(rig.world, *repository, *log, snapshot, target, to)).rdb.keys, 2u);
  auto running = take(rig.serve("running"));
  LoadOptions into;
  into.server = rig.address("running");
  ASSERT_EQ(take(load_snapshot(rig.world, *repository, *log, snapshot, target, {rig.path("scratch"), ""}, into)).keys,
            2u);
  EXPECT_EQ(take(RestoreRig::digest(*running)), digest);
  running.reset();
  BootOptions boot;
  boot.scratch_directory = rig.path("scratch");
  EXPECT_TRUE(take(verify_by_booting(rig.world, *repository, *log, snapshot, boot)).findings.empty());
  EXPECT_LT(peak.grown(), kMostResidentBytes) << format_bytes(peak.grown());

  auto restored = take(rig.serve("restored"));
  EXPECT_EQ(take(RestoreRig::digest(*restored)), digest);
}

}  // namespace
}  // namespace holdfast::redis
