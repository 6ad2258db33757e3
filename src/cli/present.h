#pragma once

#include <string>
#include <vector>

#include "base/time.h"
#include "cli/context.h"
#include "repo/point.h"

namespace holdfast::cli {

// How things look: to people, and in documents. Documents have times in RFC 3339
// (UTC), sizes in bytes, durations in seconds, whole ids.

std::string short_id(const repo::ObjectDigest& id);
// "2 min ago", "in 5 s".
std::string relative_time(Time time, Time now);

// As format_duration(), without a second part that is zero: "5 min", "1 h".
std::string duration_text(Duration duration);

Json json_of(Time time);
Json json_of(Duration duration);
// What told an incremental of PostgreSQL what has changed: "wal", "pages"; else "".
std::string changes_known_by(const repo::Snapshot& snapshot);
// The cluster that a snapshot of PostgreSQL is of; "" for others.
std::string system_id_of(const repo::Snapshot& snapshot);
Json json_of(const repo::Snapshot& snapshot);
Json json_of(const repo::Point& point);

uint64_t source_bytes(const repo::Point& point);
uint64_t stored_bytes(const repo::Point& point);
Duration took(const repo::Point& point);
size_t faults(const repo::Point& point);
// "db,data"; of a degraded point what it lacks, too: "db -data".
std::string component_names(const repo::Point& point);
// Of a point of several components, the instant of each and how far apart they are; else nothing.
std::vector<std::string> instants_text(const repo::Point& point);

// "1 file", "2 files".
std::string counted(uint64_t count, const std::string& noun);

}  // namespace holdfast::cli
