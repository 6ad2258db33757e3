#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "source/postgres/crc32c.h"
#include "source/postgres/wal_format.h"

namespace holdfast::postgres {

// Writes WAL for tests as a PostgreSQL 15 server would: pages, records that go on
// over pages and segments, CRCs, links. Begins at a segment's start.
class TestWal {
 public:
  static constexpr uint64_t kSegmentBytes = 1u << 20;
  static constexpr uint64_t kSystemId = 7'300'000'000'000'000'001;
  static constexpr uint64_t kPageBytes = 8192;

  explicit TestWal(Lsn start = Lsn{kSegmentBytes}, uint32_t timeline = 1) : start_(start), timeline_(timeline) {}

  // Each returns the position of its record.
  // `more`: bytes of invalidated catalog entries and the like, which a large commit has.
  Lsn commit(uint32_t xid, Time time, size_t more = 0) {
    return record(1, 0x00, xid, time_bytes(time) + std::string(more, 'i'));
  }
  Lsn abort(uint32_t xid, Time time) { return record(1, 0x20, xid, time_bytes(time)); }
  Lsn commit_prepared(uint32_t xid, Time time) {
    std::string data = time_bytes(time);
    append<uint32_t>(data, 1 | 2 | 8 | 16);  // database, subtransactions, invalidations, two-phase
    data.append(8, '\1');
    append<uint32_t>(data, 2);
    data.append(8, '\2');
    append<uint32_t>(data, 3);
    data.append(48, '\3');
    append<uint32_t>(data, xid);
    return record(1, 0x30 | 0x80, 0, data);
  }
  // As the one that ends a recovery: its time is in whole seconds.
  Lsn checkpoint(Time time) {
    std::string data(64, '\0');
    append<int64_t>(data, time.ns / 1'000'000'000);
    return record(0, 0x00, 0, data + std::string(16, '\0'));
  }
  Lsn restore_point(const std::string& name, Time time) {
    std::string data = time_bytes(time);
    std::string field = name;
    field.resize(64, '\0');
    return record(0, 0x70, 0, data + field);
  }
  Lsn tablespace(uint32_t oid, const std::string& location) {
    std::string data;
    append<uint32_t>(data, oid);
    return record(5, 0x00, 0, data + location + '\0');
  }
  // A record of no interest with that much data.
  Lsn filler(size_t bytes) { return record(10, 0x00, 700, std::string(bytes, 'f')); }
  // A record that refers to a block, with that much data of it.
  Lsn touch(uint32_t database, uint32_t relation, uint32_t block, size_t bytes = 40, uint8_t fork = 0) {
    std::string body;
    append<uint8_t>(body, 0);  // the first reference
    append<uint8_t>(body, static_cast<uint8_t>(fork | 0x20));
    append<uint16_t>(body, static_cast<uint16_t>(bytes));
    append<uint32_t>(body, 1663);
    append<uint32_t>(body, database);
    append<uint32_t>(body, relation);
    append<uint32_t>(body, block);
    append<uint8_t>(body, 255);
    append<uint8_t>(body, 3);
    return whole_record(10, 0x00, 700, body + std::string(bytes, 'd') + "end");
  }
  Lsn truncate(uint32_t database, uint32_t relation, uint32_t block) {
    std::string data;
    for (const uint32_t word : {block, 1663u, database, relation, 7u}) append<uint32_t>(data, word);
    return record(2, 0x20, 0, data);
  }
  Lsn create_storage(uint32_t database, uint32_t relation) {
    std::string data;
    for (const uint32_t word : {1663u, database, relation, 0u}) append<uint32_t>(data, word);
    return record(2, 0x10, 0, data);
  }
  Lsn drop_database(uint32_t database) {
    std::string data;
    for (const uint32_t word : {database, 1u, 1663u}) append<uint32_t>(data, word);
    return record(4, 0x20, 0, data);
  }
  Lsn change_parameters(uint32_t wal_level) {
    std::string data;
    for (const uint32_t word : {100u, 8u, 10u, 0u, 64u, wal_level, 0u}) append<uint32_t>(data, word);
    return record(0, 0x60, 0, data);
  }
  Lsn of_extension(uint8_t manager) { return record(manager, 0x00, 0, "something"); }
  // Fills until less than `left` bytes remain in the segment.
  void fill_segment(size_t left = 4096) {
    while (left_in_segment() > left + 2048) filler(std::min<size_t>(left_in_segment() - left - 1024, 6000));
  }
  Lsn switch_segment() {
    const Lsn at = record(0, 0x40, 0, "", true);
    if (left_in_segment() != kSegmentBytes) out_.append(left_in_segment(), '\0');
    return at;
  }
  Lsn position() const { return Lsn{start_.value + out_.size()}; }
  size_t left_in_segment() const { return kSegmentBytes - position().value % kSegmentBytes; }
  // Goes on as another timeline from here, as a promoted server does.
  TestWal fork(uint32_t timeline) const {
    TestWal other = *this;
    other.timeline_ = timeline;
    return other;
  }

  // What was written, or one segment of it, padded with zeros.
  ByteView bytes() const { return as_bytes(out_); }
  Bytes segment(size_t number) const {
    Bytes content = Bytes::zeros(kSegmentBytes);
    const size_t from = number * kSegmentBytes;
    CHECK(from < out_.size());
    std::memcpy(content.data(), out_.data() + from, std::min<size_t>(kSegmentBytes, out_.size() - from));
    return content;
  }
  std::string segment_name(size_t number) const {
    return postgres::segment_name(timeline_, Lsn{start_.value + number * kSegmentBytes}, kSegmentBytes);
  }

 private:
  template <typename T>
  static void append(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static std::string time_bytes(Time time) {
    std::string out;
    append<int64_t>(out, postgres_microseconds_of(time));
    return out;
  }

  void page_header(size_t remaining) {
    const bool is_long = position().value % kSegmentBytes == 0;
    const uint64_t address = position().value;
    append<uint16_t>(out_, 0xD110);
    append<uint16_t>(out_, static_cast<uint16_t>((remaining ? 1 : 0) | (is_long ? 2 : 0)));
    append<uint32_t>(out_, timeline_);
    append<uint64_t>(out_, address);
    append<uint32_t>(out_, static_cast<uint32_t>(remaining));
    append<uint32_t>(out_, 0);
    if (!is_long) return;
    append<uint64_t>(out_, kSystemId);
    append<uint32_t>(out_, kSegmentBytes);
    append<uint32_t>(out_, kPageBytes);
  }

  Lsn record(uint8_t manager, uint8_t info, uint32_t xid, const std::string& data, bool bare = false) {
    std::string body;
    if (!bare && data.size() < 256) {
      append<uint8_t>(body, 255);
      append<uint8_t>(body, static_cast<uint8_t>(data.size()));
    } else if (!bare) {
      append<uint8_t>(body, 254);
      append<uint32_t>(body, static_cast<uint32_t>(data.size()));
    }
    return whole_record(manager, info, xid, body + data);
  }

  Lsn whole_record(uint8_t manager, uint8_t info, uint32_t xid, const std::string& body) {
    std::string bytes;
    append<uint32_t>(bytes, static_cast<uint32_t>(24 + body.size()));
    append<uint32_t>(bytes, xid);
    append<uint64_t>(bytes, previous_.value);
    append<uint8_t>(bytes, info);
    append<uint8_t>(bytes, manager);
    append<uint16_t>(bytes, 0);
    uint32_t crc = crc32c_update(kCrc32cStart, as_bytes(body));
    crc = crc32c_update(crc, as_bytes(bytes));
    append<uint32_t>(bytes, crc32c_finish(crc));
    bytes += body;
    if (position().value % kPageBytes == 0) page_header(0);
    const Lsn at = position();
    for (size_t done = 0; done < bytes.size();) {
      if (position().value % kPageBytes == 0) page_header(bytes.size() - done);
      const size_t count = std::min<size_t>(bytes.size() - done, kPageBytes - position().value % kPageBytes);
      out_.append(bytes, done, count);
      done += count;
    }
    out_.append(align_record(position()).value - position().value, '\0');
    previous_ = at;
    return at;
  }

  Lsn start_;
  uint32_t timeline_;
  Lsn previous_;
  std::string out_;
};

}  // namespace holdfast::postgres
