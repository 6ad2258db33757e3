#include "source/postgres/wal_reader.h"

#include <algorithm>

#include "source/postgres/crc32c.h"
#include "source/postgres/wal_record.h"

// The stream is a sequence of pages, each a header and then bytes of records.
// Records follow each other at multiples of 8 bytes; a record that meets the end
// of its page goes on behind the next page's header, which says how much of it is
// still to come. feed() is a loop over "what does the byte at position_ belong
// to": first the page's header, then, by state_, a record's header or body, the
// padding behind it, the rest of a segment after a switch, or nothing of interest.

namespace holdfast::postgres {

namespace {
// PostgreSQL refuses to write larger records.
constexpr uint32_t kMaxRecordBytes = 1020u << 20;

// Appends as much of `bytes` as a record's prefix still takes.
void append_prefix(Bytes& prefix, ByteView bytes) {
  if (prefix.size() < kWalRecordPrefixBytes)
    prefix.append(bytes.first(std::min(bytes.size(), kWalRecordPrefixBytes - prefix.size())));
}
}  // namespace

WalReader::WalReader(Lsn start, uint64_t segment_bytes, OnEvent on_event, OnRecord on_record)
    : segment_bytes_(segment_bytes),
      on_event_(std::move(on_event)),
      on_record_(std::move(on_record)),
      position_(start),
      last_end_(start) {
  CHECK(segment_bytes >= kMinSegmentBytes && start.value % segment_bytes == 0);
}

std::optional<Lsn> WalReader::tail_start() const {
  if (state_ == State::kBody || (state_ == State::kHeader && header_size_ > 0)) return record_start_;
  return std::nullopt;
}

ByteView WalReader::tail() const {
  if (state_ == State::kHeader) return ByteView(header_, header_size_);
  if (state_ == State::kBody && keep_) return kept_.view().first(std::min(kept_.size(), kMaxEdgeBytes));
  return {};
}

std::optional<WalReader::Edge> WalReader::lead_edge() const {
  if (!lead_end_) return std::nullopt;
  return Edge{lead_prefix_.view(), lead_bytes_, lead_crc_};
}

std::optional<WalReader::Edge> WalReader::tail_edge() const {
  if (!tail_start()) return std::nullopt;
  if (state_ == State::kHeader) return Edge{ByteView(header_, header_size_), header_size_, kCrc32cStart};
  return Edge{prefix_.view(), record_.total_bytes - body_left_, crc_};
}

void WalReader::stop(std::string problem) {
  fault_ = WalFault{position_, std::move(problem)};
  state_ = State::kStopped;
}

void WalReader::feed(ByteView bytes) {
  while (!bytes.empty()) {
    size_t taken = 0;
    if (state_ == State::kStopped || state_ == State::kSwitched) {
      taken = skip(bytes.size());
    } else if (in_page_header_) {
      taken = take_page_header(bytes);
    } else {
      const ByteView in_page = bytes.first(std::min(bytes.size(), left_in_page()));
      switch (state_) {
        case State::kLead: taken = take_lead(in_page); break;
        case State::kPadding: taken = take_padding(in_page.size()); break;
        case State::kHeader: taken = take_header(in_page); break;
        default: taken = take_body(in_page); break;
      }
      if (position_.value % page_bytes_ == 0 && taken > 0) in_page_header_ = true;
    }
    bytes = bytes.subspan(taken);
  }
}

// After a switch the rest of the segment means nothing; after a stop, all does.
size_t WalReader::skip(size_t available) {
  if (state_ == State::kStopped) {
    position_.value += available;
    return available;
  }
  const size_t count = std::min<uint64_t>(available, segment_bytes_ - position_.value % segment_bytes_);
  position_.value += count;
  if (position_.value % segment_bytes_ == 0) {
    state_ = State::kPadding;
    in_page_header_ = true;
  }
  return count;
}

size_t WalReader::take_page_header(ByteView bytes) {
  const bool segment_begins = (position_.value - page_header_size_) % segment_bytes_ == 0;
  const size_t wanted = segment_begins ? kWalLongHeaderBytes : kWalShortHeaderBytes;
  const size_t count = std::min(bytes.size(), wanted - page_header_size_);
  std::copy_n(bytes.data(), count, page_header_ + page_header_size_);
  page_header_size_ += count;
  position_.value += count;
  if (page_header_size_ == wanted) {
    begin_page();
    page_header_size_ = 0;
    in_page_header_ = false;
    first_page_ = false;
  }
  return count;
}

// Checks the page's header against what we know, and decides how its bytes go on.
void WalReader::begin_page() {
  const Lsn page_start{position_.value - page_header_size_};
  const ByteView bytes(page_header_, page_header_size_);
  if (all_zero(bytes)) {
    // A segment that was never filled: fine behind a whole record, a fault within one.
    if (state_ != State::kPadding || first_page_) return stop("a page of zeros where a WAL record goes on");
    zeros_at_ = page_start;
    state_ = State::kStopped;
    return;
  }
  const bool segment_begins = page_start.value % segment_bytes_ == 0;
  auto parsed = segment_begins ? parse_wal_segment_header(bytes) : parse_wal_page_header(bytes);
  if (!parsed.ok()) return stop(parsed.error().message());
  const WalPageHeader& header = parsed.value();
  if (header.is_long() != segment_begins) return stop("a WAL page whose header has the wrong form");
  if (header.address != page_start)
    return stop(fmt::format("a WAL page that claims to be at {}", header.address.text()));
  if (segment_begins && header.segment_bytes != segment_bytes_)
    return stop(fmt::format("a WAL segment that claims a segment size of {} bytes", header.segment_bytes));
  if (header.timeline < timeline_) return stop(fmt::format("a WAL page of the older timeline {}", header.timeline));
  if (major_ != 0 && major_of_wal_magic(header.magic) != major_)
    return stop("a WAL page of another PostgreSQL version");
  if (first_page_) page_bytes_ = header.page_bytes;
  major_ = major_of_wal_magic(header.magic);
  timeline_ = header.timeline;

  const bool continues = (header.flags & WalPageHeader::kContinuation) != 0;
  if (first_page_) {
    lead_left_ = continues ? header.remaining_bytes : 0;
    keep_lead_ = lead_left_ <= kMaxEdgeBytes;
    state_ = continues ? State::kLead : State::kPadding;
    return;
  }
  if (header.flags & WalPageHeader::kOverwrittenRecord) {
    // The server crashed within a record and, once recovered, went on behind it.
    state_ = State::kPadding;
    header_size_ = 0;
    lead_.clear();
    return;
  }
  uint64_t expected = 0;
  if (state_ == State::kLead) expected = lead_left_;
  if (state_ == State::kBody) expected = body_left_;
  if (state_ == State::kHeader && header_size_ > 0)
    expected = load_little_endian<uint32_t>(header_) - header_size_;  // the length is always on the first page
  if (continues != (expected > 0) || (continues && header.remaining_bytes != expected))
    stop(fmt::format("a WAL page that goes on with {} bytes of a record where {} are due",
                     continues ? header.remaining_bytes : 0, expected));
}

size_t WalReader::take_lead(ByteView bytes) {
  const size_t count = std::min(bytes.size(), lead_left_);
  if (keep_lead_) lead_.append(bytes.first(count));
  append_prefix(lead_prefix_, bytes.first(count));
  lead_crc_ = crc32c_update(lead_crc_, bytes.first(count));
  lead_bytes_ += count;
  lead_left_ -= count;
  position_.value += count;
  if (lead_left_ == 0) {
    lead_end_ = align_record(position_);
    last_end_ = *lead_end_;
    state_ = State::kPadding;
  }
  return count;
}

size_t WalReader::take_padding(size_t available) {
  const size_t count = std::min<size_t>(available, align_record(position_).value - position_.value);
  position_.value += count;
  if (position_.value % 8 == 0 && count == 0) {
    state_ = State::kHeader;
    header_size_ = 0;
    record_start_ = position_;
  }
  return count;
}

size_t WalReader::take_header(ByteView bytes) {
  const size_t count = std::min(bytes.size(), kWalRecordHeaderBytes - header_size_);
  std::copy_n(bytes.data(), count, header_ + header_size_);
  header_size_ += count;
  position_.value += count;
  if (header_size_ < 4) return count;
  const auto total = load_little_endian<uint32_t>(header_);
  if (total == 0) {
    zeros_at_ = record_start_;
    state_ = State::kStopped;
  } else if (total < kWalRecordHeaderBytes || total > kMaxRecordBytes) {
    stop(fmt::format("a WAL record at {} that claims a length of {} bytes", record_start_.text(), total));
  } else if (header_size_ == kWalRecordHeaderBytes) {
    begin_body();
  }
  return count;
}

void WalReader::begin_body() {
  record_ = parse_wal_record_header(header_);
  if (last_record_ && record_.previous != *last_record_)
    return stop(fmt::format("the WAL record at {} follows {} but the record before is at {}", record_start_.text(),
                            record_.previous.text(), last_record_->text()));
  if (!first_previous_) first_previous_ = record_.previous;
  state_ = State::kBody;
  body_left_ = record_.total_bytes - kWalRecordHeaderBytes;
  crc_ = kCrc32cStart;
  keep_ = may_be_wal_event(record_);
  kept_.clear();
  prefix_.clear();
  prefix_.append(ByteView(header_, kWalRecordHeaderBytes));
  if (keep_) kept_.append(ByteView(header_, kWalRecordHeaderBytes));
  if (body_left_ == 0) finish_record();
}

size_t WalReader::take_body(ByteView bytes) {
  const size_t count = std::min(bytes.size(), body_left_);
  crc_ = crc32c_update(crc_, bytes.first(count));
  if (keep_ && kept_.size() < kMaxKeptBytes) kept_.append(bytes.first(std::min(count, kMaxKeptBytes - kept_.size())));
  append_prefix(prefix_, bytes.first(count));
  body_left_ -= count;
  position_.value += count;
  if (body_left_ == 0) finish_record();
  return count;
}

void WalReader::finish_record() {
  crc_ = crc32c_update(crc_, ByteView(header_, 20));
  if (crc32c_finish(crc_) != record_.crc)
    return stop(fmt::format("the WAL record at {} fails its CRC", record_start_.text()));
  const bool switched = is_wal_switch(record_);
  last_record_ = record_start_;
  last_end_ = align_record(position_);
  records_++;
  state_ = State::kPadding;
  header_size_ = 0;
  if (switched && position_.value % segment_bytes_ != 0) {
    last_end_ = Lsn{segment_start(position_, segment_bytes_).value + segment_bytes_};
    state_ = State::kSwitched;
  }
  if (on_record_) on_record_(record_, prefix_);
  if (!keep_) return;
  if (const auto event = decode_wal_event(kept_, major_, record_start_, last_end_)) on_event_(*event);
}

}  // namespace holdfast::postgres
